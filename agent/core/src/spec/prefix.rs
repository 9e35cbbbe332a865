//! Prefixes and their exceptions as documents write them.

use alloc::format;
use core::net::IpAddr;

use ipnet::IpNet;

use super::check::Check;

/// Reads a prefix; bits below its length are cleared, as the engines clear them.
///
/// Numbers with leading zeros are refused, as Cilium refuses them (Go's `netip.ParsePrefix`): who reads them as
/// octal means another prefix.
pub(super) fn prefix(check: &mut Check, path: &str, text: &str) -> Option<IpNet> {
    match parse(text) {
        Some(net) => Some(net.trunc()),
        None => {
            let help = match (text.parse::<IpAddr>(), text.parse::<IpNet>()) {
                (Ok(address), _) if address.is_ipv4() => format!("an address needs a length: `{text}/32`"),
                (Ok(_), _) => format!("an address needs a length: `{text}/128`"),
                (Err(_), Ok(net)) => format!("write it without leading zeros: `{net}`"),
                (Err(_), Err(_)) => {
                    "write an address, a slash and a length, for example `192.0.2.0/24`".into()
                }
            };
            check.problem_with(path, format!("`{text}` is not a CIDR"), help);
            None
        }
    }
}

fn parse(text: &str) -> Option<IpNet> {
    let (address, length) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let is_number = length == "0" || length.starts_with(|digit: char| matches!(digit, '1'..='9'));
    let length = length.parse().ok().filter(|_| is_number)?;
    IpNet::new(address, length).ok()
}

/// How an exception must lie in its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inside {
    /// Inside or equal (Cilium).
    OrEqual,
    /// Inside and longer (Kubernetes).
    Strictly,
}

/// Reads an exception of a prefix.
pub(super) fn exception(
    check: &mut Check,
    path: &str,
    text: &str,
    of: Option<IpNet>,
    inside: Inside,
) -> Option<IpNet> {
    let except = prefix(check, path, text)?;
    let outer = of?;
    let fits =
        outer.contains(&except) && (inside == Inside::OrEqual || except.prefix_len() > outer.prefix_len());
    if !fits {
        let rule = match inside {
            Inside::OrEqual => "must lie inside",
            Inside::Strictly => "must be a strict subset of",
        };
        check.problem(path, format!("exception `{text}` {rule} `{outer}`"));
        return None;
    }
    Some(except)
}
