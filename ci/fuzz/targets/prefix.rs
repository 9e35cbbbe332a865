//! A prefix with an exception is read as two numbers say, or refused as a strict reading refuses it.
#![no_main]

use std::net::IpAddr;

use egret::cluster::of_sources;
use egret::source::Source;
use egret_core::rule::{Dialect, Peers};
use egret_core::selector::Selector;
use libfuzzer_sys::fuzz_target;

/// Family, bits from the left, and how many of them count.
type Bits = (bool, u128, u32);

/// An address, a slash, and a number without sign or leading zeros that the family allows.
fn strict(text: &str) -> Option<Bits> {
    let (address, length) = text.split_once('/')?;
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || (length.len() > 1 && length.starts_with('0')) {
        return None;
    }
    let (is_v4, bits, most) = bits_of(address.parse().ok()?);
    length.parse().ok().filter(|length| *length <= most).map(|length| (is_v4, bits, length))
}

fn bits_of(address: IpAddr) -> (bool, u128, u32) {
    match address {
        IpAddr::V4(address) => (true, u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (false, u128::from(address), 128),
    }
}

fn contains((is_v4, bits, length): Bits, address: IpAddr) -> bool {
    let (other_is_v4, other, _) = bits_of(address);
    is_v4 == other_is_v4 && (length == 0 || (bits ^ other) >> (128 - length) == 0)
}

fn policy(prefix: &str, except: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{ name: a }}\nspec:\n  podSelector: {{}}\n  \
         ingress: [{{ from: [{{ ipBlock: {{ cidr: '{prefix}', except: ['{except}'] }} }}] }}]\n"
    )
}

fuzz_target!(|text: &str| {
    // Prefix, exception and address, a line each.
    let mut lines = text.split('\n');
    let [prefix, except, address] = [(); 3].map(|()| lines.next().unwrap_or_default());
    if [prefix, except].iter().any(|text| text.contains(['\'', '\r'])) {
        return;
    }
    let expected = strict(prefix).zip(strict(except)).filter(|(outer, inner)| {
        let shift = 128 - outer.2;
        outer.0 == inner.0 && inner.2 > outer.2 && (shift == 128 || (outer.1 ^ inner.1) >> shift == 0)
    });
    let source = Source::new("any.yaml", policy(prefix, except));
    let cluster = match of_sources(&[source], Some(Dialect::Kubernetes)) {
        Ok(cluster) => cluster,
        Err(problems) => {
            assert_eq!(expected, None, "`{prefix}` without `{except}` was refused");
            return egret_fuzz::assert_says_where(&problems);
        }
    };
    let (outer, inner) = expected.unwrap_or_else(|| panic!("`{prefix}` without `{except}` was not refused"));
    let rules = cluster
        .desired
        .policies
        .values()
        .flat_map(|policy| &policy.sections)
        .flat_map(|section| &section.rules);
    let selectors: Vec<_> = rules
        .filter_map(|rule| match &rule.peers {
            Peers::Selected(selectors) => Some(selectors),
            Peers::Any | Peers::Services(_) => None,
        })
        .flatten()
        .collect();
    let [Selector::Prefix { prefix, except }] = selectors.as_slice() else {
        panic!("not one prefix: {selectors:?}")
    };
    let Ok(address) = address.parse::<IpAddr>() else { return };
    assert_eq!(prefix.contains(&address), contains(outer, address), "{prefix} and {address}");
    assert_eq!(
        except.iter().any(|except| except.contains(&address)),
        contains(inner, address),
        "{except:?} and {address}"
    );
});
