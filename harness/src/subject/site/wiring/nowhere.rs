//! What the Internet says to packets for a node that cannot be reached: nobody answers, at once and every time.

use std::io;
use std::os::fd::AsFd;

use egret_agent::Netns;
use egret_agent::netlink::family::{GATEWAY_V4, alone};
use egret_agent::netlink::{Batch, Hop, VethEnd, await_link};

use super::{Numbering, mac, set};

/// Index of the Internet's interface behind which nobody answers; the one behind it is its other end.
const NOWHERE: u32 = 8;

/// Gives the Internet an interface behind which nobody answers; [`answer_for`] says so to whoever asks there.
///
/// # Errors
/// When the kernel refuses the link or a setting.
pub(in crate::subject::site) fn make_nowhere(internet: &Netns) -> io::Result<u32> {
    let near = VethEnd { name: "nowhere", index: NOWHERE, mac: mac(5, 0), quiet: false };
    let far = VethEnd { name: "nobody", index: NOWHERE.saturating_add(1), mac: mac(6, 0), quiet: false };
    Batch::new().veth(&near, &far, internet.as_fd()).up(near.index).up(far.index).send(internet)?;
    await_link(internet, near.index)?;
    answer_for(internet, near.name)?;
    Ok(near.index)
}

/// Has a network say at once, behind one of its interfaces, that a neighbour does not answer.
///
/// The kernel answers for routes that lead nowhere as well, and no more than five times in a row for one client
/// (`ip_rt_error_burst` in `net/ipv4/route.c`, one value for the whole machine). For silent neighbours it has no limit.
///
/// # Errors
/// When `/proc/sys` cannot be written.
pub(in crate::subject::site) fn answer_for(netns: &Netns, interface: &str) -> io::Result<()> {
    netns.enter(|| {
        set(&format!("net/ipv4/neigh/{interface}/mcast_solicit"), "1", false)?;
        // Rounded up to a hundredth of a second.
        set(&format!("net/ipv4/neigh/{interface}/retrans_time_ms"), "1", false)
    })
}

/// Leads the way to a node and its pods to where nobody answers, or no longer.
///
/// # Errors
/// When the kernel refuses.
pub(in crate::subject::site) fn lead_nowhere(
    internet: &Netns,
    nowhere: u32,
    node: &Numbering,
    leads: bool,
) -> io::Result<()> {
    let mut batch = Batch::new();
    let nodes = node.addresses.iter().map(|address| alone(*address));
    for prefix in node.prefixes.iter().copied().chain(nodes) {
        // For IPv6 the kernel answers for a route that leads nowhere as often as it is asked.
        let hop = if prefix.0.is_ipv4() { Hop::Via(GATEWAY_V4, nowhere) } else { Hop::Unreachable };
        if leads {
            batch.route(prefix, hop, None);
        } else {
            batch.remove_route(prefix, hop);
        }
    }
    batch.send(internet)
}
