//! The simulated Internet: names with their records, and the hosts that the records lead to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use egret_core::world::{Internet, Serve, Zone};

use super::address::{check_family, check_outside, parse_address};
use super::parts::Given;
use super::problems::Problems;
use super::serve;
use crate::case::schema::{AnswersWord, InternetFile};
use crate::diagnostic::Diagnostic;

/// Time to live of records that give none, in seconds.
const DEFAULT_TTL: u32 = 60;

/// Adds names and hosts.
pub(super) fn add(
    internet: &mut Internet,
    parts: &BTreeMap<String, Given<InternetFile>>,
    ipv6: bool,
    problems: &mut Problems,
) {
    for (key, part) in parts {
        if let Ok(address) = key.parse::<IpAddr>() {
            add_host(internet, address, part, ipv6, problems);
        } else {
            add_name(internet, key, part, ipv6, problems);
        }
    }
    // A host that nobody gives a port answers as a pod would.
    for host in internet.hosts.values_mut().filter(|host| host.serves.is_empty()) {
        host.serves = serve::default();
    }
}

/// Other records for names that are there; their former hosts stay.
pub(super) fn replace(
    internet: &mut Internet,
    parts: &BTreeMap<String, Given<InternetFile>>,
    ipv6: bool,
    problems: &mut Problems,
) {
    let names: Vec<_> = internet.names.keys().cloned().collect();
    for (name, part) in parts {
        if internet.names.remove(name).is_none() {
            problems.add(
                Diagnostic::error(format!("there is no name `{name}` to change"))
                    .at(part.location())
                    .nearest(name, &names)
                    .note("`add` adds a name that is new"),
            );
        }
    }
    add(internet, parts, ipv6, problems);
}

fn add_host(
    internet: &mut Internet,
    address: IpAddr,
    part: &Given<InternetFile>,
    ipv6: bool,
    problems: &mut Problems,
) {
    let file = &part.file;
    refuse(part, problems);
    if !file.a.is_empty() || !file.aaaa.is_empty() || file.cname.is_some() || file.ttl.is_some() {
        problems.add(
            Diagnostic::error(format!("`{address}` is a host, and records belong to names"))
                .at(part.location()),
        );
    }
    if check_family(address, ipv6, part.location(), problems)
        && check_outside(part.location(), address, problems)
    {
        serve_at(internet, address, part, problems);
    }
}

fn add_name(
    internet: &mut Internet,
    name: &str,
    part: &Given<InternetFile>,
    ipv6: bool,
    problems: &mut Problems,
) {
    let file = &part.file;
    refuse(part, problems);
    let is_name = name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    });
    if !is_name {
        problems.add(Diagnostic::error(format!("`{name}` is not a DNS name")).at(part.location()));
    }
    if internet.names.contains_key(name) {
        problems.add(Diagnostic::error(format!("`{name}` is already there")).at(part.location()));
    }
    match (&file.cname, file.a.is_empty() && file.aaaa.is_empty()) {
        (None, true) => problems.add(
            Diagnostic::error(format!("the name `{name}` has no record"))
                .at(part.location())
                .help("give it addresses with `a` or `aaaa`, or another name with `cname`"),
        ),
        (Some(cname), false) => problems.add(
            Diagnostic::error(format!("the name `{name}` has a canonical name and addresses"))
                .at(part.place(cname)),
        ),
        (Some(_), true) if file.serves.is_some() => problems.add(
            Diagnostic::error(format!("the name `{name}` has no host of its own to serve anything"))
                .at(part.location())
                .help("let the name that the canonical name leads to serve it"),
        ),
        (Some(_), true) | (None, false) => {}
    }
    let mut addresses = Vec::new();
    let written = file.a.iter().map(|written| ("a", written));
    for (record, written) in written.chain(file.aaaa.iter().map(|written| ("aaaa", written))) {
        let Some(address) = parse_address(part, written, problems) else { continue };
        if address.is_ipv4() != (record == "a") {
            let (family, other) = if record == "a" { ("IPv4", "aaaa") } else { ("IPv6", "a") };
            problems.add(
                Diagnostic::error(format!("`{address}` is not an {family} address"))
                    .at(part.place(written))
                    .help(format!("it belongs to `{other}`")),
            );
        } else if check_family(address, ipv6, part.place(written), problems)
            && check_outside(part.place(written), address, problems)
        {
            addresses.push(address);
            serve_at(internet, address, part, problems);
            internet.hosts.entry(address).or_default().names.insert(name.to_owned());
        }
    }
    let cname = file.cname.as_ref().map(|cname| cname.value.trim_end_matches('.').to_lowercase());
    let zone = Zone { addresses, cname, ttl: file.ttl.unwrap_or(DEFAULT_TTL) };
    internet.names.insert(name.to_owned(), zone);
}

/// Several names may share a host; what they say about its ports adds up.
fn serve_at(internet: &mut Internet, address: IpAddr, part: &Given<InternetFile>, problems: &mut Problems) {
    let host = internet.hosts.entry(address).or_default();
    let Some(file) = &part.file.serves else { return };
    for serve in serve::lower(part, Some(file), problems) {
        let same = |other: &&Serve| (other.port, other.protocol) == (serve.port, serve.protocol);
        match host.serves.iter().find(same) {
            None => host.serves.push(serve),
            Some(other) if other.application == serve.application => {}
            Some(_) => problems.add(
                Diagnostic::error(format!("port {} of `{address}` serves two applications", serve.port))
                    .at(part.location()),
            ),
        }
    }
}

/// What the language has for DNS and no subject does yet.
fn refuse(part: &Given<InternetFile>, problems: &mut Problems) {
    let InternetFile { a: _, aaaa: _, cname: _, ttl: _, answers, rcode, delay, truncate, serves: _ } =
        &part.file;
    if let Some(answers) = answers.as_ref().filter(|answers| answers.value != AnswersWord::Fixed) {
        problems.not_simulated("another order of answers than `fixed`", part.place(answers));
    }
    if let Some(rcode) = rcode {
        problems.not_simulated("`rcode`", part.place(rcode));
    }
    if let Some(delay) = delay {
        problems.not_simulated("`delay`", part.place(delay));
    }
    if let Some(truncate) = truncate {
        problems.not_simulated("`truncate`", part.place(truncate));
    }
}
