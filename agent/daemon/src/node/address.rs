//! Addresses for pods: from the node's prefixes, one of each family, each given again as late as possible.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Where the search for free addresses goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The address of each family that was given last.
    last: Vec<IpAddr>,
}

impl Cursor {
    /// An address of each family that the prefixes have, in the prefixes' order: the next free one after the last one
    /// given, in the family's first prefix that has one.
    ///
    /// An address that was given back is so used again only after all others: whoever still talks to the pod that
    /// had it does not talk to another one. The first and last address of a prefix are nobody's; over IPv6 the first is
    /// that of every router (RFC 4291 section 2.6.1).
    ///
    /// # Errors
    /// The prefixes of a family that has no free address; nothing is given then.
    pub fn next(&mut self, prefixes: &[IpNet], taken: &BTreeSet<IpAddr>) -> Result<Vec<IpAddr>, Vec<IpNet>> {
        let mut given: Vec<IpAddr> = Vec::new();
        for prefix in prefixes {
            let same = |other: &IpAddr| other.is_ipv4() == prefix.addr().is_ipv4();
            if given.iter().any(same) {
                continue;
            }
            let last = self.last.iter().copied().find(same);
            let family: Vec<IpNet> = prefixes.iter().filter(|other| same(&other.addr())).copied().collect();
            let found = family.iter().find_map(|prefix| next_in(*prefix, last, taken));
            given.push(found.ok_or(family)?);
        }
        if given.is_empty() {
            return Err(Vec::new());
        }
        self.last.clone_from(&given);
        Ok(given)
    }
}

fn next_in(prefix: IpNet, last: Option<IpAddr>, taken: &BTreeSet<IpAddr>) -> Option<IpAddr> {
    let (first, end) = (number(prefix.network()), number(prefix.broadcast()));
    let after = last.filter(|last| prefix.contains(last)).map_or(first, number);
    let usable = |number: u128| {
        let address = address(number, prefix.addr().is_ipv4())?;
        (first < number && number < end && !taken.contains(&address)).then_some(address)
    };
    let later = after.saturating_add(1)..end;
    later.chain(first..=after).find_map(usable)
}

/// An address as a number that grows by one from each to the next.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn address(number: u128, is_v4: bool) -> Option<IpAddr> {
    if is_v4 {
        return Some(Ipv4Addr::from(u32::try_from(number).ok()?).into());
    }
    Some(Ipv6Addr::from(number).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefixes(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_go_round() {
        for (prefix, base) in [("10.0.0.0/29", "10.0.0."), ("fd00::/125", "fd00::")] {
            let prefixes = prefixes(&[prefix]);
            let address = |last: u32| -> IpAddr { format!("{base}{last}").parse().unwrap() };
            let mut cursor = Cursor::default();
            let mut taken = BTreeSet::new();
            let mut next = |taken: &BTreeSet<IpAddr>| cursor.next(&prefixes, taken);
            assert_eq!(next(&taken), Ok(vec![address(1)]));
            // Given back at once, and still not used again.
            assert_eq!(next(&taken), Ok(vec![address(2)]));
            taken.insert(address(4));
            assert_eq!(next(&taken), Ok(vec![address(3)]));
            assert_eq!(next(&taken), Ok(vec![address(5)]));
            assert_eq!(next(&taken), Ok(vec![address(6)]));
            assert_eq!(next(&taken), Ok(vec![address(1)]));
            taken.extend((1..=6).map(address));
            assert_eq!(next(&taken), Err(prefixes.clone()));
        }
    }

    #[test]
    fn there_is_one_of_each_family() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut taken = BTreeSet::new();
        let both = prefixes(&["fd00:10:244:1::/64", "10.244.1.0/30", "10.244.9.0/30"]);
        let mut cursor = Cursor::default();
        assert_eq!(cursor.next(&both, &taken), Ok(vec![ip("fd00:10:244:1::1"), ip("10.244.1.1")]));
        taken.extend(["10.244.1.1", "10.244.1.2", "10.244.9.1"].map(ip));
        assert_eq!(cursor.next(&both, &taken), Ok(vec![ip("fd00:10:244:1::2"), ip("10.244.9.2")]));
        taken.insert(ip("10.244.9.2"));
        // A pod with half of its addresses would be no pod of this cluster.
        assert_eq!(cursor.next(&both, &taken), Err(prefixes(&["10.244.1.0/30", "10.244.9.0/30"])));
        assert_eq!(cursor.next(&both[..1], &taken), Ok(vec![ip("fd00:10:244:1::3")]));
        assert_eq!(cursor.next(&prefixes(&["10.0.0.0/32"]), &taken), Err(prefixes(&["10.0.0.0/32"])));
        assert_eq!(cursor.next(&[], &taken), Err(Vec::new()));
    }
}
