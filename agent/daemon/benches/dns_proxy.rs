//! What the DNS proxy adds to a query over UDP, beside the same server asked directly, in one run (B16).

use std::hint::black_box;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::A;
use egret_agent::dns::Query;
use egret_agent::{DnsPolicy, DnsProxy};
use egret_core::flow::DnsAnswer;

/// Lets everything through; what the maps cost is measured elsewhere.
struct Everything;

impl DnsPolicy for Everything {
    fn judge(&self, query: &Query) -> bool {
        black_box(query).name.ends_with('.')
    }

    fn answered(&self, _: &Query, answer: &DnsAnswer) {
        black_box(answer);
    }

    fn refused(&self, _: &Query) {}
}

/// A server that gives every query the same address.
fn start_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let address = socket.local_addr().expect("address");
    thread::spawn(move || {
        let mut buffer = [0; 512];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).expect("receive");
            let query = Message::from_slice(&buffer[..length]).expect("a message");
            let name = query.sole_question().expect("a question").into_qname();
            let mut answer = MessageBuilder::new_vec().start_answer(query, Rcode::NOERROR).expect("room");
            answer.push((name, 60, A::from_octets(192, 0, 2, 1))).expect("room");
            socket.send_to(&answer.finish(), client).expect("send");
        }
    });
    address
}

fn start_proxy(server: SocketAddr) -> SocketAddr {
    let free = UdpSocket::bind("127.0.0.2:0").expect("bind").local_addr().expect("address");
    let proxy = DnsProxy::forwarding(free, server).expect("bind");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(proxy.run(Arc::new(Everything)));
    });
    free
}

fn bench(criterion: &mut Criterion) {
    let mut query = MessageBuilder::new_vec().question();
    query.push((Name::<Vec<u8>>::vec_from_str("api.github.com").expect("a name"), Rtype::A)).expect("room");
    let query = query.finish();
    let server = start_server();
    let mut group = criterion.benchmark_group("dns_udp");
    for (name, address) in [("direct", server), ("proxy", start_proxy(server))] {
        let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
        client.connect(address).expect("connect");
        let mut answer = [0; 512];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                client.send(&query).expect("send");
                client.recv(&mut answer).expect("an answer")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
