//! A cluster with IPv6, beside IPv4 or alone: what pods are given, where the node leads them, and what is seen outside.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use egret_agent::Netns;
use egret_agent::control::Request;
use egret_agent::control::client::Client;
use egret_agent::netlink::{Batch, Hop, view};
use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::api::Families;
use super::machine::{Call, Machine, NODE, NODE_V6, OUTSIDE, OUTSIDE_V6, addresses};
use super::outside::seen;

/// The other node, which the machine's outside is too.
const OTHER_NODE: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2));
/// One of its pods.
const OTHER_POD: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0x244, 2, 0, 0, 0, 7));
/// A host that a test simulates.
const HOST: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77));

/// Only IPv6 addresses that the test has given: the kernel gave none of its own.
fn ipv6_of(netns: &Netns) -> Result<Vec<IpAddr>, Failed> {
    let mut found: Vec<IpAddr> = view::addresses(netns)?
        .into_iter()
        .map(|(_, address)| address)
        .filter(|address| address.is_ipv6() && !address.is_loopback())
        .collect();
    found.sort();
    Ok(found)
}

pub(crate) fn both() -> Result<(), Failed> {
    let mut machine = Machine::of(Families::Dual, &[])?;
    machine.start()?;
    let (pod, added) = machine.added(0)?;
    assert_eq!(
        added["ips"],
        json!([
            { "address": "10.244.1.1/32", "gateway": "169.254.1.1", "interface": 1 },
            { "address": "fd00:10:244:1::1/128", "gateway": "fe80::1", "interface": 1 },
        ])
    );
    assert_eq!(
        added["routes"],
        json!([{ "dst": "0.0.0.0/0", "gw": "169.254.1.1" }, { "dst": "::/0", "gw": "fe80::1" }])
    );
    let own = addresses(&added);
    assert_eq!(ipv6_of(&pod)?, own[1..]);
    let (other, added) = machine.added(1)?;
    for (address, node, outside) in addresses(&added)
        .into_iter()
        .zip([NODE, NODE_V6])
        .zip([OUTSIDE, OUTSIDE_V6])
        .map(|((a, b), c)| (a, b, c))
    {
        let same: Vec<IpAddr> =
            own.iter().copied().filter(|own| own.is_ipv4() == address.is_ipv4()).collect();
        assert_eq!(seen(&pod, &other, SocketAddr::new(address, 80))?, same[0], "{}", machine.log());
        assert_eq!(seen(&machine.netns, &pod, SocketAddr::new(same[0], 80))?, node);
        assert_eq!(seen(&pod, &machine.outside, SocketAddr::new(outside, 80))?, node);
        // Who comes from outside keeps the address.
        assert_eq!(seen(&machine.outside, &pod, SocketAddr::new(same[0], 80))?, outside);
    }
    let call = |command, more| Call { command, container: "container-0", netns: Some(&pod), pod: 0, more };
    let told = json!({ "prevResult": { "ips": [
        { "address": "10.244.1.1/32" }, { "address": "fd00:10:244:1::1/128" },
    ] } });
    machine.call(&call("CHECK", told))?.map_err(|failure| format!("CHECK: {failure}"))?;
    let half = json!({ "prevResult": { "ips": [{ "address": "10.244.1.1/32" }] } });
    let failure = machine.call(&call("CHECK", half))?.err().ok_or("half of the addresses is enough")?;
    assert_eq!(failure["code"], 101);
    machine.call(&call("DEL", Value::Null))?.map_err(|failure| format!("DEL: {failure}"))?;
    assert_eq!(machine.pod_links()?.len(), 1);
    Ok(())
}

pub(crate) fn ipv6_alone() -> Result<(), Failed> {
    let mut machine = Machine::of(Families::V6, &[])?;
    // What kind and kubeadm see to on their nodes, the agent sees to on others.
    let forwarding = "/proc/sys/net/ipv6/conf/all/forwarding";
    machine.netns.enter(|| std::fs::write(forwarding, "0"))?;
    machine.start()?;
    assert_eq!(machine.netns.enter(|| std::fs::read_to_string(forwarding))?.trim(), "1");
    let (pod, added) = machine.added(0)?;
    assert_eq!(
        added["ips"],
        json!([{ "address": "fd00:10:244:1::1/128", "gateway": "fe80::1", "interface": 1 }])
    );
    assert_eq!(added["routes"], json!([{ "dst": "::/0", "gw": "fe80::1" }]));
    let v4: Vec<_> =
        view::addresses(&pod)?.into_iter().filter(|(index, ip)| *index != 1 && ip.is_ipv4()).collect();
    assert_eq!(v4, []);
    assert_eq!(seen(&pod, &machine.outside, SocketAddr::new(OUTSIDE_V6, 80))?, NODE_V6);
    Ok(())
}

/// Asks the agent to lead a host to the machine's outside.
fn lead(machine: &Machine, via: Vec<IpAddr>) -> Result<(), Failed> {
    let prefixes = vec![HOST.into()];
    Client::connect(&machine.socket())?.ask(&Request::Outside { via, prefixes })?;
    Ok(())
}

pub(crate) fn kept() -> Result<(), Failed> {
    let mut machine = Machine::of(Families::Dual, &[])?;
    Batch::new().address(3, OTHER_NODE).address(3, OTHER_POD).address(3, HOST).send(&machine.outside)?;
    machine.start()?;
    // The scripted cluster's other node is a neighbour.
    Batch::new().route((OTHER_NODE, 128), Hop::Link(2), Some(NODE_V6)).send(&machine.netns)?;
    let (pod, added) = machine.added(0)?;
    let own = addresses(&added)[1];
    let routes = |machine: &Machine| -> Result<Vec<String>, Failed> {
        let routes = view::routes(&machine.netns)?.into_iter().map(|route| {
            let via = route.via.map_or("nowhere".into(), |via| via.to_string());
            format!("{}/{} {via}", route.prefix.0, route.prefix.1)
        });
        Ok(routes.collect())
    };
    let pods = [
        "10.244.1.0/24 nowhere",
        "10.244.2.0/24 10.77.0.2",
        "fd00:10:244:1::/64 nowhere",
        "fd00:10:244:2::/64 fd77::2",
    ];
    assert_eq!(routes(&machine)?, pods);
    // To another node's pods as it is, and outside with the node's address.
    let passes = |machine: &Machine| -> Result<(), Failed> {
        assert_eq!(seen(&pod, &machine.outside, SocketAddr::new(OTHER_POD, 80))?, own, "{}", machine.log());
        assert_eq!(seen(&pod, &machine.outside, SocketAddr::new(OTHER_NODE, 80))?, own);
        assert_eq!(seen(&pod, &machine.outside, SocketAddr::new(OUTSIDE_V6, 80))?, NODE_V6);
        Ok(())
    };
    passes(&machine)?;
    // Nobody of this family is there to lead to.
    lead(&machine, vec![OUTSIDE])?;
    assert_eq!(routes(&machine)?, pods);
    lead(&machine, vec![OUTSIDE, OUTSIDE_V6])?;
    let host = format!("{HOST}/128 {OUTSIDE_V6}");
    assert!(routes(&machine)?.contains(&host), "{host} is missing: {:?}", routes(&machine)?);
    assert_eq!(seen(&pod, &machine.outside, SocketAddr::new(HOST, 80))?, NODE_V6);
    machine.kill_agent()?;
    passes(&machine)?;
    machine.start()?;
    assert_eq!(routes(&machine)?, pods);
    passes(&machine)
}
