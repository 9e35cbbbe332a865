//! The DNS proxy's questions, answered from the node's state.

use std::net::IpAddr;
use std::sync::Arc;

use egret_core::Protocol;
use egret_core::flow::{Dns, DnsAnswer, Event, Flow, FlowEndpoint};
use egret_shared::{Direction, DropReason, MatchType, Verdict};

use super::Shared;
use super::state::State;
use crate::clock;
use crate::dns::{DnsPolicy, Query};

/// The node's state as the DNS proxy sees it.
pub(super) struct NodePolicy(pub(super) Arc<Shared>);

impl DnsPolicy for NodePolicy {
    fn judge(&self, query: &Query) -> bool {
        let state = self.0.state();
        let rule = rule_for(&state, query);
        let flow = flow(&state, query, rule, None);
        drop(state);
        let allowed = rule.is_some();
        self.0.report(flow);
        allowed
    }

    fn answered(&self, query: &Query, answer: &DnsAnswer) {
        let mut state = self.0.state();
        if answer.rcode == 0 && !answer.addresses.is_empty() {
            // When it cannot be written, the answer leaves all the same, as Cilium's does after its longest wait.
            self.0.note(state.learn(&query.name, &answer.addresses, answer.ttl));
        }
        let rule = rule_for(&state, query);
        let flow = flow(&state, query, rule, Some(answer.clone()));
        drop(state);
        self.0.report(flow);
    }

    fn asks_as(&self, query: &Query) -> IpAddr {
        let state = self.0.state();
        let here =
            state.desired.world.pod_at(query.server.ip()).is_some_and(|(_, pod)| pod.node == state.node);
        let node = state.desired.world.nodes.get(&state.node).and_then(|node| node.addresses.first());
        // Cilium's transparent mode, too, is for servers in the cluster only.
        node.filter(|_| !here).copied().unwrap_or_else(|| query.client.ip())
    }

    fn refused(&self, _query: &Query) {
        // `judge` has reported it.
    }
}

/// The rule that lets the query through.
fn rule_for(state: &State, query: &Query) -> Option<u32> {
    let (pod, _) = state.desired.world.pod_at(query.client.ip())?;
    let endpoint = state.compiled().endpoints.get(pod)?;
    let server = state.compiled().identity_of(query.server.ip());
    state.compiled().dns_allows(endpoint.id, query.server.port(), query.protocol, server, &query.name)
}

/// A query or an answer as a flow. Hubble shows an answer as sent by the server.
fn flow(state: &State, query: &Query, rule: Option<u32>, answer: Option<DnsAnswer>) -> Flow {
    let client_identity = state.compiled().identity_of(query.client.ip());
    let server_identity = state.compiled().identity_of(query.server.ip());
    let client = state.side(query.client.ip(), query.client.port(), client_identity);
    let server = state.side(query.server.ip(), query.server.port(), server_identity);
    let endpoint = client.pod.as_ref().map(|(pod, id, _)| FlowEndpoint { id: *id, pod: pod.clone() });
    let (source, destination) = if answer.is_some() { (server, client) } else { (client, server) };
    Flow {
        time: state.wall(clock::monotonic()),
        node: state.node.clone(),
        endpoint,
        direction: Direction::Egress,
        source,
        destination,
        service: None,
        protocol: Protocol::from_number(query.protocol.number()),
        verdict: if rule.is_some() { Verdict::Forwarded } else { Verdict::Dropped(DropReason::PolicyDenied) },
        enforced: true,
        match_type: MatchType::None,
        by: rule.and_then(|rule| state.compiled().author(0, rule)),
        event: Event::Dns(Dns { query: query.name.clone(), qtype: query.qtype.clone(), answer }),
    }
}
