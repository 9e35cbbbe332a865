//! What is read from queries and answers, well-formed and not.

use std::net::IpAddr;

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::{A, Aaaa, Cname, Txt};
use proptest::prelude::{any, prop, proptest};
use rstest::rstest;

use super::{InvalidQuery, answer, question, refusal};

type VecName = Name<Vec<u8>>;

fn mk_name(name: &str) -> VecName {
    name.parse().expect("a name")
}

fn mk_query(name: &str, rtype: Rtype) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(0x1234);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((mk_name(name), rtype)).expect("room");
    builder.finish()
}

/// An answer with a CNAME, two addresses of each family and a TXT record, with times to live 300, 60, 50, 70, 80, 1.
fn mk_answer(query: &[u8], rcode: Rcode) -> Vec<u8> {
    let query = Message::from_slice(query).expect("a message");
    let mut builder = MessageBuilder::new_vec().start_answer(query, rcode).expect("room");
    let asked = query.sole_question().expect("a question").into_qname();
    let edge = mk_name("Edge.example.net");
    builder.push((asked, 300, Cname::new(&edge))).expect("room");
    builder.push((&edge, 60, A::from_octets(192, 0, 2, 1))).expect("room");
    builder.push((&edge, 50, A::from_octets(192, 0, 2, 2))).expect("room");
    builder.push((&edge, 70, Aaaa::new("2001:db8::1".parse().expect("an address")))).expect("room");
    builder.push((&edge, Class::CH, 2, A::from_octets(192, 0, 2, 3))).expect("room");
    builder.push((&edge, 1, Txt::<Vec<u8>>::build_from_slice(b"text").expect("short"))).expect("room");
    let mut builder = builder.additional();
    builder.push((&edge, 3, A::from_octets(192, 0, 2, 4))).expect("room");
    builder.finish()
}

#[rstest]
#[case("api.github.com", Rtype::A, "api.github.com.", "A")]
#[case("API.GitHub.com.", Rtype::AAAA, "api.github.com.", "AAAA")]
#[case(".", Rtype::NS, ".", "NS")]
#[case(r"api\.github.com", Rtype::A, r"api\.github.com.", "A")]
fn reads_questions(#[case] name: &str, #[case] rtype: Rtype, #[case] text: &str, #[case] qtype: &str) {
    let question = question(&mk_query(name, rtype)).expect("a query");
    assert_eq!((question.name.as_str(), question.qtype.as_str(), question.udp_size), (text, qtype, 512));
}

#[rstest]
#[case::smaller_than_allowed(100, 512)]
#[case::larger(1232, 1232)]
fn reads_the_udp_size(#[case] offered: u16, #[case] taken: u16) {
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((mk_name("api.test"), Rtype::A)).expect("room");
    let mut builder = builder.additional();
    builder
        .opt(|opt| {
            opt.set_udp_payload_size(offered);
            Ok(())
        })
        .expect("room");
    assert_eq!(question(&builder.finish()).expect("a query").udp_size, taken);
}

#[test]
fn refuses_what_is_no_query() {
    let query = mk_query("api.test", Rtype::A);
    assert_eq!(question(&query[..11]), Err(InvalidQuery::Short));
    assert_eq!(question(&mk_answer(&query, Rcode::NOERROR)), Err(InvalidQuery::Response));
    assert_eq!(question(&query[..query.len() - 1]), Err(InvalidQuery::Question), "cut off");
    let mut two = MessageBuilder::new_vec().question();
    two.push((mk_name("allowed.test"), Rtype::A)).expect("room");
    two.push((mk_name("forbidden.test"), Rtype::A)).expect("room");
    assert_eq!(question(&two.finish()), Err(InvalidQuery::Question), "two questions");
    let none = MessageBuilder::new_vec().finish();
    assert_eq!(question(&none), Err(InvalidQuery::Question), "no question");
}

#[test]
fn learns_from_the_answer_section_only() {
    let query = mk_query("www.example.com", Rtype::A);
    let learned = answer(&query, &mk_answer(&query, Rcode::NOERROR)).expect("the answer");
    let addresses = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
    assert_eq!(learned.addresses, addresses.map(|text| text.parse::<IpAddr>().expect("an address")));
    assert_eq!(learned.cnames, ["edge.example.net."]);
    assert_eq!((learned.rcode, learned.ttl), (0, 50));
}

#[rstest]
#[case(Rcode::NXDOMAIN, 3)]
#[case(Rcode::SERVFAIL, 2)]
fn learns_nothing_from_errors(#[case] rcode: Rcode, #[case] number: u8) {
    let query = mk_query("www.example.com", Rtype::A);
    let learned = answer(&query, &mk_answer(&query, rcode)).expect("the answer");
    assert_eq!((learned.rcode, learned.addresses.as_slice(), learned.ttl), (number, &[][..], 0));
}

#[test]
fn takes_no_answer_to_something_else() {
    let query = mk_query("www.example.com", Rtype::A);
    let right = mk_answer(&query, Rcode::NOERROR);
    let mut number = right.clone();
    number[0] ^= 1;
    assert_eq!(answer(&query, &number), None, "another number");
    assert_eq!(
        answer(&query, &mk_answer(&mk_query("www.example.org", Rtype::A), Rcode::NOERROR)),
        None,
        "name"
    );
    assert_eq!(
        answer(&query, &mk_answer(&mk_query("www.example.com", Rtype::AAAA), Rcode::NOERROR)),
        None,
        "type"
    );
    assert_eq!(answer(&query, &query), None, "a query");
    let cut = 12 + (query.len() - 12) + 20;
    assert_eq!(answer(&query, &right[..cut]), None, "cut off in the answer section");
    assert!(answer(&mk_query("WWW.example.com", Rtype::A), &right).is_some(), "case does not matter");
}

#[test]
fn refusals_copy_the_question() {
    let query = mk_query("api.test", Rtype::A);
    let refusal = refusal(&query, Rcode::REFUSED).expect("there is a header");
    let message = Message::from_slice(&refusal).expect("a message");
    assert!(message.is_answer(Message::from_slice(&query).expect("a message")));
    assert_eq!(message.header().rcode(), Rcode::REFUSED);
    assert!(!message.header().aa() && message.header().rd());
    assert_eq!(message.header_counts().ancount(), 0);
    assert_eq!(super::refusal(&query[..11], Rcode::SERVFAIL), None);
}

proptest! {
    /// Whatever arrives, from a client or a server, is read or refused.
    #[test]
    fn arbitrary_bytes_are_judged(query in prop::collection::vec(any::<u8>(), 0..200), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (question(&query), answer(&query, &bytes), refusal(&query, Rcode::SERVFAIL));
    }

    /// The same for messages that are almost right.
    #[test]
    fn damaged_messages_are_judged(position in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let query = mk_query("www.example.com", Rtype::A);
        let mut bytes = mk_answer(&query, Rcode::NOERROR);
        let at = position.index(bytes.len());
        bytes[at] = byte;
        bytes.truncate(cut.index(bytes.len() + 1));
        if let Some(learned) = answer(&query, &bytes) {
            assert!(learned.addresses.len() <= 4);
        }
        let _ = (question(&bytes), refusal(&bytes, Rcode::SERVFAIL));
    }

    /// A name that is read is lower-case, ends with a dot, and reads back as the same name.
    #[test]
    fn names_are_normal(labels in prop::collection::vec("[a-zA-Z0-9_-]{1,20}", 1..6)) {
        let name = labels.join(".");
        let text = question(&mk_query(&name, Rtype::A)).expect("a query").name;
        assert_eq!(&text, &format!("{}.", name.to_ascii_lowercase()));
        assert_eq!(mk_name(&text), mk_name(&name));
    }
}
