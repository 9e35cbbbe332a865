//! What one run of a program works on, in memory that the verifier does not follow.
//!
//! On the stack every header field would keep what each branch has learnt of it, and the verifier would walk the
//! rest of the program once for every protocol and every verdict: some 30 ms for each load. A map's value is
//! opaque to it. The memory belongs to the CPU, on which a program runs to its end before the next one starts.

use core::hint::black_box;

use egret_shared::{Address, Author, CtStatus, Direction, DropReason, MatchType, Verdict};

use crate::packet::Packet;

/// The packet and what was found out about it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Work {
    /// The packet's headers.
    pub packet: Packet,
    /// Those of the packet that it quotes, if it is an ICMP error.
    pub quoted: Packet,
    /// What the record will say.
    pub report: Report,
}

/// What a hook has found out about its packet so far, in the record's numbers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Report {
    /// The hook's [`Direction`].
    pub direction: u8,
    /// [`CtStatus`] of the connection.
    pub status: u8,
    /// [`MatchType`] of the deciding entry.
    pub match_type: u8,
    /// Bits of the record's `flags`.
    pub flags: u8,
    /// Number of the endpoint, 0 if none.
    pub endpoint: u32,
    /// Identity of the source.
    pub source: u32,
    /// Identity of the destination.
    pub destination: u32,
    /// Who decided.
    pub rule: u32,
    /// [`Verdict::to_number`].
    pub verdict: i32,
    /// Service address that the client used; all zero without a service.
    pub frontend: Address,
    /// The port that belongs to it, in network order; 0 without a service.
    pub frontend_port: [u8; 2],
    /// Not 0: the packet is of no interest to anybody (ARP, neighbour discovery).
    pub silent: u8,
    /// [`Turn`].
    pub turn: u8,
}

/// Whether a packet turns round at the pod's link, and whom in the pod it is for.
#[repr(u8)]
#[derive(Clone, Copy)]
pub enum Turn {
    /// It goes on.
    None = 0,
    /// For the pod's server, from its client.
    ToServer = 1,
    /// For the pod's client, from its server.
    ToClient = 2,
}

impl Work {
    /// Forgets the packet before: nothing is known yet.
    #[inline(always)]
    pub fn reset(&mut self, direction: Direction) {
        self.packet = Packet::default();
        self.quoted = Packet::default();
        self.report = Report {
            direction: direction as u8,
            status: CtStatus::New as u8,
            match_type: MatchType::None as u8,
            flags: 0,
            endpoint: 0,
            source: 0,
            destination: 0,
            rule: Author::NONE,
            verdict: 0,
            frontend: Address([0; 16]),
            frontend_port: [0; 2],
            silent: 0,
            turn: Turn::None as u8,
        };
    }

    /// Everything before this is in memory, everything after it is read from there: branches end here.
    #[inline(always)]
    pub fn settle(&mut self) {
        black_box(self);
    }

    /// Notes a drop that policy did not decide.
    #[inline(always)]
    pub fn conclude(&mut self, judged: Result<(), DropReason>) {
        if let Err(reason) = judged {
            self.report.verdict = Verdict::Dropped(reason).to_number();
        }
        self.settle();
    }
}

impl Report {
    /// Whether policy drops the packet.
    #[inline(always)]
    pub fn is_dropped(&self) -> bool {
        self.verdict < 0
    }

    /// The number of the proxy to which policy redirects the packet, 0 for none.
    #[inline(always)]
    pub fn proxy(&self) -> u32 {
        if self.verdict > 0 { self.verdict as u32 } else { 0 }
    }

    /// Whether the client used a service address.
    #[inline(always)]
    pub fn has_frontend(&self) -> bool {
        self.frontend_port != [0; 2]
    }
}
