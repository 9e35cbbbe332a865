//! The policy decision over the kernel's map.

use aya_ebpf::maps::lpm_trie::Key;
use egret_shared::decide::policy::decide;
use egret_shared::{Identity, PolicyKey};

use crate::maps::POLICY;
use crate::packet::Packet;
use crate::work::Report;

/// Decides a packet under a policy, with `peer` the identity of the other side, and notes the decision. It is read
/// from there, after [`Work::settle`]: the verifier would follow every decision to the program's end.
///
/// [`Work::settle`]: crate::work::Work::settle
#[inline(always)]
pub fn judge<const V6: bool>(policy: u32, peer: Identity, packet: &Packet, report: &mut Report) {
    let decision = decide(policy, peer, packet.protocol, packet.policy_port::<V6>(), |key| {
        POLICY.get(Key::new(PolicyKey::PREFIX_FULL, *key)).copied()
    });
    report.rule = decision.rule;
    report.match_type = decision.match_type as u8;
    report.verdict = decision.verdict.to_number();
}
