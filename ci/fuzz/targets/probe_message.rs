//! What a client takes for its answer is one, holds what the bytes hold, and can be sent on.
#![no_main]

use domain::base::Message;
use egret_probe::message::{Data, Transport, answer, parse_name, query, read_answer, read_question};
use libfuzzer_sys::fuzz_target;

fn holds(message: &[u8], part: &[u8]) -> bool {
    message.windows(part.len()).any(|window| window == part)
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::from_slice(bytes) else { return };
    let id = message.header().id();
    let Ok(question) = read_question(message) else {
        // Nobody asks what cannot be read: any other question stands for it.
        let other = parse_name("a.example").expect("a name");
        let question = egret_probe::message::Question { name: other, rtype: domain::base::iana::Rtype::A };
        let _any_answer = read_answer(id, &question, bytes);
        return;
    };
    assert!(!question.name.as_slice().is_empty());
    assert_eq!(read_answer(id ^ 1, &question, bytes), None, "the answer to another query");
    let Some(read) = read_answer(id, &question, bytes) else { return };
    assert!(message.header().qr(), "a query is no answer");
    assert!(read.records.len() <= usize::from(message.header_counts().ancount()));
    for record in &read.records {
        match &record.data {
            Data::Address(std::net::IpAddr::V4(address)) => assert!(holds(bytes, &address.octets())),
            Data::Address(std::net::IpAddr::V6(address)) => assert!(holds(bytes, &address.octets())),
            Data::Cname(name) => assert!(name.len() <= 255, "no name is that long"),
        }
    }
    // The same answer from a server of ours reads alike.
    let asked = query(id, &question, None).expect("a query");
    let asked = Message::from_slice(&asked).expect("a message");
    let sent = answer(asked, &read, Transport::Tcp);
    let again = read_answer(id, &question, &sent).expect("our own answer");
    if !again.truncated {
        assert_eq!((again.rcode, &again.records), (read.rcode, &read.records));
    }
});
