//! A pod that may talk to a name: the agent learns what it leads to, and so does the next agent.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use egret_agent::Netns;
use egret_agent::control::client::Client;
use egret_agent::control::{Reply, Request};
use egret_core::flow::{Event, Flow};
use egret_shared::Verdict;
use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::machine::{Machine, OUTSIDE};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A query for the address of www.example.com.
const QUERY: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01";

fn policy() -> Value {
    json!({
        "kind": "CiliumNetworkPolicy",
        "metadata": { "name": "names", "namespace": "default", "uid": "p", "resourceVersion": "8" },
        "spec": {
            "endpointSelector": { "matchLabels": { "app": "pod-0" } },
            "egress": [
                {
                    "toEndpoints": [{ "matchLabels": { "app": "pod-1" } }],
                    "toPorts": [{ "ports": [{ "port": "53", "protocol": "UDP" }], "rules": { "dns": [{ "matchPattern": "*" }] } }],
                },
                { "toFQDNs": [{ "matchName": "www.example.com" }] },
            ],
        },
    })
}

/// Answers every datagram that comes to an address, as long as the test runs.
fn serve(netns: &Netns, at: SocketAddr, answer: fn(&[u8]) -> Vec<u8>) -> Result<(), Failed> {
    let socket = netns.enter(|| UdpSocket::bind(at))?;
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if socket.send_to(&answer(&buffer[..length]), from).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// The address of the host outside, for an hour.
fn resolve(query: &[u8]) -> Vec<u8> {
    let question = &query[12..];
    [
        &query[..2],
        b"\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00",
        question,
        b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04",
        &[192, 0, 2, 9],
    ]
    .concat()
}

/// Waits for a flow.
fn until(machine: &Machine, wanted: impl Fn(&Flow) -> bool) -> Result<(), Failed> {
    let mut client = Client::connect(&machine.socket())?;
    let mut next = client.begin(&Request::Flows { since: 0, follow: true })?;
    while let Some(reply) = next {
        if matches!(&reply, Reply::Flow(flow) if wanted(flow)) {
            return Ok(());
        }
        next = client.answer()?;
    }
    Err("the agent ended".into())
}

pub(crate) fn learned() -> Result<(), Failed> {
    let mut machine = Machine::new(&[policy()])?;
    machine.start()?;
    let (client, _) = machine.add(0)?;
    let (server, address) = machine.add(1)?;
    let host = SocketAddr::new(OUTSIDE, 7);
    serve(&machine.outside, host, <[u8]>::to_vec)?;
    serve(&server, SocketAddr::new(address, 53), resolve)?;
    let socket = client.enter(|| UdpSocket::bind("0.0.0.0:0"))?;
    socket.set_read_timeout(Some(PATIENCE))?;

    // Nobody has asked for the name yet: the address is anybody's.
    socket.send_to(b"early", host)?;
    until(&machine, |flow| {
        flow.destination.address == OUTSIDE && matches!(flow.verdict, Verdict::Dropped(_))
    })?;

    let mut buffer = [0; 512];
    socket.send_to(QUERY, SocketAddr::new(address, 53))?;
    let (length, from) = socket.recv_from(&mut buffer).map_err(|error| format!("no answer: {error}"))?;
    assert_eq!((&buffer[..length], from), (&*resolve(QUERY), SocketAddr::new(address, 53)));
    until(&machine, |flow| matches!(&flow.event, Event::Dns(dns) if dns.answer.is_some()))?;
    let echoed = |buffer: &mut [u8], text: &[u8]| -> Result<(), Failed> {
        socket.send_to(text, host)?;
        let (length, _) = socket.recv_from(buffer).map_err(|error| format!("no echo: {error}"))?;
        assert_eq!(&buffer[..length], text);
        Ok(())
    };
    echoed(&mut buffer, b"allowed")?;
    machine.kill_agent()?;
    echoed(&mut buffer, b"without an agent")?;
    machine.start()?;
    echoed(&mut buffer, b"and with the next one")?;
    // A datagram from another port is a connection of its own.
    let other = client.enter(|| UdpSocket::bind("0.0.0.0:0"))?;
    other.set_read_timeout(Some(PATIENCE))?;
    other.send_to(b"new", host)?;
    other.recv_from(&mut buffer).map_err(|error| format!("no echo for a new connection: {error}"))?;
    Ok(())
}
