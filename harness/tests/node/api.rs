//! An API server with a fixed cluster: it lists, and its watches stay open and silent.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use egret_agent::Netns;
use serde_json::{Value, json};

/// Pods of the node: `pod-0` and so on, each labelled with its name.
pub(crate) const PODS: usize = 40;

/// The UID of a pod.
pub(crate) fn uid(pod: usize) -> String {
    format!("uid-{pod}")
}

/// Address families of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Families {
    V4,
    V6,
    Dual,
}

impl Families {
    /// Of what IPv4 and IPv6 have, what the cluster has.
    pub(crate) fn of<T>(self, v4: T, v6: T) -> Vec<T> {
        match self {
            Self::V4 => vec![v4],
            Self::V6 => vec![v6],
            Self::Dual => vec![v4, v6],
        }
    }
}

/// Serves until the process ends.
pub(crate) fn serve(node: &Netns, families: Families, policies: &[Value]) -> io::Result<SocketAddr> {
    let listener = node.enter(|| TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let lists = Arc::new(lists(families, policies));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let lists = Arc::clone(&lists);
            // A client that has gone ends its thread.
            std::thread::spawn(move || drop(answer(&stream, &lists)));
        }
    });
    Ok(address)
}

fn lists(families: Families, policies: &[Value]) -> BTreeMap<&'static str, Vec<Value>> {
    let of = |kind: &str| policies.iter().filter(|policy| policy["kind"] == kind).cloned().collect();
    let metadata = |name: &str, uid: &str| json!({ "name": name, "uid": uid, "resourceVersion": "7" });
    let node = |name: &str, number: u8| {
        let prefixes = (format!("10.244.{number}.0/24"), format!("fd00:10:244:{number}::/64"));
        let addresses = (format!("10.77.0.{number}"), format!("fd77::{number}"));
        let internal = |address: String| json!({ "type": "InternalIP", "address": address });
        let addresses = families.of(addresses.0, addresses.1).into_iter().map(internal);
        json!({
            "metadata": metadata(name, name),
            "spec": { "podCIDRs": families.of(prefixes.0, prefixes.1) },
            "status": { "addresses": addresses.collect::<Vec<_>>() },
        })
    };
    let pod = |number: usize| {
        let name = format!("pod-{number}");
        let mut metadata = metadata(&name, &uid(number));
        metadata["namespace"] = "default".into();
        metadata["labels"] = json!({ "app": name });
        json!({ "metadata": metadata, "spec": { "nodeName": "here", "containers": [] }, "status": {} })
    };
    [
        ("/api/v1/namespaces", vec![json!({ "metadata": metadata("default", "ns") })]),
        ("/api/v1/nodes", vec![node("here", 1), node("there", 2)]),
        ("/api/v1/pods", (0..PODS).map(pod).collect()),
        ("/api/v1/services", Vec::new()),
        ("/apis/discovery.k8s.io/v1/endpointslices", Vec::new()),
        ("/apis/networking.k8s.io/v1/networkpolicies", of("NetworkPolicy")),
        ("/apis/cilium.io/v2/ciliumnetworkpolicies", of("CiliumNetworkPolicy")),
    ]
    .into()
}

/// Answers the requests of one connection.
fn answer(stream: &TcpStream, lists: &BTreeMap<&str, Vec<Value>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut header = String::from("-");
        while !header.trim().is_empty() {
            header.clear();
            reader.read_line(&mut header)?;
        }
        let target = first.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if query.contains("watch=true") {
            write!(
                writer,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            )?;
            // Until the client goes.
            return reader.read_to_end(&mut Vec::new()).map(|_| ());
        }
        let (status, body) = match lists.get(path) {
            Some(items) => (
                "200 OK",
                json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "9" }, "items": items }),
            ),
            // The kinds that this cluster does not have.
            None => (
                "404 Not Found",
                json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
                        "message": "no such kind", "code": 404, "metadata": {} }),
            ),
        };
        let body = body.to_string();
        write!(
            writer,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}
