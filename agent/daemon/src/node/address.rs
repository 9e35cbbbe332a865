//! Addresses for pods: from the node's prefixes, each given again as late as possible.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

/// Where the search for a free address goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    last: Option<Ipv4Addr>,
}

impl Cursor {
    /// The next free address after the last one given, in the first IPv4 prefix that has one.
    ///
    /// An address that was given back is so used again only after all others: whoever still talks to the pod that
    /// had it does not talk to another one. The first and last address of a prefix are nobody's.
    pub fn next(&mut self, prefixes: &[IpNet], taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
        let found = prefixes.iter().find_map(|prefix| match prefix {
            IpNet::V4(prefix) => self.next_in(*prefix, taken),
            // The datapath judges IPv4.
            IpNet::V6(_) => None,
        })?;
        self.last = Some(found);
        Some(IpAddr::V4(found))
    }

    fn next_in(self, prefix: Ipv4Net, taken: &BTreeSet<IpAddr>) -> Option<Ipv4Addr> {
        let (first, last) = (u32::from(prefix.network()), u32::from(prefix.broadcast()));
        let after = self.last.filter(|last| prefix.contains(last)).map_or(first, u32::from);
        let usable = |number: &u32| {
            (first < *number && *number < last) && !taken.contains(&IpAddr::V4(Ipv4Addr::from(*number)))
        };
        let later = after.saturating_add(1)..last;
        later.chain(first..=after).find(usable).map(Ipv4Addr::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_round() {
        let prefixes = ["10.0.0.0/29".parse().unwrap()];
        let mut cursor = Cursor::default();
        let mut taken = BTreeSet::new();
        let mut next = |taken: &BTreeSet<IpAddr>| cursor.next(&prefixes, taken).map(|ip| ip.to_string());
        assert_eq!(next(&taken).as_deref(), Some("10.0.0.1"));
        // Given back at once, and still not used again.
        assert_eq!(next(&taken).as_deref(), Some("10.0.0.2"));
        taken.insert("10.0.0.4".parse().unwrap());
        assert_eq!(next(&taken).as_deref(), Some("10.0.0.3"));
        assert_eq!(next(&taken).as_deref(), Some("10.0.0.5"));
        assert_eq!(next(&taken).as_deref(), Some("10.0.0.6"));
        assert_eq!(next(&taken).as_deref(), Some("10.0.0.1"));
        taken.extend((1..=6).map(|last| IpAddr::from([10, 0, 0, last])));
        assert_eq!(next(&taken), None);
    }

    #[test]
    fn only_ipv4_prefixes_count() {
        let taken = BTreeSet::new();
        let prefixes = ["fd00::/64".parse().unwrap(), "10.0.0.0/30".parse().unwrap()];
        assert_eq!(Cursor::default().next(&prefixes, &taken), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(Cursor::default().next(&prefixes[..1], &taken), None);
        assert_eq!(Cursor::default().next(&["10.0.0.0/32".parse().unwrap()], &taken), None);
    }
}
