//! The agent is killed and comes back while two pods talk: no packet is lost, and nothing passes that must not.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use egret_agent::Netns;
use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::api::Families;
use super::machine::Machine;

/// How often the agent is killed.
const RESTARTS: usize = 5;
/// How long a datagram and its answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Only `pod-0` may talk to `pod-1`, on two ports.
fn policy() -> Value {
    json!({
        "kind": "NetworkPolicy",
        "metadata": { "name": "only", "namespace": "default", "uid": "p", "resourceVersion": "8" },
        "spec": {
            "podSelector": { "matchLabels": { "app": "pod-1" } },
            "ingress": [{
                "from": [{ "podSelector": { "matchLabels": { "app": "pod-0" } } }],
                "ports": [{ "port": 8080, "protocol": "TCP" }, { "port": 9000, "protocol": "UDP" }],
            }],
        },
    })
}

/// Segments that were sent again in a network, of either family.
fn retransmitted(netns: &Netns) -> Result<u64, Failed> {
    let text = netns.enter(|| fs::read_to_string("/proc/thread-self/net/snmp"))?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, values) = lines.next().zip(lines.next()).ok_or("no counters of TCP")?;
    let place = names.split(' ').position(|name| name == "RetransSegs").ok_or("no such counter")?;
    Ok(values.split(' ').nth(place).ok_or("no such counter")?.parse()?)
}

pub(crate) fn restarted() -> Result<(), Failed> {
    restarted_with(Families::V4)
}

pub(crate) fn restarted_over_ipv6() -> Result<(), Failed> {
    restarted_with(Families::V6)
}

fn restarted_with(families: Families) -> Result<(), Failed> {
    let mut machine = Machine::of(families, &[policy()])?;
    machine.start()?;
    let (client, _) = machine.add(0)?;
    let (server, address) = machine.add(1)?;
    let at = |port| SocketAddr::new(address, port);
    let listener = server.enter(|| TcpListener::bind(at(8080)))?;
    let echo = server.enter(|| UdpSocket::bind(at(9000)))?;
    let closed = server.enter(|| UdpSocket::bind(at(9001)))?;
    let accepting = std::thread::spawn(move || listener.accept());
    let mut outgoing = client.enter(|| TcpStream::connect_timeout(&at(8080), PATIENCE))?;
    let (mut incoming, _) = accepting.join().map_err(|_| "the server panicked")??;
    outgoing.set_nodelay(true)?;
    incoming.set_nodelay(true)?;
    outgoing.set_read_timeout(Some(PATIENCE))?;
    let any = families.of("0.0.0.0:0", "[::]:0");
    let asking = client
        .enter(|| UdpSocket::bind(&*any.iter().flat_map(|any| any.parse()).collect::<Vec<SocketAddr>>()))?;
    asking.set_read_timeout(Some(PATIENCE))?;
    echo.set_read_timeout(Some(PATIENCE))?;

    let ended = AtomicBool::new(false);
    let talk = || -> Result<u64, String> {
        let text = |error: std::io::Error| error.to_string();
        let mut count = 0_u64;
        while !ended.load(Ordering::Relaxed) {
            let ping = count.to_be_bytes();
            let mut pong = [0; 8];
            asking.send_to(&ping, at(9000)).map_err(text)?;
            let (_, from) = echo.recv_from(&mut pong).map_err(|_| format!("datagram {count} was lost"))?;
            echo.send_to(&pong, from).map_err(text)?;
            asking.recv_from(&mut pong).map_err(|_| format!("the answer to datagram {count} was lost"))?;
            // Not allowed, whoever judges.
            asking.send_to(&ping, at(9001)).map_err(text)?;
            outgoing.write_all(&ping).map_err(text)?;
            incoming.read_exact(&mut pong).map_err(text)?;
            incoming.write_all(&pong).map_err(text)?;
            outgoing.read_exact(&mut pong).map_err(|_| format!("segment {count} was lost"))?;
            if pong != ping {
                return Err(format!("the answer to {count} is another's"));
            }
            count += 1;
        }
        Ok(count)
    };
    let count = std::thread::scope(|scope| -> Result<u64, Failed> {
        let talking = scope.spawn(talk);
        let restarts = (0..RESTARTS).try_for_each(|_| {
            machine.kill_agent()?;
            machine.start()
        });
        ended.store(true, Ordering::Relaxed);
        let count = talking.join().map_err(|_| "the pods' thread panicked")??;
        restarts.map(|()| count)
    })?;
    eprintln!("{count} datagrams and segments each way while the agent was killed {RESTARTS} times");
    assert!(count > 100, "only {count} rounds: the restarts were not under load");
    assert_eq!(retransmitted(&client)?, 0, "the client had to send segments again");
    assert_eq!(retransmitted(&server)?, 0, "the server had to send segments again");
    closed.set_nonblocking(true)?;
    let passed = closed.recv_from(&mut [0; 8]);
    assert!(passed.is_err(), "a datagram passed that no policy allows: {passed:?}");
    Ok(())
}
