//! What becomes of a run's flows: monitor lines, Hubble's JSON, captures, and the files that hold them.

pub mod artifacts;
pub mod broadcast;
mod clock;
pub mod hubble;
pub mod monitor;
pub mod pcapng;
mod record;

pub use record::Recorder;

use egret_core::flow::{Event, Flow};
use egret_shared::{CtStatus, DropReason, Verdict};

/// Whether the policy was asked about this packet, so that a policy verdict event belongs to it.
///
/// The datapath asks for packets that no connection answers for: first packets, packets that it stops, and
/// packets that a proxy takes (Cilium `bpf/bpf_lxc.c`, `policy_can_egress` and the call of
/// `send_policy_verdict_notify` after it). Without a policy in force nothing is asked.
#[must_use]
pub fn is_judged(flow: &Flow) -> bool {
    let Event::Packet(packet) = &flow.event else { return false };
    flow.enforced
        && match flow.verdict {
            Verdict::Dropped(DropReason::PolicyDenied | DropReason::PolicyDeny) => true,
            Verdict::Dropped(_) => false,
            Verdict::Forwarded => packet.status == CtStatus::New,
            Verdict::Redirected(_) => matches!(packet.status, CtStatus::New | CtStatus::Established),
        }
}

/// The other side of the flow, as seen from the endpoint whose policy was asked.
fn remote(flow: &Flow) -> &egret_core::flow::Side {
    match flow.direction {
        egret_shared::Direction::Egress => &flow.destination,
        egret_shared::Direction::Ingress => &flow.source,
    }
}
