//! For tests: cases built by hand, a subject that answers from a script, and flows as the tutorial shows them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use egret_core::author::{Author, PolicyId};
use egret_core::flow::{Dns, Event, Flow, FlowEndpoint, Packet, Side};
use egret_core::probe::{
    Http, JudgedAs, Judgement, Observation, Outcome, Peer, Port, Probe, Request, Source as From,
};
use egret_core::{Desired, Labels, ObjectName, Protocol, World};
use egret_shared::{CtStatus, Direction, DropReason, Identity, MatchType, Verdict};

use crate::case::{Capability, Case, Expect, Expectation, PolicyLocations, Step};
use crate::source::{Location, Source};
use crate::subject::{Applied, Subject, SubjectError};

pub(crate) fn at(path: &str, line: usize) -> Location {
    Location { source: Source::new(path, ""), line, column: 3, span: 0..0 }
}

pub(crate) fn deny_all() -> PolicyId {
    PolicyId {
        kind: "NetworkPolicy".into(),
        namespace: Some("default".into()),
        name: "default-deny-all".into(),
    }
}

pub(crate) fn default_deny() -> Author {
    Author::DefaultDeny { because: vec![deny_all()] }
}

pub(crate) fn allow() -> Author {
    let policy = PolicyId {
        kind: "CiliumNetworkPolicy".into(),
        namespace: Some("default".into()),
        name: "allow-egress-fqdn".into(),
    };
    Author::Rule { policy, path: "egress[0].toPorts[1]".into() }
}

/// The deny-all policy stands in line 3 of its file.
pub(crate) fn policies() -> PolicyLocations {
    let text =
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: default-deny-all }\n";
    let source = Source::new("cases/tutorial/deny-all.yaml", text);
    let object = crate::yaml::manifests(&source).unwrap().remove(0);
    PolicyLocations::new(BTreeMap::from([(deny_all(), object)]))
}

pub(crate) fn judged(verdict: JudgedAs, reason: Option<DropReason>, by: Option<Author>) -> Option<Judgement> {
    Some(Judgement { verdict, reason, by })
}

/// Reached, with no policy in force.
pub(crate) fn reached() -> Observation {
    Observation {
        client: Outcome::Ok,
        egress: judged(JudgedAs::None, None, None),
        ingress: judged(JudgedAs::None, None, None),
        addresses: Vec::new(),
    }
}

/// Dropped at egress by default deny.
pub(crate) fn dropped() -> Observation {
    Observation {
        client: Outcome::Timeout,
        egress: judged(JudgedAs::Dropped, Some(DropReason::PolicyDenied), Some(default_deny())),
        ingress: None,
        addresses: Vec::new(),
    }
}

pub(crate) fn expectation(text: &str, line: usize, expect: Expect) -> Expectation {
    let request = Request::Connect {
        to: Peer::Name("api.github.com".into()),
        port: Port::Number(80),
        protocol: Protocol::Tcp,
        http: Http::default(),
    };
    let probe = Probe { from: From::Pod(ObjectName::parse("nginx")), request };
    Expectation { probe, text: text.into(), at: at("cases/tutorial/case.yaml", line), expect }
}

/// A case of one step.
pub(crate) fn case(expectations: Vec<Expectation>) -> Case {
    let title = at("cases/tutorial/case.yaml", 1);
    let step = Step {
        name: "deny all".into(),
        at: at("cases/tutorial/case.yaml", 20),
        desired: Desired::default(),
        events: Vec::new(),
        select_nothing: Vec::new(),
        expectations,
        policies: policies(),
    };
    Case {
        name: "tutorial".into(),
        title: "toFQDNs opens exactly the names it lists".into(),
        requires: BTreeSet::new(),
        source: Arc::clone(&title.source),
        at: title,
        world: World::default(),
        openings: Vec::new(),
        steps: vec![step],
        policies: policies(),
    }
}

/// Answers from a script, one list of observations per step.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) answers: VecDeque<Vec<Observation>>,
    pub(crate) flows: Vec<Flow>,
    pub(crate) begin_fails: bool,
}

impl Fake {
    pub(crate) fn with(answers: impl IntoIterator<Item = Vec<Observation>>) -> Self {
        Self { answers: answers.into_iter().collect(), ..Self::default() }
    }
}

impl Subject for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        BTreeSet::from([Capability::Cilium])
    }

    fn begin(&mut self, _case: &Case) -> Result<(), SubjectError> {
        if self.begin_fails {
            return Err(SubjectError::Run { what: "veth".into(), problem: "no such device".into() });
        }
        Ok(())
    }

    fn apply(&mut self, _step: &Step) -> Result<Applied, SubjectError> {
        Ok(Applied { revision: 1, convergence: Duration::ZERO })
    }

    fn probe(&mut self, _probes: &[Probe]) -> Result<Vec<Observation>, SubjectError> {
        self.answers.pop_front().ok_or(SubjectError::FlowsLost { count: 3 })
    }

    fn flows(&mut self) -> Vec<Flow> {
        std::mem::take(&mut self.flows)
    }
}

fn side(address: &str, port: u16, identity: u32, labels: &[&str], pod: Option<(&str, u32)>) -> Side {
    Side {
        address: address.parse().unwrap(),
        port,
        identity: Identity(identity),
        labels: labels.iter().map(ToString::to_string).collect(),
        pod: pod.map(|(name, id)| (ObjectName::parse(name), id, Labels::new())),
        names: Vec::new(),
    }
}

/// The tutorial's dropped SYN.
pub(crate) fn syn() -> Flow {
    let mut bytes = vec![0x0a, 0x58, 0x0a, 0, 1, 0x2b, 0xd2, 0x3c, 0x0f, 0x3a, 0x11, 0x05, 8, 0];
    bytes.extend([0x45; 41]);
    let mut destination = side("104.244.42.66", 80, 2, &["reserved:world"], None);
    destination.names = vec!["api.twitter.com".into()];
    Flow {
        time: 1_234_567_800_000,
        node: "node-1".into(),
        endpoint: Some(FlowEndpoint { id: 7, pod: ObjectName::parse("nginx") }),
        direction: Direction::Egress,
        source: side("10.0.1.51", 60_738, 9655, &["k8s:run=nginx"], Some(("nginx", 7))),
        destination,
        service: None,
        protocol: Protocol::Tcp,
        verdict: Verdict::Dropped(DropReason::PolicyDenied),
        enforced: true,
        match_type: MatchType::None,
        by: Some(default_deny()),
        event: Event::Packet(Packet {
            status: CtStatus::New,
            ifindex: 32,
            hash: 0xe714_2f72,
            from_proxy: false,
            tcp_flags: 0x02,
            icmp: None,
            length: 74,
            bytes,
        }),
    }
}

/// The same packet, changed.
pub(crate) fn packet(change: impl FnOnce(&mut Flow, &mut Packet)) -> Flow {
    let mut flow = syn();
    let Event::Packet(mut packet) = flow.event.clone() else { unreachable!("`syn` is a packet") };
    change(&mut flow, &mut packet);
    flow.event = Event::Packet(packet);
    flow
}

/// A SYN, ACK on its way to the pod.
pub(crate) fn reply() -> Flow {
    packet(|flow, packet| {
        std::mem::swap(&mut flow.source, &mut flow.destination);
        flow.direction = Direction::Ingress;
        flow.verdict = Verdict::Forwarded;
        flow.by = None;
        packet.status = CtStatus::Reply;
        packet.tcp_flags = 0x12;
    })
}

/// A query at the DNS proxy, or its answer.
pub(crate) fn dns(answer: Option<egret_core::flow::DnsAnswer>) -> Flow {
    let mut flow = syn();
    flow.destination = side(
        "10.0.1.10",
        53,
        300,
        &["k8s:io.kubernetes.pod.namespace=kube-system", "k8s:k8s-app=kube-dns"],
        None,
    );
    flow.protocol = Protocol::Udp;
    flow.verdict = Verdict::Forwarded;
    flow.by = Some(allow());
    if answer.is_some() {
        std::mem::swap(&mut flow.source, &mut flow.destination);
    }
    flow.event = Event::Dns(Dns { query: "api.github.com.".into(), qtype: "A".into(), answer });
    flow
}

pub(crate) fn answer(addresses: &[&str]) -> egret_core::flow::DnsAnswer {
    egret_core::flow::DnsAnswer {
        rcode: 0,
        addresses: addresses.iter().map(|text| text.parse::<IpAddr>().unwrap()).collect(),
        cnames: Vec::new(),
        ttl: 30,
    }
}
