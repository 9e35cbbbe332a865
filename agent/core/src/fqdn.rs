//! Names learned from DNS answers, with the time at which each address is forgotten.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::selector::name::normalise;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// What one node has learned; all its endpoints share it (policy semantics 4.5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Address to names (normalised) to the nanosecond at which the address is forgotten under the name.
    known: BTreeMap<IpAddr, BTreeMap<String, u64>>,
}

impl Names {
    /// Notes the addresses of an answer under the name that was asked for; `now` is in nanoseconds.
    ///
    /// An address that is known lives as long as its longest answer says. Returns the addresses that the name
    /// is new for, ordered: what may change the datapath state.
    pub fn learn(
        &mut self,
        name: &str,
        addresses: &[IpAddr],
        ttl_seconds: u32,
        now: u64,
    ) -> BTreeSet<IpAddr> {
        let until = now.saturating_add(u64::from(ttl_seconds).saturating_mul(SECOND));
        let name = normalise(name);
        let mut changed = BTreeSet::new();
        for address in addresses {
            let names = self.known.entry(*address).or_default();
            match names.get_mut(&name) {
                Some(known) => *known = until.max(*known),
                None => {
                    names.insert(name.clone(), until);
                    changed.insert(*address);
                }
            }
        }
        changed
    }

    /// Forgets what is over at `now`, in nanoseconds; returns the addresses that lost a name.
    pub fn expire(&mut self, now: u64) -> BTreeSet<IpAddr> {
        let mut changed = BTreeSet::new();
        self.known.retain(|address, names| {
            let before = names.len();
            names.retain(|_, until| *until > now);
            if names.len() != before {
                changed.insert(*address);
            }
            !names.is_empty()
        });
        changed
    }

    /// The names that lead to an address, ordered.
    pub fn of(&self, address: IpAddr) -> impl Iterator<Item = &str> {
        self.known.get(&address).into_iter().flat_map(|names| names.keys().map(String::as_str))
    }

    /// Every address, ordered.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.known.keys().copied()
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
        assert_eq!(names.learn("A.example.", &[A], 10, 0), [A].into());
        assert_eq!(names.learn("a.example", &[A], 20, 5 * SECOND), [].into());
        assert_eq!(names.learn("a.example", &[A, B], 1, 5 * SECOND), [B].into());
        assert!(names.of(A).eq(["a.example"]));
    }

    #[test]
    fn the_longest_answer_counts() {
        let mut names = Names::default();
        names.learn("a.example", &[A], 20, 0);
        names.learn("a.example", &[A], 1, 0);
        assert_eq!(names.expire(20 * SECOND - 1), [].into());
        assert_eq!(names.expire(20 * SECOND), [A].into());
        assert_eq!(names.expire(20 * SECOND), [].into());
        assert_eq!(names.of(A).next(), None);
    }

    #[test]
    fn an_empty_answer_teaches_nothing() {
        let mut names = Names::default();
        assert_eq!(names.learn("a.example", &[], 20, 0), [].into());
        assert_eq!(names, Names::default());
    }
}
