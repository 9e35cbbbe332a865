//! A container's `/etc/resolv.conf` as a resolver's settings (resolv.conf(5)).

use std::net::SocketAddr;

use egret_probe::Resolver;

/// Reads the settings; `None` without a name server.
///
/// Only the first server is asked: a probe has one query to judge.
pub(super) fn read(text: &str) -> Option<Resolver> {
    let mut server = None;
    let mut search = Vec::new();
    let mut ndots = 1;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => {
                let address = words.next().and_then(|word| word.parse().ok());
                server = server.or_else(|| address.map(|address| SocketAddr::new(address, 53)));
            }
            Some("search") => search = words.map(ToOwned::to_owned).collect(),
            Some("options") => {
                let found = words.find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                ndots = found.unwrap_or(ndots);
            }
            _ => {}
        }
    }
    Some(Resolver { server: server?, search, ndots })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_settings() {
        let text = "search a.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\nnameserver 9.9.9.9\n\
                    # comment\noptions timeout:1 ndots:5\n";
        let resolver = read(text).unwrap();
        assert_eq!(resolver.server, "10.96.0.10:53".parse().unwrap());
        assert_eq!(resolver.search, ["a.svc.cluster.local", "svc.cluster.local"]);
        assert_eq!(resolver.ndots, 5);
        assert_eq!(read("search x\n"), None);
    }
}
