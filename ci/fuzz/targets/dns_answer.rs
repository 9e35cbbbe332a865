//! An answer teaches only what it holds, and only when it answers the query.
#![no_main]

use std::net::IpAddr;

use egret_agent::dns::message::answer;
use libfuzzer_sys::fuzz_target;

/// The query that a message would answer: the same number and question, no records.
fn query_of(message: &[u8]) -> Vec<u8> {
    let mut query = message.to_vec();
    query[2] &= 0x7f;
    query[6..12].fill(0);
    query
}

fn holds(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}

fuzz_target!(|message: &[u8]| {
    if message.len() < 12 {
        assert_eq!(answer(message, message), None, "shorter than a header");
        return;
    }
    let query = query_of(message);
    let Some(learned) = answer(&query, message) else { return };
    assert_ne!(message[2] & 0x80, 0, "a query is no answer");
    assert_eq!(learned.rcode, message[3] & 0x0f);
    let records = usize::from(u16::from_be_bytes([message[6], message[7]]));
    assert!(learned.addresses.len() + learned.cnames.len() <= records, "more than there are records");
    if learned.rcode != 0 {
        assert!(learned.addresses.is_empty() && learned.cnames.is_empty() && learned.ttl == 0);
    }
    for address in &learned.addresses {
        let is_held = match address {
            IpAddr::V4(address) => holds(message, &address.octets()),
            IpAddr::V6(address) => holds(message, &address.octets()),
        };
        assert!(is_held, "{address} is not in the message");
    }
    for name in &learned.cnames {
        assert!(name.ends_with('.') && *name == name.to_ascii_lowercase(), "`{name}` is not normal");
    }
    assert!(
        learned.ttl == 0 || holds(message, &learned.ttl.to_be_bytes()),
        "{} is no time to live",
        learned.ttl
    );
    let mut other = query;
    other[0] ^= 1;
    assert_eq!(answer(&other, message), None, "the answer to another query");
});
