//! Names learned from DNS answers, with the time at which each address is forgotten.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::selector::name::normalise;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// What one node has learned; all its endpoints share it (policy semantics 4.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Name (normalised) to addresses to the nanosecond at which each is forgotten.
    names: BTreeMap<String, BTreeMap<IpAddr, u64>>,
}

impl Names {
    /// Notes the addresses of an answer under the name that was asked for; `now` is in nanoseconds.
    ///
    /// An address that is known lives as long as its longest answer says. Returns whether the set of
    /// addresses changed, which is when the datapath state may have.
    pub fn learn(&mut self, name: &str, addresses: &[IpAddr], ttl_seconds: u32, now: u64) -> bool {
        if addresses.is_empty() {
            return false;
        }
        let until = now.saturating_add(u64::from(ttl_seconds).saturating_mul(SECOND));
        let known = self.names.entry(normalise(name)).or_default();
        let mut changed = false;
        for address in addresses {
            let entry = known.entry(*address).or_insert_with(|| {
                changed = true;
                until
            });
            *entry = until.max(*entry);
        }
        changed
    }

    /// Forgets what is over at `now`, in nanoseconds; returns whether anything was.
    pub fn expire(&mut self, now: u64) -> bool {
        let mut changed = false;
        self.names.retain(|_, addresses| {
            addresses.retain(|_, until| {
                let keeps = *until > now;
                changed |= !keeps;
                keeps
            });
            !addresses.is_empty()
        });
        changed
    }

    /// The names that lead to an address, ordered.
    #[must_use]
    pub fn names_of(&self, ip: IpAddr) -> Vec<String> {
        self.names
            .iter()
            .filter(|(_, addresses)| addresses.contains_key(&ip))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Every address with the names that lead to it, ordered.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<IpAddr, Vec<&str>> {
        let mut by_address: BTreeMap<IpAddr, Vec<&str>> = BTreeMap::new();
        for (name, addresses) in &self.names {
            for address in addresses.keys() {
                by_address.entry(*address).or_default().push(name);
            }
        }
        by_address
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn learning_reports_new_addresses_only() {
        let mut names = Names::default();
        assert!(names.learn("A.example.", &[A], 10, 0));
        assert!(!names.learn("a.example", &[A], 20, 5 * SECOND));
        assert!(names.learn("a.example", &[A, B], 1, 5 * SECOND));
        assert_eq!(names.names_of(A), ["a.example"]);
    }

    #[test]
    fn the_longest_answer_counts() {
        let mut names = Names::default();
        names.learn("a.example", &[A], 20, 0);
        names.learn("a.example", &[A], 1, 0);
        assert!(!names.expire(20 * SECOND - 1));
        assert!(names.expire(20 * SECOND));
        assert!(!names.expire(20 * SECOND));
        assert!(names.names_of(A).is_empty());
    }

    #[test]
    fn an_empty_answer_teaches_nothing() {
        let mut names = Names::default();
        assert!(!names.learn("a.example", &[], 20, 0));
        assert_eq!(names, Names::default());
    }
}
