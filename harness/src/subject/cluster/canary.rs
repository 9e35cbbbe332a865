//! Proves that the network plugin enforces policies at all, and tells when it has taken in the newest ones.
//!
//! The canary is a namespace of the run's own: one server per node, and one client that asks all of them. Before the
//! first case it is open, shut by a policy, and open again; a plugin that does not follow ends the run. A plugin
//! that is not ours does not say when a policy is in force, so behind each step's policies the canary's own policy is
//! turned over, and the step waits until every node has followed. A plugin works through policies in order, or at
//! least soon after each other: this is the most that can be known from outside. Services are led to their pods by
//! somebody who does not say so either (kube-proxy): behind each change of them the canary's own service is made anew,
//! and answers on every node.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use egret_core::Protocol;
use egret_core::probe::{Http, Outcome, Record};
use egret_core::spec::PolicyKind;
use egret_core::world::{Application, Serve};
use egret_probe::{Exchange, Target};
use serde_json::json;

use super::asking::{self, Patience};
use super::denial;
use super::error::ClusterError;
use super::exec::At;
use super::nodes::Place;
use super::object::{Key, Kind};
use super::pace::Pace;
use super::ready;
use super::server::Server;
use super::shape;
use crate::pod::Menu;

/// How long a plugin may take to follow.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two looks; nobody tells when a plugin has followed.
const PACE: Duration = Duration::from_millis(100);
/// How long the client waits for a server: they are idle and near.
const PATIENCE: Patience =
    Patience { answer: Duration::from_millis(500), resolve: Duration::from_millis(500) };
/// How often a name is looked up, so that each of several DNS servers is met.
const LOOKUPS: usize = 16;
/// Port of the canary's servers.
const PORT: u16 = 80;

/// The canary's pods, and pods on the nodes' own networks for clients that are nodes.
pub(super) struct Canary {
    namespace: String,
    questions: Vec<Exchange>,
    /// How many services it has had; the newest one is there.
    services: u64,
    shut: bool,
    /// Whether the plugin told clients that they were denied, when they last were.
    refuses: bool,
    /// For each node of the cluster, the pod on its network.
    on_nodes: Vec<(String, String)>,
}

impl Canary {
    /// Makes the canary on these nodes; it is open.
    pub(super) async fn new(server: &Server, image: &str, places: &[Place]) -> Result<Self, ClusterError> {
        let namespace = format!("egret-{}", server.run.id);
        let key = Key::new(Kind::Namespace, None, &namespace);
        // Pods on a node's network are refused where baseline or restricted holds by default.
        let labels = json!({ "pod-security.kubernetes.io/enforce": "privileged" });
        server.create(&key, &key.object(&server.run, &labels, json!({}))).await?;
        let account = Key::new(Kind::ServiceAccount, Some(&namespace), "default");
        match server.create(&account, &account.object(&server.run, &json!({}), json!({}))).await {
            Ok(_) | Err(ClusterError::Exists(_)) => {}
            Err(error) => return Err(error),
        }
        let mut keys = BTreeSet::new();
        let mut on_nodes = Vec::new();
        let serves = vec![Serve {
            name: None,
            port: PORT,
            protocol: Protocol::Tcp,
            application: Application::Identity,
        }];
        for (index, place) in places.iter().enumerate() {
            let node = Some(place.name.as_str());
            let server_pod = (server_pod(index), "server", serves.clone(), false);
            let node_pod = (format!("node-{index}"), "node", Vec::new(), true);
            on_nodes.push((place.name.clone(), node_pod.0.clone()));
            // No policy shuts the client, so its service is open at all times.
            let client = (index == 0).then(|| ("client".to_owned(), "client", serves.clone(), false));
            for (name, role, serves, host_network) in [server_pod, node_pod].into_iter().chain(client) {
                let key = Key::new(Kind::Pod, Some(&namespace), &name);
                let menu = Menu { identity: format!("canary {name} {}", server.run.id), serves };
                let at = shape::Place { node, host_network, account: "default" };
                let spec = shape::spec(image, &menu, &at);
                let object = key.object(&server.run, &json!({ "canary": role }), json!({ "spec": spec }));
                server.create(&key, &object).await?;
                keys.insert(key);
            }
        }
        let pods = ready::wait(server, &keys, &BTreeSet::new()).await?;
        let servers = pods.iter().filter(|(key, _)| key.name.starts_with("server-"));
        let addresses = servers.filter_map(|(_, pod)| pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok());
        Ok(Self {
            questions: addresses.map(question).collect(),
            namespace,
            services: 0,
            shut: false,
            refuses: false,
            on_nodes,
        })
    }

    /// The pod on the network of one of the cluster's nodes.
    pub(super) fn on_node(&self, node: &str) -> Option<At> {
        let (_, pod) = self.on_nodes.iter().find(|(name, _)| name == node)?;
        Some(At::pod(self.namespace.clone(), pod.clone()))
    }

    /// Whether a pod is one of the canary's.
    pub(super) fn has(&self, at: &At) -> bool {
        at.namespace == self.namespace
    }

    /// The pods on the networks of all nodes.
    pub(super) fn on_every_node(&self) -> Vec<At> {
        let at = |(_, pod): &(String, String)| At::pod(self.namespace.clone(), pod.clone());
        self.on_nodes.iter().map(at).collect()
    }

    /// Whether the plugin refuses what it denies, and does not drop it in silence.
    pub(super) const fn refuses(&self) -> bool {
        self.refuses
    }

    /// Open, shut, open: the plugin enforces.
    ///
    /// # Errors
    /// [`ClusterError::NoNetwork`] or [`ClusterError::NotEnforced`].
    pub(super) async fn prove(&mut self, server: &Server) -> Result<(), ClusterError> {
        if let Some(seen) = self.follow(server).await? {
            return Err(ClusterError::NoNetwork(seen));
        }
        for _ in 0..2 {
            if let Some(seen) = self.turn(server).await? {
                return Err(ClusterError::NotEnforced(seen));
            }
        }
        Ok(())
    }

    /// Waits until the plugin has taken in what was applied so far: turns the canary over and sees it followed.
    ///
    /// # Errors
    /// It was not followed in time.
    pub(super) async fn settle(&mut self, server: &Server) -> Result<(), ClusterError> {
        match self.turn(server).await? {
            None => Ok(()),
            Some(seen) => Err(ClusterError::Slow {
                what: format!("bringing policies into force ({seen})"),
                seconds: LIMIT.as_secs(),
            }),
        }
    }

    /// Waits until services have their names and lead to their pods on every node: makes the canary's service anew and sees
    /// it answer.
    ///
    /// Who watches the API server learns of this service after those of the case. A cluster has several DNS servers, of
    /// which each question meets one.
    ///
    /// # Errors
    /// It did not answer in time.
    pub(super) async fn lead(&mut self, server: &Server) -> Result<(), ClusterError> {
        let key = |number: u64| Key::new(Kind::Service, Some(&self.namespace), &format!("service-{number}"));
        let (old, new) = (key(self.services), key(self.services.saturating_add(1)));
        if self.services > 0 {
            server.delete(&old).await?;
        }
        let spec = json!({ "selector": { "canary": "client" }, "ports": [{ "port": PORT }] });
        let object = new.object(&server.run, &json!({}), json!({ "spec": spec }));
        let there = server.create(&new, &object).await?;
        self.services = self.services.saturating_add(1);
        let address = there.data["spec"]["clusterIP"].as_str().and_then(|address| address.parse().ok());
        let address: IpAddr =
            address.ok_or_else(|| ClusterError::Missing(format!("{new} has no address")))?;
        let record = if address.is_ipv4() { Record::A } else { Record::Aaaa };
        let name = format!("{}.{}.svc", new.name, self.namespace);
        let mut questions = vec![Exchange::Dns { name, record }; LOOKUPS];
        questions.push(question(address));
        let mut pace = Pace::new(PACE, LIMIT);
        for index in 0..self.on_nodes.len() {
            let at = At::pod(self.namespace.clone(), server_pod(index));
            loop {
                let reports =
                    asking::order(server, &at, Vec::new(), questions.clone(), PATIENCE, None).await?;
                if reports.iter().all(|report| report.outcome == Outcome::Ok) {
                    break;
                }
                if !pace.next().await {
                    return Err(ClusterError::Slow {
                        what: format!("leading {new} to its pod, as pod {} sees it,", at.pod),
                        seconds: LIMIT.as_secs(),
                    });
                }
            }
        }
        Ok(())
    }

    /// Shuts the canary when it is open and opens it when it is shut; what is seen when nobody follows.
    async fn turn(&mut self, server: &Server) -> Result<Option<String>, ClusterError> {
        let key = Key::new(Kind::Policy(PolicyKind::NetworkPolicy), Some(&self.namespace), "canary");
        if self.shut {
            server.delete(&key).await?;
        } else {
            let spec = json!({
                "podSelector": { "matchLabels": { "canary": "server" } },
                "policyTypes": ["Ingress"],
            });
            let object = key.object(&server.run, &json!({}), json!({ "spec": spec }));
            server.apply(&key, &object).await?;
        }
        self.shut = !self.shut;
        self.follow(server).await
    }

    /// Looks until every server answers, or none does, as the canary is; what is seen when the time is over.
    async fn follow(&mut self, server: &Server) -> Result<Option<String>, ClusterError> {
        let at = At::pod(self.namespace.clone(), "client".into());
        let mut pace = Pace::new(PACE, LIMIT);
        loop {
            let reports =
                asking::order(server, &at, Vec::new(), self.questions.clone(), PATIENCE, None).await?;
            let open = reports.iter().filter(|report| report.outcome == Outcome::Ok).count();
            let wanted = if self.shut { 0 } else { reports.len() };
            if open == wanted {
                if self.shut {
                    self.refuses = reports.iter().any(|report| denial::is_refusal(&report.outcome));
                }
                return Ok(None);
            }
            if !pace.next().await {
                let outcomes: Vec<String> = reports.iter().map(|report| report.outcome.to_string()).collect();
                let state =
                    if self.shut { "a policy shuts the canary" } else { "no policy shuts the canary" };
                let seconds = LIMIT.as_secs();
                return Ok(Some(format!(
                    "{state}, and after {seconds} s clients see {}",
                    outcomes.join(", ")
                )));
            }
        }
    }
}

/// The name of the server on one of the nodes.
fn server_pod(index: usize) -> String {
    format!("server-{index}")
}

/// Who answers at an address of the canary's.
fn question(address: IpAddr) -> Exchange {
    Exchange::Tcp { to: Target::Address(address), port: PORT, http: Http::default(), expect_peer: None }
}
