//! The changes that would turn a verdict over: each is made, the cluster is judged again, and what does not turn
//! it over is not told.

use egret_core::author::PolicyId;
use egret_core::fqdn::Names;
use egret_core::identity::Source;
use egret_core::judge::{self, Answer, End, Layer7, Question};
use egret_core::rule::{
    Dialect, Effect, Enforcement, Peers, Policy, PortMatch, PortRule, Ports, Rule, Section, Subject, Tier,
};
use egret_core::selector::{Entity, LabelSelector, Operator, Requirement, Selector};
use egret_core::{Author, Desired, ObjectName, Protocol};
use egret_shared::{Direction, DropReason, Identity};
use ipnet::IpNet;

use super::Flow;
use super::condition::Fix;
use super::edit::{Change, Edit};
use super::side::{Considered, Side};
use super::words;

/// Most changes that are told.
const TOLD: usize = 3;
/// Most changes that are tried.
const TRIED: usize = 16;

/// What changes are looked for around.
pub(super) struct Around<'a> {
    pub(super) desired: &'a Desired,
    pub(super) names: &'a Names,
    pub(super) question: &'a Question,
    pub(super) answer: &'a Answer,
    /// The two ends, the one that opens the connection first.
    pub(super) ends: [&'a End; 2],
    pub(super) sides: [&'a Side; 2],
    pub(super) flow: &'a Flow,
}

/// One direction with everything that is known of it.
struct Part<'a> {
    word: &'static str,
    direction: Direction,
    own: &'a End,
    other: &'a End,
    side: &'a Side,
    answer: &'a judge::SideAnswer,
}

impl<'a> Around<'a> {
    /// The changes that turn the verdict over, the nearest first.
    pub(super) fn flips(&self) -> Vec<Edit> {
        let candidates = self.candidates();
        candidates.into_iter().take(TRIED).filter(|edit| self.turns(&edit.change)).take(TOLD).collect()
    }

    /// Whether the verdict is another one after the change.
    pub(super) fn turns(&self, change: &Change) -> bool {
        let mut desired = self.desired.clone();
        change.apply(&mut desired);
        let changed = judge::Cluster::new(&desired, self.names).ask(self.question);
        changed.is_ok_and(|answer| answer.dropped().is_some() != self.answer.dropped().is_some())
    }

    fn parts(&self) -> [Part<'a>; 2] {
        let [from, to] = self.ends;
        let [egress, ingress] = self.sides;
        [
            Part {
                word: "egress",
                direction: Direction::Egress,
                own: from,
                other: to,
                side: egress,
                answer: &self.answer.egress,
            },
            Part {
                word: "ingress",
                direction: Direction::Ingress,
                own: to,
                other: from,
                side: ingress,
                answer: &self.answer.ingress,
            },
        ]
    }

    fn candidates(&self) -> Vec<Edit> {
        let mut edits = Vec::new();
        let parts = self.parts();
        if let Some(refused) = self.answer.layer7.as_ref().filter(|layer7| !layer7.allowed) {
            edits.extend(self.question.layer7.iter().flat_map(|seen| let_pass(&refused.by, seen)));
        }
        for part in parts.iter().filter(|part| part.answer.reason.is_some()) {
            match part.answer.reason {
                Some(DropReason::PolicyDeny) => self.take_away(part, &mut edits),
                Some(_) | None => self.open(part, &mut edits),
            }
        }
        if self.answer.dropped().is_none() {
            for part in &parts {
                self.take_away(part, &mut edits);
            }
            for part in parts.iter().rev() {
                edits.extend(self.deny(part));
            }
        }
        edits
    }

    /// Takes away what decided: the one rule, or the one policy.
    fn take_away(&self, part: &Part<'_>, edits: &mut Vec<Edit>) {
        let rules: Vec<&Considered> = part.side.rules.iter().filter(|rule| rule.decides).collect();
        if let [only] = rules.as_slice() {
            let text = format!("take {} {} away", only.policy, only.rule_path);
            edits.push(Edit { text, change: Change::Remove(only.id.clone(), only.rule_path.clone()) });
        }
        if let Some(first) = rules.first()
            && rules.iter().all(|rule| rule.id == first.id)
        {
            edits.push(delete(&first.id));
        }
    }

    /// Opens what default deny drops: what a rule that nearly matched lacks, one more rule, one policy less.
    fn open(&self, part: &Part<'_>, edits: &mut Vec<Edit>) {
        for rule in part.side.rules.iter().filter(|rule| rule.effect == "allow" && rule.failed.len() == 1) {
            for fix in &rule.fixes {
                self.mend(part, rule, fix, edits);
            }
        }
        let traffic = self.traffic();
        if let Some((peer, peer_text)) = self.peer(part)
            && let Some(selecting) = part.side.selected_by.iter().find(|policy| policy.default_deny)
            && (selecting.id.kind != "NetworkPolicy" || !matches!(peer, Selector::Entity(_)))
        {
            let text =
                format!("one more rule for {} in {}: {peer_text}, {traffic}", part.word, selecting.policy);
            let rule = self.rule(part, Effect::Allow, peer);
            edits.push(Edit { text, change: Change::AddRule(selecting.id.clone(), Box::new(rule)) });
        }
        if let [Author::DefaultDeny { because }] = part.answer.by.as_slice()
            && let [only] = because.as_slice()
        {
            edits.push(delete(only));
        }
    }

    /// What one failed condition of a rule would need.
    fn mend(&self, part: &Part<'_>, rule: &Considered, fix: &Fix, edits: &mut Vec<Edit>) {
        let Flow { protocol, port } = *self.flow;
        let named = format!("{} {}", rule.policy, rule.rule);
        match fix {
            Fix::Label { requirement, selector, index } => {
                if let End::Endpoint { pod, .. } = part.other {
                    edits.extend(label(pod, requirement));
                }
                let text = format!("take `{}` out of the peers of {named}", words::requirement(requirement));
                let change = Change::Loosen(rule.id.clone(), rule.rule_path.clone(), (*selector, *index));
                edits.push(Edit { text, change });
            }
            Fix::Prefix => {
                if let End::Outside { address, .. } = part.other {
                    let prefix = IpNet::from(*address);
                    let text = format!("add `{prefix}` to the peers of {named}");
                    let peer = Selector::Prefix { prefix, except: Vec::new() };
                    let change = Change::AddPeer(rule.id.clone(), rule.rule_path.clone(), peer);
                    edits.push(Edit { text, change });
                }
            }
            Fix::Entity => {
                let entity = match part.answer.peer {
                    Identity::HOST => Entity::Host,
                    Identity::REMOTE_NODE => Entity::RemoteNode,
                    Identity::KUBE_APISERVER => Entity::KubeApiserver,
                    _ if matches!(part.other, End::Outside { .. } | End::Reserved(_)) => Entity::World,
                    _ => Entity::Cluster,
                };
                let text = format!("add the entity `{}` to the peers of {named}", entity.word());
                let change =
                    Change::AddPeer(rule.id.clone(), rule.rule_path.clone(), Selector::Entity(entity));
                edits.push(Edit { text, change });
            }
            Fix::Port => {
                let text = format!("add {} to {named}", self.traffic());
                let change = Change::AddPort(rule.id.clone(), rule.rule.clone(), protocol, port);
                edits.push(Edit { text, change });
            }
        }
    }

    /// One more policy that drops the flow at one end: a deny rule, and in the text of Kubernetes, which has none,
    /// a policy that allows nothing.
    fn deny(&self, part: &Part<'_>) -> Option<Edit> {
        let End::Endpoint { pod, .. } = part.own else { return None };
        let labels = &self.desired.world.pods.get(pod)?.labels;
        let mut subject = LabelSelector::default();
        labels.iter().for_each(|(key, value)| subject.require(key, value));
        subject.require("io.kubernetes.pod.namespace", &pod.namespace);
        let (peer, peer_text) = self.peer(part)?;
        let (kind, enforcement, rules, text) = match self.desired.dialect {
            Dialect::Kubernetes => {
                let text = format!("a NetworkPolicy that selects {pod} and has no rule for {}", part.word);
                ("NetworkPolicy", Enforcement::DefaultDeny, Vec::new(), text)
            }
            Dialect::Cilium | Dialect::Cilium119 => {
                let rule = self.rule(part, Effect::Deny, peer);
                let text = format!(
                    "a deny rule for {} in a policy that selects {pod}: {peer_text}, {}",
                    part.word,
                    self.traffic()
                );
                ("CiliumNetworkPolicy", Enforcement::DefaultAllow, vec![rule], text)
            }
        };
        let (ingress, egress) = match part.direction {
            Direction::Ingress => (enforcement, Enforcement::None),
            Direction::Egress => (Enforcement::None, enforcement),
        };
        let section =
            Section { subject: Subject::Endpoints(subject), tier: Tier::Normal, ingress, egress, rules };
        let name = "one-more-policy".to_owned();
        let id = PolicyId { kind: kind.into(), namespace: Some(pod.namespace.clone()), name };
        let policy = Policy::new(id, vec![section]);
        Some(Edit { text, change: Change::AddPolicy(policy.into()) })
    }

    /// A rule for this flow alone.
    fn rule(&self, part: &Part<'_>, effect: Effect, peer: Selector) -> Rule {
        let Flow { protocol, port } = *self.flow;
        let path = format!("{}[one more]", part.word);
        let item =
            PortRule { path: path.clone(), protocol, port: PortMatch::Range(port, port), inspect: None };
        let ports = Ports::Listed(vec![item]);
        Rule { path, direction: part.direction, effect, peers: Peers::Selected(vec![peer]), ports }
    }

    /// A selector for the other side, and how a person would write it.
    fn peer(&self, part: &Part<'_>) -> Option<(Selector, String)> {
        let entity =
            |entity: Entity| Some((Selector::Entity(entity), format!("the entity `{}`", entity.word())));
        match part.other {
            End::Endpoint { pod, .. } => {
                let mut selector = LabelSelector::default();
                let labels = &self.desired.world.pods.get(pod)?.labels;
                labels.iter().for_each(|(key, value)| selector.require(key, value));
                let written: Vec<_> = selector.requirements.iter().map(words::requirement).collect();
                selector.require("io.kubernetes.pod.namespace", &pod.namespace);
                let labels = match written.as_slice() {
                    [] => "every pod".to_owned(),
                    all => format!("pods with `{}`", all.join(", ")),
                };
                Some((Selector::Labels(selector), format!("{labels} of namespace `{}`", pod.namespace)))
            }
            End::Outside { address, .. } => {
                let prefix = IpNet::from(*address);
                Some((Selector::Prefix { prefix, except: Vec::new() }, format!("`{prefix}`")))
            }
            End::Node { .. } | End::Reserved(_) => match part.answer.peer {
                Identity::HOST => entity(Entity::Host),
                Identity::WORLD => entity(Entity::World),
                Identity::KUBE_APISERVER => entity(Entity::KubeApiserver),
                _ => entity(Entity::RemoteNode),
            },
            End::Frontend { .. } | End::Service(_) => None,
        }
    }

    fn traffic(&self) -> String {
        let Flow { protocol, port } = *self.flow;
        match protocol {
            Protocol::Icmp | Protocol::Icmpv6 => format!("type {port} of {protocol}"),
            Protocol::Tcp | Protocol::Udp | Protocol::Sctp => format!("port {port}/{protocol}"),
            Protocol::Other(_) => protocol.to_string(),
        }
    }
}

fn delete(policy: &PolicyId) -> Edit {
    Edit { text: format!("delete {policy}"), change: Change::Delete(policy.clone()) }
}

/// Lists a request where the rules stand that sent it to the proxy.
fn let_pass(by: &[Author], seen: &Layer7) -> Vec<Edit> {
    let what = match seen {
        Layer7::Dns(name) | Layer7::ServerName(name) => name.clone(),
        Layer7::Http { method, path, .. } => format!("{method} {path}"),
    };
    let rules = by.iter().filter_map(|author| match author {
        Author::Rule { policy, path } => Some((policy, path)),
        Author::DefaultDeny { .. } | Author::Kubelet => None,
    });
    rules
        .map(|(policy, path)| Edit {
            text: format!("list `{what}` in {policy} {path}"),
            change: Change::LetPass(policy.clone(), path.clone(), seen.clone()),
        })
        .collect()
}

/// The label that a requirement asks of a pod.
fn label(pod: &ObjectName, requirement: &Requirement) -> Option<Edit> {
    let Requirement { source, key, operator } = requirement;
    if !matches!(source, None | Some(Source::K8s)) || key.starts_with("io.") {
        return None;
    }
    let value = match operator {
        Operator::In(values) => Some(values.first()?.clone()),
        Operator::Exists => Some(String::new()),
        Operator::NotIn(_) | Operator::DoesNotExist => None,
    };
    let text = match &value {
        Some(value) => format!("label the pod {pod} with `{key}={value}`"),
        None => format!("take the label `{key}` off the pod {pod}"),
    };
    Some(Edit { text, change: Change::Label(pod.clone(), key.clone(), value) })
}
