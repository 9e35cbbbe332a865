//! Names of the case and of the cluster, as tables.

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
#[case::of_the_cluster("kube-dns.kube-system.svc.cluster.local", "kube-dns.kube-system.svc.cluster.local")]
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
    let keep = |to| Request::Keep { connection: "c".into(), open: Some(Opening { to, port: port.clone() }) };
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
    let names = json!([{ "matchName": "web.t-y.svc.cluster.local" }, { "matchPattern": "*.example.com" }]);
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
