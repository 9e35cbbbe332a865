//! `egret explain FROM TO[:PORT[/PROTO]] -f PATH…`: why one flow passes or not.

use std::borrow::Cow;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use egret_core::fqdn::Names;
use egret_core::judge::{self, Layer7, Party, Question};
use egret_core::world::World;
use egret_core::{ObjectName, Protocol};

use super::{DialectWord, TableFormat};
use crate::cluster;
use crate::error::Error;
use crate::exit::Exit;
use crate::explain::explain_with_flips;
use crate::verdict::learned;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Who opens the connection: a pod, an address, world, host, remote-node, kube-apiserver, node/NAME or
    /// service/NAMESPACE/NAME
    from: String,
    /// Whom it is for, with the port: `shop/web:80`, `service/shop/db:5432/TCP`, `192.0.2.1:53/UDP`, `shop/web:8/ICMP`
    to: String,
    /// Manifests of the cluster and its policies: files, folders, or `-`
    #[arg(short, long = "file", value_name = "PATH", required = true, num_args = 1..)]
    files: Vec<PathBuf>,
    /// Whose reading of the policies holds; without it Cilium's where any policy is Cilium's own
    #[arg(long, value_enum)]
    dialect: Option<DialectWord>,
    /// What was learned from DNS: `api.github.com: [140.82.121.6]`
    #[arg(long, value_name = "FILE")]
    names: Option<PathBuf>,
    /// The name that a DNS query asks for
    #[arg(long, value_name = "NAME", conflicts_with_all = ["http", "sni"])]
    dns: Option<String>,
    /// The request that the client sends: `GET /path`
    #[arg(long, value_name = "METHOD PATH", conflicts_with = "sni")]
    http: Option<String>,
    /// The request's host
    #[arg(long, value_name = "HOST", requires = "http")]
    host: Option<String>,
    /// One of the request's headers; may be given several times
    #[arg(long, value_name = "NAME: VALUE", requires = "http")]
    header: Vec<String>,
    /// The server name of a TLS handshake
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// Text for people, or JSON
    #[arg(long, value_enum, default_value_t)]
    format: TableFormat,
}

pub(super) fn run(arguments: &Arguments) -> Result<Exit, Error> {
    let cluster = cluster::read(&arguments.files, arguments.dialect.map(Into::into)).map_err(Error::Input)?;
    super::say_odd(&cluster);
    let question = question(arguments, &cluster.desired.world).map_err(Error::Question)?;
    let names = match &arguments.names {
        Some(path) => learned(path).map_err(Error::Input)?,
        None => Names::default(),
    };
    let compiled = judge::Cluster::new(&cluster.desired, &names);
    let explanation = explain_with_flips(&cluster, &compiled, &names, &question)
        .map_err(|unanswerable| Error::Question(unanswerable.to_string()))?;
    super::print(&match arguments.format {
        TableFormat::Text => explanation.to_string(),
        TableFormat::Json => super::json(&explanation),
    });
    Ok(Exit::Passed)
}

fn question(arguments: &Arguments, world: &World) -> Result<Question, String> {
    let party = |text: &str| {
        Party::parse(text).ok_or_else(|| format!("`{text}` names no pod, address, node or service"))
    };
    let (to, port) = split(&arguments.to);
    let to = party(to)?;
    let (port, protocol) = match port {
        Some(port) => traffic(port)?,
        None => only_port(&to, world)
            .ok_or_else(|| format!("`{}` needs a port: `{}:80`", arguments.to, in_brackets(&arguments.to)))?,
    };
    let layer7 = layer7(arguments)?;
    Ok(Question { from: party(&arguments.from)?, to, protocol, port, layer7 })
}

/// How a party is written before a port.
fn in_brackets(party: &str) -> Cow<'_, str> {
    if party.parse::<Ipv6Addr>().is_ok() { format!("[{party}]").into() } else { party.into() }
}

/// What a proxy would see.
fn layer7(arguments: &Arguments) -> Result<Option<Layer7>, String> {
    let Arguments { dns, http, host, header, sni, .. } = arguments;
    let Some(http) = http else {
        let dns = dns.clone().map(Layer7::Dns);
        return Ok(dns.or_else(|| sni.clone().map(Layer7::ServerName)));
    };
    let (method, path) = http
        .split_once(' ')
        .ok_or_else(|| format!("`{http}` is no request: write the method and the path, as `GET /`"))?;
    let headers = header.iter().map(|text| {
        let (name, value) =
            text.split_once(':').ok_or_else(|| format!("`{text}` is no header: write `name: value`"))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    });
    Ok(Some(Layer7::Http {
        method: method.to_owned(),
        path: path.trim().to_owned(),
        host: host.clone().unwrap_or_default(),
        headers: headers.collect::<Result<_, String>>()?,
    }))
}

/// A party and the text of its port; an IPv6 address with a port stands in brackets.
fn split(text: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        return (text, None);
    }
    match text.rsplit_once(':') {
        Some((party, port)) => (party, Some(port)),
        None => (text, None),
    }
}

/// `80`, `53/UDP`, `8/ICMP`.
fn traffic(text: &str) -> Result<(u16, Protocol), String> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
    let protocol = Protocol::parse(protocol)
        .ok_or_else(|| format!("`{protocol}` is no protocol; there are TCP, UDP, SCTP, ICMP and ICMPv6"))?;
    port.parse().map(|port| (port, protocol)).map_err(|_| format!("`{port}` is no port"))
}

/// The port of a pod or service that has one.
fn only_port(to: &Party, world: &World) -> Option<(u16, Protocol)> {
    let ports: Vec<_> = match to {
        Party::Pod(name) => serves(world, name),
        Party::Service(name) => {
            let ports = &world.services.get(name)?.ports;
            ports.iter().map(|port| (port.port, port.protocol)).collect()
        }
        Party::Address(_)
        | Party::World
        | Party::Host
        | Party::RemoteNode
        | Party::KubeApiserver
        | Party::Node(_) => Vec::new(),
    };
    match ports.as_slice() {
        [only] => Some(*only),
        [] | [_, ..] => None,
    }
}

fn serves(world: &World, name: &ObjectName) -> Vec<(u16, Protocol)> {
    let serves = world.pods.get(name).map(|pod| pod.serves.as_slice()).unwrap_or_default();
    serves.iter().map(|serve| (serve.port, serve.protocol)).collect()
}
