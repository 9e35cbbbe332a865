//! Probes whose packet has another source than its client: `source` in the long form of an expectation.

use std::net::IpAddr;

use egret_core::Protocol;
use egret_core::probe::{Probe, Request, Source as From};

use super::around::Around;
use super::problems::Problems;
use super::target::Asked;
use crate::diagnostic::Diagnostic;
use crate::yaml::Located;

/// The probe with another source address: one packet, from a pod whose endpoint looks at it.
pub(super) fn lower(
    source: &Located<String>,
    asked: Asked,
    around: &Around<'_>,
    problems: &mut Problems,
) -> Option<Asked> {
    let at = source.at.in_source(around.source);
    let address = match source.value.parse::<IpAddr>() {
        Ok(address @ IpAddr::V4(_)) => address,
        Ok(IpAddr::V6(_)) => {
            problems.not_simulated("a forged IPv6 source", at);
            return None;
        }
        Err(_) => {
            problems.add(Diagnostic::error(format!("`{}` is not an address", source.value)).at(at));
            return None;
        }
    };
    let Asked { probe, text } = asked;
    let pod = match &probe.from {
        From::Pod(name) => around.world.pods.get(name).filter(|pod| !pod.host_network),
        From::Node(_) | From::Address(_) => None,
    };
    let Some(pod) = pod else {
        problems.add(Diagnostic::error("only a pod with a network of its own may forge its source").at(at));
        return None;
    };
    if pod.addresses.contains(&address) {
        problems.add(
            Diagnostic::error(format!("`{address}` is the client's own address"))
                .at(at.clone())
                .help("give another one, or leave `source` out"),
        );
    }
    match probe.request {
        Request::Connect { to, port, protocol: protocol @ (Protocol::Tcp | Protocol::Udp), .. }
            if !text.contains("://") =>
        {
            let text = text.replacen(" -> ", &format!(" as {address} -> "), 1);
            let request = Request::Forge { source: address, to, port, protocol };
            Some(Asked { probe: Probe { request, ..probe }, text })
        }
        Request::Connect { .. }
        | Request::Ping { .. }
        | Request::Dns { .. }
        | Request::Keep { .. }
        | Request::Forge { .. } => {
            problems.add(
                Diagnostic::error(format!("`{text}` cannot have a forged source"))
                    .at(at)
                    .help("ask for a port over TCP or UDP: `pod:80`, `pod:53/UDP`"),
            );
            None
        }
    }
}
