//! The case's namespaces and the cluster's: the same, or behind a prefix that keeps a case to itself.

use std::collections::BTreeSet;

use egret_core::World;
use egret_core::probe::{Opening, Peer, Probe, Request};
use serde_json::Value;

/// Labels by which policies name a namespace, as the end of a key: Cilium writes a source before them.
const NAMESPACE_KEYS: [&str; 2] = ["kubernetes.io/metadata.name", "io.kubernetes.pod.namespace"];
/// Keys under which policies have a name of DNS, or a pattern of such names.
const DNS_KEYS: [&str; 2] = ["matchName", "matchPattern"];
/// The cluster's own, which nobody renames.
const SYSTEM: &str = "kube-system";

/// How namespaces are renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Naming {
    pub(super) prefix: Option<String>,
    /// The namespaces of the world that is there: names of DNS with others are not the case's.
    namespaces: BTreeSet<String>,
}

impl Naming {
    /// With this prefix, or the same names on both sides.
    pub(super) const fn new(prefix: Option<String>) -> Self {
        Self { prefix, namespaces: BTreeSet::new() }
    }

    /// Takes the namespaces of a world for the case's.
    pub(super) fn of_world(&mut self, world: &World) {
        self.namespaces = world.namespaces.keys().cloned().collect();
    }

    /// The cluster's name for a namespace. `kube-system` is the cluster's own and nobody's to rename.
    pub(super) fn namespace(&self, name: &str) -> String {
        match &self.prefix {
            Some(prefix) if name != SYSTEM => format!("{prefix}{name}"),
            Some(_) | None => name.to_owned(),
        }
    }

    /// The case's name for a namespace of the cluster.
    pub(super) fn in_case<'a>(&self, name: &'a str) -> &'a str {
        self.prefix.as_deref().and_then(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
    }

    /// What a client in the cluster is asked for a probe of the case: names of services have the cluster's namespaces.
    pub(super) fn probe(&self, probe: &Probe) -> Probe {
        let mut probe = probe.clone();
        match &mut probe.request {
            Request::Dns { name, .. }
            | Request::Connect { to: Peer::Name(name), .. }
            | Request::Ping { to: Peer::Name(name) }
            | Request::Forge { to: Peer::Name(name), .. }
            | Request::Keep { open: Some(Opening { to: Peer::Name(name), .. }), .. } => {
                *name = self.dns(name);
            }
            Request::Connect { .. } | Request::Ping { .. } | Request::Forge { .. } | Request::Keep { .. } => {
            }
        }
        probe
    }

    /// A name of DNS, or a pattern of such names, with the cluster's name for a namespace of the case. The namespace
    /// stands before `svc`, or ends a name of two labels that a search list makes whole:
    /// <https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>
    fn dns(&self, name: &str) -> String {
        // A dot at the end makes it whole, and whole it has a domain.
        let (bare, dot) = name.strip_suffix('.').map_or((name, ""), |bare| (bare, "."));
        let mut labels: Vec<&str> = bare.split('.').collect();
        let is_service = match labels.as_slice() {
            [_, _] | [_, _, _] if !dot.is_empty() => false,
            [_, _] => true,
            [_, _, svc, ..] => svc.eq_ignore_ascii_case("svc"),
            [] | [_] => false,
        };
        let Some(namespace) = labels.get_mut(1).filter(|_| is_service) else { return name.to_owned() };
        let in_case = namespace.to_lowercase();
        let in_cluster = self.namespace(&in_case);
        if in_cluster == in_case || !self.namespaces.contains(&in_case) {
            return name.to_owned();
        }
        *namespace = &in_cluster;
        labels.join(".") + dot
    }

    /// A policy with the names of its namespaces in the cluster; without a prefix, the same document.
    pub(super) fn policy(&self, document: &mut Value) {
        if self.prefix.is_none() {
            return;
        }
        if let Some(Value::String(namespace)) = document.pointer_mut("/metadata/namespace") {
            *namespace = self.namespace(namespace);
        }
        for part in ["spec", "specs"] {
            if let Some(part) = document.get_mut(part) {
                self.rename(part);
            }
        }
    }

    fn rename(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item)),
            Value::Object(object) => {
                let key = object.get("key").and_then(Value::as_str).is_some_and(names_namespaces);
                for (name, inner) in object.iter_mut() {
                    match inner {
                        Value::String(text) if names_namespaces(name) || name == "namespace" => {
                            *text = self.namespace(text);
                        }
                        Value::String(text) if DNS_KEYS.contains(&name.as_str()) => *text = self.dns(text),
                        Value::Array(values) if key && name == "values" => {
                            for value in values {
                                if let Value::String(text) = value {
                                    *text = self.namespace(text);
                                }
                            }
                        }
                        other @ (Value::Null
                        | Value::Bool(_)
                        | Value::Number(_)
                        | Value::String(_)
                        | Value::Array(_)
                        | Value::Object(_)) => self.rename(other),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn names_namespaces(key: &str) -> bool {
    let bare = key.rsplit_once(':').map_or(key, |(_, bare)| bare);
    NAMESPACE_KEYS.contains(&bare)
}

#[cfg(test)]
mod tests {
    use super::*;
    use egret_core::probe::{Http, Port, Record, Source};
    use egret_core::{ObjectName, Protocol};
    use rstest::rstest;
    use serde_json::json;

    fn policy() -> Value {
        json!({
            "metadata": { "name": "a", "namespace": "x" },
            "spec": {
                "ingress": [{ "from": [
                    { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "y", "team": "y" } } },
                    { "namespaceSelector": { "matchExpressions": [
                        { "key": "kubernetes.io/metadata.name", "operator": "In", "values": ["y", "kube-system"] },
                        { "key": "team", "operator": "In", "values": ["y"] },
                    ] } },
                ] }],
                "egress": [
                    { "toEndpoints": [{ "matchLabels": { "k8s:io.kubernetes.pod.namespace": "y" } }] },
                    { "toServices": [{ "k8sService": { "serviceName": "s", "namespace": "y" } }] },
                ],
            },
        })
    }

    fn naming() -> Naming {
        let mut naming = Naming::new(Some("t-".into()));
        let namespaces = ["x", "y", "com", "kube-system"].map(|name| (name.to_owned(), Default::default()));
        naming.of_world(&World { namespaces: namespaces.into(), ..World::default() });
        naming
    }

    #[rstest]
    #[case::of_two_labels("web.y", "web.t-y")]
    #[case::with_svc("web.y.svc", "web.t-y.svc")]
    #[case::whole("web.y.svc.cluster.local", "web.t-y.svc.cluster.local")]
    #[case::whole_with_a_dot("web.y.svc.cluster.local.", "web.t-y.svc.cluster.local.")]
    #[case::of_another_domain("web.y.svc.k8s.example.", "web.t-y.svc.k8s.example.")]
    #[case::in_capitals("Web.Y.SVC.cluster.local", "Web.t-y.SVC.cluster.local")]
    #[case::a_pattern("*.y.svc.cluster.local", "*.t-y.svc.cluster.local")]
    #[case::a_pattern_of_namespaces("web.*.svc.cluster.local", "web.*.svc.cluster.local")]
    #[case::everything("*", "*")]
    #[case::of_one_label("web", "web")]
    #[case::of_the_cluster(
        "kube-dns.kube-system.svc.cluster.local",
        "kube-dns.kube-system.svc.cluster.local"
    )]
    #[case::of_no_namespace_of_the_case("web.z.svc.cluster.local", "web.z.svc.cluster.local")]
    #[case::two_labels_that_are_whole("example.com.", "example.com.")]
    #[case::svc_that_is_whole("web.y.svc.", "web.y.svc.")]
    #[case::outside("api.y.com", "api.y.com")]
    fn names_of_services_get_the_prefix(#[case] name: &str, #[case] in_cluster: &str) {
        assert_eq!(naming().dns(name), in_cluster);
        // Without one, or before there is a world, nothing changes.
        assert_eq!(Naming::new(Some("t-".into())).dns(name), name);
        let bare = Naming { prefix: None, ..naming() };
        assert_eq!(bare.probe(&dns(name)), dns(name));
    }

    fn dns(name: &str) -> Probe {
        asks(Request::Dns { name: name.into(), record: Record::A })
    }

    fn asks(request: Request) -> Probe {
        Probe { from: Source::Node("n".into()), request }
    }

    #[test]
    fn clients_ask_for_names_with_the_prefix() {
        let to = |name: &str| Peer::Name(name.into());
        let port = Port::Number(80);
        let connect =
            |to| Request::Connect { to, port: port.clone(), protocol: Protocol::Tcp, http: Http::default() };
        let keep =
            |to| Request::Keep { connection: "c".into(), open: Some(Opening { to, port: port.clone() }) };
        let naming = naming();
        let ping = |to| Request::Ping { to };
        for request in [&connect, &keep, &ping] as [&dyn Fn(Peer) -> Request; 3] {
            assert_eq!(naming.probe(&asks(request(to("web.y")))), asks(request(to("web.t-y"))));
            // Pods are found by their addresses.
            let pod = asks(request(Peer::Pod(ObjectName::new("y", "web"))));
            assert_eq!(naming.probe(&pod), pod);
        }
        assert_eq!(naming.probe(&dns("web.y")), dns("web.t-y"));
    }

    #[test]
    fn names_of_services_in_policies_get_the_prefix() {
        let mut document = json!({ "metadata": { "namespace": "x" }, "specs": [{ "egress": [
            { "toFQDNs": [{ "matchName": "web.y.svc.cluster.local" }, { "matchPattern": "*.example.com" }] },
            { "toPorts": [{ "rules": { "dns": [{ "matchPattern": "*.y.svc.cluster.local" }] } }] },
        ] }] });
        naming().policy(&mut document);
        let egress = &document["specs"][0]["egress"];
        let names =
            json!([{ "matchName": "web.t-y.svc.cluster.local" }, { "matchPattern": "*.example.com" }]);
        assert_eq!(egress[0]["toFQDNs"], names);
        let rule = json!({ "matchPattern": "*.t-y.svc.cluster.local" });
        assert_eq!(egress[1]["toPorts"][0]["rules"]["dns"][0], rule);
    }

    #[test]
    fn namespaces_in_policies_get_the_prefix() {
        let mut document = policy();
        naming().policy(&mut document);
        assert_eq!(document["metadata"]["namespace"], "t-x");
        let from = &document["spec"]["ingress"][0]["from"];
        let labels = json!({ "kubernetes.io/metadata.name": "t-y", "team": "y" });
        assert_eq!(from[0]["namespaceSelector"]["matchLabels"], labels);
        let expressions = &from[1]["namespaceSelector"]["matchExpressions"];
        assert_eq!(expressions[0]["values"], json!(["t-y", "kube-system"]));
        assert_eq!(expressions[1]["values"], json!(["y"]));
        let egress = &document["spec"]["egress"];
        let labels = json!({ "k8s:io.kubernetes.pod.namespace": "t-y" });
        assert_eq!(egress[0]["toEndpoints"][0]["matchLabels"], labels);
        assert_eq!(egress[1]["toServices"][0]["k8sService"]["namespace"], "t-y");
    }

    #[test]
    fn without_a_prefix_a_policy_stays_as_it_is() {
        let mut document = policy();
        Naming::default().policy(&mut document);
        assert_eq!(document, policy());
    }
}
