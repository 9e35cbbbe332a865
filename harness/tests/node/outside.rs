//! Hosts outside the cluster: what they see of pods that talk to them, and the way to those that a test simulates.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use egret_agent::Netns;
use egret_agent::control::Request;
use egret_agent::control::client::Client;
use egret_agent::netlink::view;
use egret_agent::netlink::{Batch, Hop};
use libtest_mimic::Failed;

use super::machine::{Machine, NODE, OUTSIDE};

/// How long a connection may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The address of the other node, which the machine's outside has too.
const OTHER_NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));

/// Connects from one namespace to an address in another: the server's word comes back, and who it has seen.
pub(crate) fn seen(from: &Netns, at: &Netns, to: SocketAddr) -> Result<IpAddr, Failed> {
    let listener = at.enter(|| TcpListener::bind(to))?;
    let server = std::thread::spawn(move || -> std::io::Result<IpAddr> {
        let (mut stream, peer) = listener.accept()?;
        stream.write_all(b"hello")?;
        Ok(peer.ip())
    });
    let mut stream = from.enter(|| TcpStream::connect_timeout(&to, PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut word = [0; 5];
    stream.read_exact(&mut word)?;
    assert_eq!(&word, b"hello");
    Ok(server.join().map_err(|_panic| "the server failed")??)
}

pub(crate) fn masqueraded() -> Result<(), Failed> {
    let mut machine = Machine::new(&[])?;
    Batch::new().address(3, OTHER_NODE).send(&machine.outside)?;
    machine.start()?;
    let (pod, address) = machine.add(0)?;
    let outside = SocketAddr::new(OUTSIDE, 80);
    assert_eq!(seen(&pod, &machine.outside, outside)?, NODE, "{}", machine.log());
    Batch::new().route((OTHER_NODE, 32), Hop::Link(2), Some(NODE)).send(&machine.netns)?;
    assert_eq!(seen(&pod, &machine.outside, SocketAddr::new(OTHER_NODE, 80))?, address);
    // Who comes from outside keeps the address as well.
    assert_eq!(seen(&machine.outside, &pod, SocketAddr::new(address, 80))?, OUTSIDE);
    // The next agent has nothing to change, and one does not put a second rule beside the first.
    machine.kill_agent()?;
    assert_eq!(seen(&pod, &machine.outside, outside)?, NODE);
    machine.start()?;
    assert_eq!(seen(&pod, &machine.outside, outside)?, NODE);
    Ok(())
}

/// An address that nobody on the node's link has, but a host behind it.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

/// Asks the agent to lead these hosts to a neighbour.
fn lead(machine: &Machine, hosts: &[IpAddr], via: IpAddr) -> Result<(), Failed> {
    let prefixes = hosts.iter().map(|host| (*host).into()).collect();
    Client::connect(&machine.socket())?.ask(&Request::Outside { via: vec![via], prefixes })?;
    Ok(())
}

/// The hosts that the agent leads somewhere.
fn led(machine: &Machine) -> Result<Vec<IpAddr>, Failed> {
    let routes = view::routes(&machine.netns)?.into_iter();
    Ok(routes.filter(|route| route.prefix.1 == 32).map(|route| route.prefix.0).collect())
}

pub(crate) fn led_to_a_neighbour() -> Result<(), Failed> {
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 8));
    let mut machine = Machine::new(&[])?;
    Batch::new().address(3, HOST).send(&machine.outside)?;
    machine.start()?;
    let (pod, _) = machine.add(0)?;
    assert_eq!(led(&machine)?, [] as [IpAddr; 0]);
    lead(&machine, &[HOST, OTHER], OUTSIDE)?;
    assert_eq!(led(&machine)?, [HOST, OTHER]);
    assert_eq!(seen(&pod, &machine.outside, SocketAddr::new(HOST, 80))?, NODE, "{}", machine.log());
    // In place of those before; and a change of the cluster takes nothing away.
    lead(&machine, &[HOST], OUTSIDE)?;
    let _other_pod = machine.add(1)?;
    assert_eq!(led(&machine)?, [HOST]);
    // A way that the kernel does not take leaves the one before.
    assert!(lead(&machine, &[OTHER], NODE).is_err());
    assert_eq!(led(&machine)?, [HOST]);
    // An agent that starts anew has not been told.
    machine.kill_agent()?;
    assert_eq!(led(&machine)?, [HOST]);
    machine.start()?;
    assert_eq!(led(&machine)?, [] as [IpAddr; 0]);
    Ok(())
}
