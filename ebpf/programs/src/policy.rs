//! The policy decision over the kernel's map.

use aya_ebpf::maps::lpm_trie::Key;
use egret_shared::decide::policy::{Decision, decide};
use egret_shared::{Identity, PolicyKey};

use crate::maps::POLICY;
use crate::packet::Packet;

/// Decides a packet under a policy, with `peer` the identity of the other side.
#[inline(always)]
pub fn judge(policy: u32, peer: Identity, packet: &Packet) -> Decision {
    decide(policy, peer, packet.protocol, packet.policy_port(), |key| {
        POLICY.get(Key::new(PolicyKey::PREFIX_FULL, *key)).copied()
    })
}
