//! A query is refused for the reason its bytes show, or its question is normal and can be asked again.
#![no_main]

use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use egret_agent::dns::message::{InvalidQuery, question, refusal};
use libfuzzer_sys::fuzz_target;

fn query(name: &Name<Vec<u8>>) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((name, Rtype::A)).expect("room");
    builder.finish()
}

fuzz_target!(|bytes: &[u8]| {
    let read = question(bytes);
    assert_eq!(read == Err(InvalidQuery::Short), bytes.len() < 12);
    assert_eq!(refusal(bytes, Rcode::REFUSED).is_none(), bytes.len() < 12);
    if let Some(flags) = bytes.get(2).filter(|_| bytes.len() >= 12) {
        assert_eq!(read == Err(InvalidQuery::Response), flags & 0x80 != 0);
    }
    let Ok(question) = read else { return };
    assert!(question.name.ends_with('.'), "`{}` has no dot at its end", question.name);
    assert_eq!(question.name, question.name.to_ascii_lowercase());
    assert!(question.udp_size >= 512, "{} bytes are less than every client takes", question.udp_size);
    let name: Name<Vec<u8>> = question.name.parse().expect("a name that is read can be read");
    assert_eq!(egret_agent::dns::message::question(&query(&name)).expect("a query").name, question.name);
    let refusal = refusal(bytes, Rcode::REFUSED).expect("there is a header");
    let (answer, query) = (Message::from_slice(&refusal), Message::from_slice(bytes));
    let (answer, query) = (answer.expect("a message"), query.expect("a message"));
    assert!(answer.is_answer(query), "the client would not take the refusal");
    assert_eq!((answer.header().rcode(), answer.header_counts().ancount()), (Rcode::REFUSED, 0));
});
