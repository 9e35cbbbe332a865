//! A case's world as objects of a cluster.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_agent::netlink::family;
use egret_core::world::{Application, Pod, Service, TargetPort, World};
use egret_core::{Labels, ObjectName, Protocol};
use serde_json::{Value, json};

use super::naming::Naming;
use super::nodes::Families;
use super::object::{Key, Kind, Run};
use crate::pod::{ADDRESSES, MENU, Menu};

/// What objects are made with beside the world.
pub(super) struct Shape<'a> {
    pub(super) run: &'a Run,
    pub(super) naming: &'a Naming,
    /// The image that pods run.
    pub(super) image: &'a str,
    /// The cluster's node for each of the case's.
    pub(super) nodes: &'a BTreeMap<String, String>,
    pub(super) families: Families,
}

/// Namespaces that every cluster has.
pub(super) const ALWAYS_THERE: [&str; 2] = ["default", "kube-system"];

/// Whether a pod is the cluster's own: its DNS server is there already, and it is the one that resolves.
pub(super) fn is_clusters_own(pod: &Pod) -> bool {
    pod.serves.iter().any(|serve| match serve.application {
        Application::ClusterDns => true,
        Application::Identity | Application::Https => false,
    })
}

/// Whether a service is the cluster's own: that of its DNS server.
pub(super) fn is_clusters_own_service(name: &ObjectName) -> bool {
    *name == ObjectName::new("kube-system", "kube-dns")
}

impl Shape<'_> {
    /// Every object of a world but its namespaces.
    pub(super) fn objects(&self, world: &World) -> BTreeMap<Key, Value> {
        let mut objects = BTreeMap::new();
        for (name, pod) in world.pods.iter().filter(|(_, pod)| !is_clusters_own(pod)) {
            let account = account_of(pod);
            if account != "default" {
                let key = self.key(Kind::ServiceAccount, &ObjectName::new(&name.namespace, account));
                let object =
                    key.object(self.run, &json!({}), json!({ "automountServiceAccountToken": false }));
                objects.insert(key, object);
            }
            let key = self.key(Kind::Pod, name);
            let object = self.pod(&key, name, pod);
            objects.insert(key, object);
        }
        for (name, service) in world.services.iter().filter(|(name, _)| !is_clusters_own_service(name)) {
            let key = self.key(Kind::Service, name);
            let object = key.object(self.run, &labels(&service.labels), self.service_spec(service));
            objects.insert(key, object);
        }
        objects
    }

    /// The objects' key in the cluster.
    pub(super) fn key(&self, kind: Kind, name: &ObjectName) -> Key {
        Key::new(kind, Some(&self.naming.namespace(&name.namespace)), &name.name)
    }

    fn pod(&self, key: &Key, name: &ObjectName, pod: &Pod) -> Value {
        let menu = Menu { identity: name.to_string(), serves: pod.serves.clone() };
        let place = Place {
            node: self.nodes.get(&pod.node).map(String::as_str),
            host_network: pod.host_network,
            account: account_of(pod),
        };
        key.object(self.run, &labels(&pod.labels), json!({ "spec": spec(self.image, &menu, &place) }))
    }

    fn service_spec(&self, service: &Service) -> Value {
        let ports: Vec<Value> = service
            .ports
            .iter()
            .map(|port| {
                let target = match &port.target {
                    TargetPort::Number(number) => json!(number),
                    TargetPort::Name(name) => json!(name),
                };
                let mut object =
                    json!({ "port": port.port, "protocol": protocol(port.protocol), "targetPort": target });
                // Several ports need names; one without gets one that says the same.
                object["name"] = match &port.name {
                    Some(name) => name.clone().into(),
                    None => format!("{}-{}", protocol(port.protocol).to_lowercase(), port.port).into(),
                };
                object
            })
            .collect();
        let mut spec = json!({ "ports": ports });
        if let Some(selector) = &service.selector {
            spec["selector"] = labels(selector);
        }
        if service.cluster_ips.is_empty() {
            spec["clusterIP"] = "None".into();
        } else if self.families.are_both() {
            // The cluster's first family is the default, and a service of both is one that asks for it.
            let family = |address| if IpAddr::is_ipv4(&address) { "IPv4" } else { "IPv6" };
            let families: Vec<&str> = family::families(&service.cluster_ips).map(family).collect();
            let policy = if families.len() > 1 { "RequireDualStack" } else { "SingleStack" };
            spec["ipFamilyPolicy"] = policy.into();
            spec["ipFamilies"] = families.into();
        }
        json!({ "spec": spec })
    }
}

/// Where a pod runs, and as whom.
pub(super) struct Place<'a> {
    pub(super) node: Option<&'a str>,
    pub(super) host_network: bool,
    pub(super) account: &'a str,
}

/// `spec` of a pod of ours.
pub(super) fn spec(image: &str, menu: &Menu, place: &Place<'_>) -> Value {
    let ports: Vec<Value> = menu
        .serves
        .iter()
        .map(|serve| {
            let mut port = json!({ "containerPort": serve.port, "protocol": protocol(serve.protocol) });
            if let Some(name) = &serve.name {
                port["name"] = name.clone().into();
            }
            port
        })
        .collect();
    let menu = serde_json::to_string(menu).expect("plain structs of text and numbers always serialise");
    let mut spec = json!({
        "serviceAccountName": place.account,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "pod",
            "image": image,
            // It is in no registry: a node that lacks it says so instead of asking for it.
            "imagePullPolicy": "Never",
            "command": ["/egret", "pod", "serve"],
            "ports": ports,
            "env": [
                { "name": MENU, "value": menu },
                { "name": ADDRESSES, "valueFrom": { "fieldRef": { "fieldPath": "status.podIPs" } } },
            ],
            // Inside the pod, where no policy reaches; and no more once it serves: a process per pod and second
            // would take the node's time from what is measured.
            "startupProbe": {
                "exec": { "command": ["/egret", "pod", "ready"] },
                "periodSeconds": 1,
                "failureThreshold": 60,
            },
        }],
    });
    if place.host_network {
        spec["hostNetwork"] = true.into();
        spec["dnsPolicy"] = "ClusterFirstWithHostNet".into();
    }
    if let Some(node) = place.node {
        // The scheduler still counts it, as `nodeName` would keep it from doing.
        spec["affinity"] = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{
                "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }],
            }],
        } } });
    }
    spec
}

fn account_of(pod: &Pod) -> &str {
    if pod.service_account.is_empty() { "default" } else { &pod.service_account }
}

/// Labels as an object.
pub(super) fn labels(labels: &Labels) -> Value {
    labels.iter().map(|(key, value)| (key.to_string(), Value::from(value.to_string()))).collect()
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
        // Nothing else serves ports.
        Protocol::Tcp | Protocol::Icmp | Protocol::Icmpv6 | Protocol::Other(_) => "TCP",
    }
}
