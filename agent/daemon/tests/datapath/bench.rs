//! A loaded datapath with one endpoint, into which packets are put.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aya::programs::{TestRun, TestRunOptions};
use egret_agent::datapath::{Datapath, Events};
use egret_shared::{
    Action, Address, Direction, DropReason, Endpoint, FlowRecord, Identity, PolicyEntry, PolicyKey, Verdict,
};
use ipnet::IpNet;
use libtest_mimic::Failed;

/// The endpoint's interface: a test run has the loopback interface, whose index is 1 everywhere.
const INTERFACE: u32 = 1;
/// The endpoint's address.
pub(crate) const POD: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 10);
/// A peer's address.
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 1, 11);
/// The endpoint's and a peer's addresses of IPv6, where a trial has it.
pub(crate) const POD6: Ipv6Addr = Ipv6Addr::new(0x3fff, 0x10, 0, 1, 0, 0, 0, 0x10);
pub(crate) const PEER6: Ipv6Addr = Ipv6Addr::new(0x3fff, 0x10, 0, 1, 0, 0, 0, 0x11);
/// Identity of [`POD`].
pub(crate) const POD_IDENTITY: Identity = Identity(256);
/// Identity of [`PEER`].
pub(crate) const PEER_IDENTITY: Identity = Identity(257);
/// Numbers of the endpoint's policies, when it has them.
pub(crate) const INGRESS: u32 = 11;
pub(crate) const EGRESS: u32 = 12;

/// What became of one packet.
pub(crate) struct Ran {
    /// The packet as it left the program.
    pub(crate) out: Vec<u8>,
    /// Whether it went on.
    pub(crate) passed: bool,
    /// Whether it goes back to where it came from (`TC_ACT_REDIRECT`).
    pub(crate) turned: bool,
    /// Its mark at the end.
    pub(crate) mark: u32,
    /// Its record, if there is one.
    pub(crate) record: Option<FlowRecord>,
}

/// The datapath under test.
pub(crate) struct Bench {
    pub(crate) datapath: Datapath,
    events: Events,
    ipv6: Address,
}

impl Bench {
    /// Both directions unenforced; [`POD`] and [`PEER`] known.
    pub(crate) fn load() -> Result<Self, Failed> {
        let (datapath, events) = Datapath::load()?;
        let mut bench = Self { datapath, events, ipv6: Address::default() };
        bench.enforce(0, 0)?;
        bench.datapath.maps.set_capture(true)?;
        bench.datapath.maps.put_ipcache(IpNet::from(IpAddr::V4(POD)), POD_IDENTITY)?;
        bench.datapath.maps.put_ipcache(IpNet::from(IpAddr::V4(PEER)), PEER_IDENTITY)?;
        Ok(bench)
    }

    /// The programs know IPv6 too, and endpoint and peer have it.
    pub(crate) fn add_ipv6(&mut self) -> Result<(), Failed> {
        self.datapath.add_ipv6()?;
        self.ipv6 = Address::from(IpAddr::V6(POD6));
        self.enforce(0, 0)?;
        self.datapath.maps.put_ipcache(IpNet::from(IpAddr::V6(POD6)), POD_IDENTITY)?;
        Ok(self.datapath.maps.put_ipcache(IpNet::from(IpAddr::V6(PEER6)), PEER_IDENTITY)?)
    }

    /// Puts policies in force; 0 for none.
    pub(crate) fn enforce(&mut self, ingress: u32, egress: u32) -> Result<(), Failed> {
        let endpoint = Endpoint {
            id: 7,
            identity: POD_IDENTITY.0,
            policy: [ingress, egress],
            ipv4: Address::from(POD),
            ipv6: self.ipv6,
        };
        Ok(self.datapath.maps.put_endpoint(INTERFACE, endpoint)?)
    }

    /// Takes the endpoint away.
    pub(crate) fn remove_endpoint(&mut self) -> Result<(), Failed> {
        Ok(self.datapath.maps.delete_endpoint(INTERFACE)?)
    }

    /// Writes one policymap row.
    pub(crate) fn entry(&mut self, policy: u32, row: Row) -> Result<(), Failed> {
        let mut key = PolicyKey::exact(policy, row.peer, row.protocol, row.port);
        let prefix = match (row.protocol, row.port) {
            (0, _) => PolicyKey::PREFIX_ANY,
            (_, 0) => PolicyKey::PREFIX_PROTOCOL,
            _ => PolicyKey::PREFIX_FULL,
        };
        key.pad = 0;
        let low = match row.action {
            Action::Deny => PolicyEntry::DENY,
            Action::Allow => PolicyEntry::ALLOW,
            Action::Redirect => PolicyEntry::REDIRECT_TOP,
        };
        let entry = PolicyEntry {
            precedence: PolicyEntry::precedence_of(0, low),
            rule: row.rule,
            action: row.action as u8,
            proxy: 0,
            prefix: prefix as u8,
            pad: 0,
        };
        Ok(self.datapath.maps.put_policy(key, prefix, entry)?)
    }

    /// Runs a frame through the program of a direction.
    pub(crate) fn run(&mut self, direction: Direction, frame: &[u8]) -> Result<Ran, Failed> {
        self.run_marked(direction, frame, 0)
    }

    /// Runs a frame that carries a mark.
    pub(crate) fn run_marked(
        &mut self,
        direction: Direction,
        frame: &[u8],
        mark: u32,
    ) -> Result<Ran, Failed> {
        // The start of `struct __sk_buff`: length, packet type, mark.
        let mut context_in = [0; 12];
        context_in[8..].copy_from_slice(&mark.to_ne_bytes());
        let mut context_out = [0; 256];
        let mut out = vec![0; frame.len() + 64];
        let program = self.datapath.classifier(direction)?;
        let mut options = TestRunOptions::new();
        options.data_in = Some(frame);
        options.data_out = Some(&mut out);
        options.ctx_in = Some(&context_in);
        options.ctx_out = Some(&mut context_out);
        let result = program.test_run(options)?;
        let (passed, turned) = match result.return_value {
            0 => (true, false),
            2 => (false, false),
            7 => (true, true),
            other => return Err(format!("the program returned {other}").into()),
        };
        out.truncate(result.data_size_out as usize);
        let mark = u32::from_ne_bytes(context_out[8..12].try_into()?);
        Ok(Ran { out, passed, turned, mark, record: self.events.next_record() })
    }
}

/// One policymap row in short.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) peer: Identity,
    /// 0: any protocol.
    pub(crate) protocol: u8,
    /// 0: any port.
    pub(crate) port: u16,
    pub(crate) action: Action,
    pub(crate) rule: u32,
}

impl Ran {
    /// The packet was dropped for this reason, and the record says so.
    pub(crate) fn dropped(&self, reason: DropReason) -> Result<&FlowRecord, Failed> {
        let record = self.record.as_ref().ok_or("there is no record")?;
        let verdict = Verdict::from_number(record.verdict);
        if self.passed || verdict != Some(Verdict::Dropped(reason)) {
            return Err(format!("passed: {}, verdict: {verdict:?}, not {reason:?}", self.passed).into());
        }
        Ok(record)
    }

    /// The packet went on, and the record says so.
    pub(crate) fn forwarded(&self) -> Result<&FlowRecord, Failed> {
        let record = self.record.as_ref().ok_or("there is no record")?;
        let verdict = Verdict::from_number(record.verdict);
        if !self.passed || verdict != Some(Verdict::Forwarded) {
            return Err(format!("passed: {}, verdict: {verdict:?}", self.passed).into());
        }
        Ok(record)
    }
}

/// Fails with both values when they differ.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, want: T) -> Result<(), Failed> {
    if got == want { Ok(()) } else { Err(format!("{what}: {got:?}, not {want:?}").into()) }
}
