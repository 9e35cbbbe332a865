//! `from -> to` as probes: pods, services, nodes, addresses, URLs, DNS queries.

use std::net::Ipv6Addr;

use egret_core::probe::{Http, Peer, Port, Probe, Record, Request, Source};
use egret_core::world::World;
use egret_core::{ObjectName, Protocol};

use super::misread;
use super::piece::Piece;
use super::problems::Problems;
use super::serve;
use crate::diagnostic::Diagnostic;

/// Methods that may stand before the client.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
/// The namespace whose pods `*` leaves out: what the cluster needs is not what a case is about.
const SYSTEM: &str = "kube-system";

/// One probe and its text after expansion.
pub(super) struct Asked {
    pub(super) probe: Probe,
    pub(super) text: String,
}

/// One side after expansion.
pub(super) struct Side<T> {
    pub(super) what: T,
    pub(super) text: String,
    /// Came from `*`: a pod is not asked about itself then.
    is_wild: bool,
}

/// Reads a key of `expect`: every client with every target. `None` when a part was wrong.
pub(super) fn parse(
    key: &Piece<'_>,
    http: &Http,
    world: &World,
    problems: &mut Problems,
) -> Option<Vec<Asked>> {
    let halves = key.split_once("->");
    let (from, to) = problems.expect(halves, || {
        Diagnostic::error(format!("`{}` has no `->`", key.text()))
            .at(key.location())
            .help("write `from -> to: outcome`")
    })?;
    if let Some((_, again)) = to.split_once("->") {
        problems.add(
            Diagnostic::error(format!("`{}` has two `->`", key.text()))
                .at(again.location())
                .help("one line asks one thing of each target: `from -> to, other: outcome`"),
        );
        return None;
    }
    let (method, from) = method(&from.trim());
    let mut http = http.clone();
    if let Some(method) = &method {
        http.method = (*method).to_owned();
    }
    let sources: Vec<_> = from.list().iter().map(|from| source(from, world, problems)).collect();
    let targets: Vec<_> = to.list().iter().map(|to| target(to, &http, world, problems)).collect();
    let sources: Vec<_> = sources.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
    let targets: Vec<_> = targets.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
    if let Some(method) = method
        && targets.iter().any(|target| !target.text.contains("://"))
    {
        problems
            .add(Diagnostic::error(format!("`{method}` needs a URL to ask for")).at(to.trim().location()));
    }
    let method = method.map(|method| format!("{method} ")).unwrap_or_default();
    let mut asked = Vec::new();
    for source in &sources {
        for target in &targets {
            if (source.is_wild || target.is_wild) && is_self(&source.what, &target.what) {
                continue;
            }
            asked.push(Asked {
                probe: Probe { from: source.what.clone(), request: target.what.clone() },
                text: format!("{method}{} -> {}", source.text, target.text),
            });
        }
    }
    let nobody = sources.is_empty() || targets.is_empty();
    if asked.is_empty() && !nobody {
        problems.add(Diagnostic::error(format!("`{}` asks nothing", key.text())).at(key.location()));
    }
    Some(asked)
}

fn method<'a>(from: &Piece<'a>) -> (Option<&'static str>, Piece<'a>) {
    for method in METHODS {
        if let Some(rest) = from.strip_prefix(method).and_then(|rest| rest.strip_prefix(" ")) {
            return (Some(method), rest.trim());
        }
    }
    (None, from.clone())
}

fn is_self(from: &Source, request: &Request) -> bool {
    let peer = match request {
        Request::Connect { to, .. } | Request::Ping { to } => to,
        Request::Dns { .. } | Request::Keep { .. } | Request::Forge { .. } => return false,
    };
    matches!((from, peer), (Source::Pod(from), Peer::Pod(to)) if from == to)
}

/// The pods that `*` or `x/*` stands for; `None` when the text is neither.
fn wild(name: &Piece<'_>, world: &World, problems: &mut Problems) -> Option<Vec<ObjectName>> {
    let text = name.text();
    let namespace = if text == "*" { None } else { Some(text.strip_suffix("/*")?) };
    let is_meant = |pod: &&ObjectName| match namespace {
        Some(namespace) => pod.namespace == namespace,
        None => pod.namespace != SYSTEM,
    };
    let pods: Vec<_> = world.pods.keys().map(|pod| &**pod).filter(is_meant).cloned().collect();
    if pods.is_empty() {
        problems.add(Diagnostic::error(format!("`{text}` is no pod at all")).at(name.location()));
    }
    Some(pods)
}

/// One existing pod.
pub(super) fn pod(name: &Piece<'_>, world: &World, problems: &mut Problems) -> Option<ObjectName> {
    let pod = ObjectName::parse(name.text());
    problems.expect(world.pods.contains_key(&pod).then(|| pod.clone()), || {
        if is_meant_as_address(name.text()) {
            return Diagnostic::error(format!("`{}` is no address", name.text()))
                .at(name.location())
                .help("write `203.0.113.7:80` or `[2001:db8::7]:80`");
        }
        let pods: Vec<_> = world.pods.keys().map(|pod| short(pod)).collect();
        Diagnostic::error(format!("there is no pod `{}`", name.text()))
            .at(name.location())
            .nearest(name.text(), &pods)
    })
}

/// Whether somebody wrote an address, and not well: no name of a pod looks like this.
fn is_meant_as_address(text: &str) -> bool {
    text.starts_with('[') || (text.contains('.') && text.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn node(name: &Piece<'_>, world: &World, problems: &mut Problems) -> Option<String> {
    let node = name.text();
    problems.expect(world.nodes.contains_key(node).then(|| node.to_owned()), || {
        let nodes: Vec<_> = world.nodes.keys().collect();
        Diagnostic::error(format!("there is no node `{node}`")).at(name.location()).nearest(node, &nodes)
    })
}

fn service(name: &Piece<'_>, world: &World, problems: &mut Problems) -> Option<ObjectName> {
    let service = ObjectName::parse(name.text());
    problems.expect(world.services.contains_key(&service).then(|| service.clone()), || {
        let services: Vec<_> = world.services.keys().map(short).collect();
        Diagnostic::error(format!("there is no service `{}`", name.text()))
            .at(name.location())
            .nearest(name.text(), &services)
    })
}

/// The name as a case writes it: without the namespace `default`.
pub(super) fn short(name: &ObjectName) -> String {
    if name.namespace == ObjectName::DEFAULT_NAMESPACE { name.name.clone() } else { name.to_string() }
}

pub(super) fn source(from: &Piece<'_>, world: &World, problems: &mut Problems) -> Option<Vec<Side<Source>>> {
    let one = |what| vec![Side { what, text: from.text().to_owned(), is_wild: false }];
    if let Some(name) = from.strip_prefix("node ") {
        return node(&name.trim(), world, problems).map(Source::Node).map(one);
    }
    if let Some(pods) = wild(from, world, problems) {
        let sides =
            pods.into_iter().map(|pod| Side { text: short(&pod), what: Source::Pod(pod), is_wild: true });
        return Some(sides.collect());
    }
    if let Some(address) = from.address() {
        let is_host = world.internet.hosts.contains_key(&address);
        return problems.expect(is_host.then(|| one(Source::Address(address))), || {
            let hosts: Vec<_> = world.internet.hosts.keys().map(ToString::to_string).collect();
            Diagnostic::error(format!("no host of the Internet has the address `{address}`"))
                .at(from.location())
                .nearest(from.text(), &hosts)
        });
    }
    let words: Vec<_> = std::iter::once("node").chain(METHODS).collect();
    if let Some(problem) = misread::client(from, &words) {
        problems.add(problem);
        return None;
    }
    pod(from, world, problems).map(Source::Pod).map(one)
}

pub(super) fn target(
    to: &Piece<'_>,
    http: &Http,
    world: &World,
    problems: &mut Problems,
) -> Option<Vec<Side<Request>>> {
    let one = |what| vec![Side { what, text: to.text().to_owned(), is_wild: false }];
    if let Some(query) = to.strip_prefix("dns ") {
        return dns(&query, problems).map(one);
    }
    for (scheme, tls) in [("http://", false), ("https://", true)] {
        if let Some(rest) = to.strip_prefix(scheme) {
            return url(&rest, &Http { tls, ..http.clone() }, world, problems).map(one);
        }
    }
    if let Some(name) = to.text().strip_suffix(" icmp").map(|name| to.split_at(name.len()).0.trim()) {
        return ping(&name, world, problems);
    }
    if let Some(problem) = misread::target(to) {
        problems.add(problem);
        return None;
    }
    let parts = to.split_port();
    let (name, port) = problems.expect(parts, || {
        Diagnostic::error(format!("`{}` has no port", to.text()))
            .at(to.location())
            .help("write `pod:80`, `pod:53/UDP`, `pod icmp`, `http://name/` or `dns name`")
    })?;
    if [to, &name].iter().any(|piece| piece.text().parse::<Ipv6Addr>().is_ok()) {
        problems.add(
            Diagnostic::error("an IPv6 address with a port stands in brackets")
                .at(to.location())
                .help("`[2001:db8::7]:443`"),
        );
        return None;
    }
    let (port, protocol) = port_of(&port, problems)?;
    let request = |to, port| Request::Connect { to, port, protocol, http: http.clone() };
    let peers = peers(&name, world, problems)?;
    let mut sides = Vec::new();
    for peer in peers {
        check_port(&peer.what, &port, protocol, to, world, problems);
        let behind = &to.text()[name.text().len()..];
        sides.push(Side {
            text: format!("{}{behind}", peer.text),
            what: request(peer.what, port.clone()),
            is_wild: peer.is_wild,
        });
    }
    Some(sides)
}

/// Whom a name without port names.
fn peers(name: &Piece<'_>, world: &World, problems: &mut Problems) -> Option<Vec<Side<Peer>>> {
    let one = |what| vec![Side { what, text: name.text().to_owned(), is_wild: false }];
    if let Some(service_name) = name.strip_prefix("service ") {
        return service(&service_name.trim(), world, problems).map(Peer::Service).map(one);
    }
    if let Some(node_name) = name.strip_prefix("node ") {
        return node(&node_name.trim(), world, problems).map(Peer::Node).map(one);
    }
    if let Some(pods) = wild(name, world, problems) {
        let sides =
            pods.into_iter().map(|pod| Side { text: short(&pod), what: Peer::Pod(pod), is_wild: true });
        return Some(sides.collect());
    }
    match name.address() {
        Some(address) => Some(one(Peer::Address(address))),
        None => pod(name, world, problems).map(Peer::Pod).map(one),
    }
}

fn ping(name: &Piece<'_>, world: &World, problems: &mut Problems) -> Option<Vec<Side<Request>>> {
    let peers = peers(name, world, problems)?;
    let sides = peers.into_iter().map(|peer| Side {
        text: format!("{} icmp", peer.text),
        what: Request::Ping { to: peer.what },
        is_wild: peer.is_wild,
    });
    Some(sides.collect())
}

fn dns(query: &Piece<'_>, problems: &mut Problems) -> Option<Request> {
    let words = query.words();
    let (name, record) = match words.as_slice() {
        [name] => (name, Record::A),
        [name, kind] => match kind.text() {
            "A" => (name, Record::A),
            "AAAA" => (name, Record::Aaaa),
            other => {
                problems.add(
                    Diagnostic::error(format!("unknown record type `{other}`"))
                        .at(kind.location())
                        .nearest(other, &["A", "AAAA"]),
                );
                return None;
            }
        },
        _ => {
            problems.add(Diagnostic::error("`dns` takes a name and a record type").at(query.location()));
            return None;
        }
    };
    Some(Request::Dns { name: name.text().to_owned(), record })
}

/// What stands behind `http://`.
fn url(rest: &Piece<'_>, http: &Http, world: &World, problems: &mut Problems) -> Option<Request> {
    let text = rest.text();
    let first = text.find('/').unwrap_or(text.len());
    // `x/a:8080/path` names a pod: its namespace ends at the first slash.
    let second = text
        .get(first + 1..)
        .map_or(text.len(), |behind| behind.find('/').map_or(text.len(), |offset| first + 1 + offset));
    let is_service = text.starts_with("service ");
    let two = rest.split_at(second).0;
    let has_port = two.text()[first.min(two.text().len())..].contains(':') && !text[..first].contains(':');
    let is_pod = !is_service
        && !text.starts_with('[')
        && (has_port || world.pods.contains_key(&ObjectName::parse(two.text())) && first < second);
    let (host, path) =
        if is_pod || is_service && first < text.len() { rest.split_at(second) } else { rest.split_at(first) };
    let (name, port) = match host.split_port() {
        Some((name, port)) => (name, port_of(&port, problems)?.0),
        None => (host.clone(), Port::Number(if http.tls { 443 } else { 80 })),
    };
    let peer = if let Some(service_name) = name.strip_prefix("service ") {
        Peer::Service(service(&service_name.trim(), world, problems)?)
    } else if is_pod {
        Peer::Pod(pod(&name, world, problems)?)
    } else if let Some(address) = name.address() {
        Peer::Address(address)
    } else if name.text().is_empty() {
        problems.add(Diagnostic::error("the URL has no host").at(rest.location()));
        return None;
    } else {
        Peer::Name(name.text().to_owned())
    };
    check_port(&peer, &port, Protocol::Tcp, rest, world, problems);
    let path = if path.text().is_empty() { "/".to_owned() } else { path.text().to_owned() };
    Some(Request::Connect { to: peer, port, protocol: Protocol::Tcp, http: Http { path, ..http.clone() } })
}

/// Reads `80`, `81/UDP` or `http`.
fn port_of(port: &Piece<'_>, problems: &mut Problems) -> Option<(Port, Protocol)> {
    let (number, protocol) = match port.split_once("/") {
        None => (port.clone(), Protocol::Tcp),
        Some((number, word)) => (number, serve::parse_protocol(word.text(), &word.location(), problems)?),
    };
    let text = number.text();
    let looks_like_number = text.chars().all(|c| c.is_ascii_digit());
    let parsed = match text.parse::<u16>() {
        Ok(number) if number > 0 => Some(Port::Number(number)),
        Err(_) if !looks_like_number => Some(Port::Name(text.to_owned())),
        Ok(_) | Err(_) => None,
    };
    let parsed = problems
        .expect(parsed, || Diagnostic::error(format!("`{text}` is not a port")).at(number.location()))?;
    Some((parsed, protocol))
}

/// A port by name, and any port of a service, must be there.
fn check_port(
    peer: &Peer,
    port: &Port,
    protocol: Protocol,
    to: &Piece<'_>,
    world: &World,
    problems: &mut Problems,
) {
    let valid: Vec<String> = match (peer, port) {
        (Peer::Pod(pod), Port::Name(_)) => {
            let serves = world.pods.get(pod).map(|pod| pod.serves.as_slice()).unwrap_or_default();
            serves
                .iter()
                .filter(|serve| serve.protocol == protocol)
                .filter_map(|serve| serve.name.clone())
                .collect()
        }
        (Peer::Service(service), _) => {
            let ports =
                world.services.get(service).map(|service| service.ports.as_slice()).unwrap_or_default();
            let ports = ports.iter().filter(|port| port.protocol == protocol);
            ports.flat_map(|port| port.name.clone().into_iter().chain([port.port.to_string()])).collect()
        }
        (Peer::Pod(_) | Peer::Node(_) | Peer::Address(_) | Peer::Name(_), Port::Number(_)) => return,
        (Peer::Node(_) | Peer::Address(_) | Peer::Name(_), Port::Name(_)) => Vec::new(),
    };
    let word = match port {
        Port::Number(number) => number.to_string(),
        Port::Name(name) => name.clone(),
    };
    if !valid.contains(&word) {
        problems.add(
            Diagnostic::error(format!("`{}` has no {protocol} port `{word}`", to.text()))
                .at(to.location())
                .nearest(&word, &valid),
        );
    }
}
