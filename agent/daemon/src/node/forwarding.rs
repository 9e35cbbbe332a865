//! Whether the node passes on what its pods send.

use std::io;

use ipnet::IpNet;

use crate::netns::Netns;

/// Has the node pass packets on, of the families that its pods have. Where it does already, nothing is written: an
/// agent in a container sees the settings read-only.
///
/// # Errors
/// When a setting is wrong and cannot be written.
pub(super) fn pass_on(netns: &Netns, prefixes: &[IpNet]) -> io::Result<()> {
    let settings = [
        (prefixes.iter().any(|prefix| prefix.addr().is_ipv4()), "net/ipv4/ip_forward"),
        (prefixes.iter().any(|prefix| prefix.addr().is_ipv6()), "net/ipv6/conf/all/forwarding"),
    ];
    netns.enter(|| {
        for (_, setting) in settings.into_iter().filter(|(is_needed, _)| *is_needed) {
            let path = format!("/proc/sys/{setting}");
            let failed = |error: io::Error| {
                let name = setting.replace('/', ".");
                io::Error::new(error.kind(), format!("{name} must be 1 on the node: {error}"))
            };
            if std::fs::read_to_string(&path).map_err(failed)?.trim() == "0" {
                std::fs::write(&path, "1").map_err(failed)?;
            }
        }
        Ok(())
    })
}
