//! The client's resolver: which names it asks for in which order, and what ends the search.

use std::cell::Cell;

use domain::base::iana::Rcode;
use egret_core::probe::Record;
use egret_probe::Stage;
use rstest::rstest;

use super::recorder::{Recorder, Reply};
use super::*;

/// The address of every name that is found: the one of our servers.
fn found() -> Ipv4Addr {
    let IpAddr::V4(address) = server() else { panic!("an IPv4 address") };
    address
}

fn mk_resolver(server: SocketAddr) -> Resolver {
    let search = ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local"];
    Resolver { server, search: search.map(str::to_owned).to_vec(), ndots: 5 }
}

fn lookup(name: &str) -> Exchange {
    Exchange::Dns { name: name.to_owned(), record: Record::A }
}

const LIST: [&str; 3] =
    ["api.test.ns.svc.cluster.local A", "api.test.svc.cluster.local A", "api.test.cluster.local A"];

#[rstest]
#[case::in_the_first_domain("api.test", "api.test.ns.svc.cluster.local", Reply::Addresses(vec![found()]), Outcome::Ok, &LIST[..1])]
#[case::as_written_last("api.test", "api.test", Reply::Addresses(vec![found()]), Outcome::Ok, &[LIST[0], LIST[1], LIST[2], "api.test A"])]
#[case::nowhere("api.test", "", Reply::Silence, Outcome::NxDomain, &[LIST[0], LIST[1], LIST[2], "api.test A"])]
#[case::trailing_dot("api.test.", "", Reply::Silence, Outcome::NxDomain, &["api.test A"])]
#[case::no_address_goes_on("api.test", LIST[0], Reply::Code(Rcode::NOERROR), Outcome::NxDomain, &[LIST[0], LIST[1], LIST[2], "api.test A"])]
#[case::refused_ends_the_list("api.test", "api.test.svc.cluster.local", Reply::Code(Rcode::REFUSED), Outcome::NxDomain, &[LIST[0], LIST[1], "api.test A"])]
#[case::servfail_ends_the_list("api.test", "api.test.ns.svc.cluster.local", Reply::Code(Rcode::SERVFAIL), Outcome::NxDomain, &[LIST[0], "api.test A"])]
#[case::refused_as_written("api.test", "api.test", Reply::Code(Rcode::REFUSED), Outcome::DnsRefused, &[LIST[0], LIST[1], LIST[2], "api.test A"])]
#[case::servfail_as_written("api.test.", "api.test", Reply::Code(Rcode::SERVFAIL), Outcome::ServFail, &["api.test A"])]
#[case::many_dots("a.b.c.d.e.test", "a.b.c.d.e.test", Reply::Addresses(vec![found()]), Outcome::Ok, &["a.b.c.d.e.test A"])]
#[case::forged("api.test.", "api.test", Reply::ForgedFirst(vec![found()]), Outcome::Ok, &["api.test A"])]
#[tokio::test]
async fn search(
    #[case] name: &str,
    #[case] special: &'static str,
    #[case] reply: Reply,
    #[case] expected: Outcome,
    #[case] asked: &[&str],
) {
    let special = special.trim_end_matches(" A");
    let recorder = Recorder::start(move |name, _| match name == special {
        true => reply.clone(),
        false => Reply::Code(Rcode::NXDOMAIN),
    })
    .await;
    let report = probe(&mk_client(Some(mk_resolver(recorder.address))), &lookup(name)).await;
    assert_eq!(report.outcome, expected);
    assert_eq!(recorder.asked(), asked);
    assert_eq!(report.addresses, if expected == Outcome::Ok { vec![IpAddr::V4(found())] } else { vec![] });
    assert_eq!(report.attempts.len(), asked.len(), "one attempt for each name");
    assert!(report.attempts.iter().all(|attempt| attempt.stage == Stage::Resolve));
}

#[tokio::test]
async fn what_udp_cannot_carry_is_asked_over_tcp() {
    let addresses = vec![Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];
    let reply = addresses.clone();
    let recorder = Recorder::start(move |_, _| Reply::Truncated(reply.clone())).await;
    let report = probe(&mk_client(Some(mk_resolver(recorder.address))), &lookup("big.test.")).await;
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(report.addresses, addresses.into_iter().map(IpAddr::V4).collect::<Vec<_>>());
    assert_eq!(recorder.asked(), ["big.test A", "big.test A over TCP"]);
    let protocols = report.attempts.iter().map(|attempt| attempt.protocol).collect::<Vec<_>>();
    assert_eq!(protocols, [Protocol::Udp, Protocol::Tcp]);
}

#[tokio::test]
async fn a_lost_query_is_sent_again() {
    let recorder = Recorder::start(|_, _| Reply::SecondTime(vec![found()])).await;
    let mut client = mk_client(Some(mk_resolver(recorder.address)));
    client.limits.resolve = Duration::from_millis(20);
    let report = probe(&client, &lookup("api.test.")).await;
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(recorder.asked(), ["api.test A", "api.test A"]);
    assert_eq!(report.attempts.len(), 1, "from the same socket");
}

#[tokio::test]
async fn silence_is_a_dns_timeout() {
    let recorder = Recorder::start(|_, _| Reply::Silence).await;
    let mut client = mk_client(Some(mk_resolver(recorder.address)));
    for exchange in [lookup("api.test"), tcp(Target::Name("api.test".into()), 80, "api.test")] {
        assert_eq!(probe_until(&client, &exchange, ready(())).await.outcome, Outcome::DnsTimeout, "given up");
    }
    client.limits.resolve = Duration::from_millis(20);
    let report = probe(&client, &lookup("api.test")).await;
    assert_eq!(report.outcome, Outcome::DnsTimeout, "waited out");
    assert_eq!(report.attempts.len(), 1, "silence ends the search");
}

#[tokio::test]
async fn a_resolved_name_is_talked_to() {
    let port = free_port();
    let _server = start(port, Protocol::Tcp, "api.test");
    let recorder = Recorder::start(|_, _| Reply::Addresses(vec![found()])).await;
    let client = mk_client(Some(mk_resolver(recorder.address)));
    let report = probe(&client, &tcp(Target::Name("api.test".into()), port, "api.test")).await;
    assert_eq!(report.outcome, Outcome::Ok);
    assert_eq!(report.addresses, [IpAddr::V4(found())]);
    let stages = report.attempts.iter().map(|attempt| attempt.stage).collect::<Vec<_>>();
    assert_eq!(stages, [Stage::Resolve, Stage::Talk]);
}

#[tokio::test]
async fn a_probe_given_up_after_resolving_is_a_timeout() {
    let silent = std::net::TcpListener::bind(SocketAddr::new(server(), 0)).expect("bind");
    let port = silent.local_addr().expect("address").port();
    let recorder = Recorder::start(|_, _| Reply::Addresses(vec![found()])).await;
    let client = mk_client(Some(mk_resolver(recorder.address)));
    let (talking, started) = tokio::sync::oneshot::channel();
    let talking = Cell::new(Some(talking));
    let mut on_start = |attempt: &Attempt| {
        if attempt.stage == Stage::Talk {
            talking.take().expect("one connection").send(()).expect("the probe waits");
        }
    };
    let exchange = tcp(Target::Name("api.test".into()), port, "api.test");
    let give_up = async { started.await.expect("the client connects") };
    let report = run(&client, &exchange, &mut on_start, give_up).await.expect("runs");
    assert_eq!(report.outcome, Outcome::Timeout);
}

#[tokio::test]
async fn a_client_with_ipv6_asks_for_both_families() {
    let recorder = Recorder::start(|_, rtype| match rtype {
        "A" => Reply::Addresses(vec![found()]),
        _ => Reply::Code(Rcode::NOERROR),
    })
    .await;
    let port = free_port();
    let mut client = mk_client(Some(mk_resolver(recorder.address)));
    client.addresses.push("::1".parse().expect("an address"));
    let report = probe(&client, &tcp(Target::Name("api.test.".into()), port, "api.test")).await;
    assert_eq!(report.outcome, Outcome::Refused);
    assert_eq!(recorder.asked(), ["api.test A", "api.test AAAA"]);
}

#[tokio::test]
async fn no_dns_server_there() {
    let server = SocketAddr::new(server(), free_port());
    let report = probe(&mk_client(Some(mk_resolver(server))), &lookup("api.test")).await;
    assert_eq!(report.outcome, Outcome::Refused);
}

#[rstest]
#[case::empty_label("api..test")]
#[case::long_label(&"x".repeat(64))]
#[tokio::test]
async fn what_is_no_name_is_an_error(#[case] name: &str) {
    let client = mk_client(Some(mk_resolver(SocketAddr::new(server(), 53))));
    let error = run(&client, &lookup(name), &mut |_| {}, pending()).await.expect_err("not a name");
    assert!(matches!(error, ProbeError::InvalidName { .. }), "{error}");
    let error = run(&mk_client(None), &lookup("api.test"), &mut |_| {}, pending()).await;
    assert!(matches!(error, Err(ProbeError::NoResolver { .. })));
}

#[test]
fn the_settings_as_a_file() {
    let resolver = mk_resolver("10.96.0.10:53".parse().expect("an address"));
    assert_eq!(
        resolver.resolv_conf(),
        "nameserver 10.96.0.10\nsearch ns.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n"
    );
}
