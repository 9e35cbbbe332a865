//! The kernel side of one node: its programs and maps, loaded from the object that is part of this binary.

pub mod adopt;
pub mod decode;
pub mod events;
pub mod maps;

use std::sync::Mutex;

use aya::programs::tc::SchedClassifierLinkId;
use aya::programs::tc::{
    NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact,
};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use egret_shared::Direction;

use crate::error::AgentError;
use crate::netlink::view::{self, Hook};
use crate::netns::Netns;

pub use adopt::Connections;
pub use events::Events;
pub use maps::Maps;

/// The compiled kernel programs; `cargo xtask ebpf --check` proves that they are what the sources give.
static OBJECT: &[u8] =
    include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../ebpf/prebuilt/egret.o"));

/// One loader for the process: making one reads the kernel's whole type information, some 30 ms.
static LOADER: Mutex<Option<EbpfLoader<'static>>> = Mutex::new(None);

/// Priority and handle of the filters: the first of their interface.
const PRIORITY: u16 = 1;
const HANDLE: TcHandle = TcHandle::new(0, 1);

/// The programs of one node, and its maps.
pub struct Datapath {
    ebpf: Ebpf,
    /// The programs that also know IPv6 are loaded, and are the ones to attach.
    knows_ipv6: bool,
    /// What the agent writes and reads.
    pub maps: Maps,
}

impl Datapath {
    /// Names of the programs, by the direction that they judge, and whether they know IPv6.
    const fn program(direction: Direction, ipv6: bool) -> &'static str {
        match (direction, ipv6) {
            (Direction::Egress, false) => "from_container",
            (Direction::Ingress, false) => "to_container",
            (Direction::Egress, true) => "from_container6",
            (Direction::Ingress, true) => "to_container6",
        }
    }

    /// Loads the programs and makes the maps; returns the flow records' reader beside them.
    ///
    /// # Errors
    /// Without CAP_BPF and CAP_NET_ADMIN, or when the kernel refuses a program.
    pub fn load() -> Result<(Self, Events), AgentError> {
        Self::load_after(None)
    }

    /// As [`Datapath::load`], with the connections of an agent that was there before.
    ///
    /// # Errors
    /// As for [`Datapath::load`].
    pub fn load_after(before: Option<&Connections>) -> Result<(Self, Events), AgentError> {
        let mut ebpf = {
            let mut loader = LOADER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            loader.get_or_insert_with(EbpfLoader::new).load(OBJECT)?
        };
        if let Some(before) = before {
            before.put_into(&ebpf)?;
        }
        let events = Events::open(&mut ebpf)?;
        let maps = Maps::open(&mut ebpf)?;
        let mut datapath = Self { ebpf, knows_ipv6: false, maps };
        datapath.load_programs()?;
        Ok((datapath, events))
    }

    /// Loads the programs that also know IPv6, for links that are attached or replaced from now on. The others drop
    /// IPv6 as a family that they do not know. `false`: they were loaded already.
    ///
    /// # Errors
    /// When the kernel refuses a program.
    pub fn add_ipv6(&mut self) -> Result<bool, AgentError> {
        if self.knows_ipv6 {
            return Ok(false);
        }
        self.knows_ipv6 = true;
        self.load_programs().map(|()| true)
    }

    fn load_programs(&mut self) -> Result<(), AgentError> {
        for direction in [Direction::Egress, Direction::Ingress] {
            let program = Self::program(direction, self.knows_ipv6);
            self.classifier(direction)?.load().map_err(|source| AgentError::Program { program, source })?;
        }
        Ok(())
    }

    /// Puts both programs on the node's end of a pod's link. They stay until the link is gone.
    ///
    /// # Errors
    /// When the interface is not there, or has such filters already.
    pub fn attach(&mut self, node: &Netns, interface: &str) -> Result<(), AgentError> {
        self.on(node, interface, |program, hook| {
            let options = NlOptions { priority: PRIORITY, handle: HANDLE, ..NlOptions::default() };
            program.attach_with_options(interface, hook, TcAttachOptions::Netlink(options))
        })
    }

    /// Puts both programs in the place of those of an earlier agent, each in one step: between the two every packet
    /// is judged by either.
    ///
    /// # Errors
    /// When the interface is not there, or has no such filters.
    pub fn replace(&mut self, node: &Netns, interface: &str) -> Result<(), AgentError> {
        self.on(node, interface, |program, hook| {
            let before = SchedClassifierLink::attached(interface, hook, PRIORITY, HANDLE, None)
                .map_err(TcError::IoError)?;
            program.attach_to_link(before)
        })
    }

    /// Attaches both programs, each at its hook, inside the node's network.
    fn on(
        &mut self,
        node: &Netns,
        interface: &str,
        attach: impl Fn(&mut SchedClassifier, TcAttachType) -> Result<SchedClassifierLinkId, ProgramError>,
    ) -> Result<(), AgentError> {
        node.enter(|| {
            match qdisc_add_clsact(interface) {
                Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(nix::libc::EEXIST) => {}
                added => added.map_err(std::io::Error::other)?,
            }
            // The pod's egress enters the node at its interface, and the other way round.
            for (direction, hook) in
                [(Direction::Egress, TcAttachType::Ingress), (Direction::Ingress, TcAttachType::Egress)]
            {
                let program = self.classifier(direction).map_err(std::io::Error::other)?;
                let id = attach(program, hook).map_err(std::io::Error::other)?;
                let link = program.take_link(id).map_err(std::io::Error::other)?;
                // Dropping the link would send a "delete filter" into whatever namespace the dropping
                // thread is in. The filter goes with its interface instead.
                std::mem::forget(link);
            }
            Ok(())
        })
        .map_err(AgentError::system(format!("attach the datapath to `{interface}`")))
    }

    /// The loaded program of a direction, for tests that run packets through it.
    ///
    /// # Errors
    /// When the object has no such program.
    pub fn classifier(&mut self, direction: Direction) -> Result<&mut SchedClassifier, AgentError> {
        let name = Self::program(direction, self.knows_ipv6);
        self.ebpf
            .program_mut(name)
            .and_then(|program| program.try_into().ok())
            .ok_or(AgentError::Missing(name))
    }
}

/// Numbers of the programs on an interface: what the pod sends is judged by the first, what it gets by the second.
/// `None` unless both are there.
///
/// # Errors
/// When the namespace cannot be asked.
pub fn attached(node: &Netns, index: u32) -> std::io::Result<Option<(u32, u32)>> {
    let sent = view::programs(node, index, Hook::Ingress)?;
    let received = view::programs(node, index, Hook::Egress)?;
    Ok(sent.first().copied().zip(received.first().copied()))
}

/// Every program and map that the kernel holds now, anybody's, as `program 12 "from_container"`.
///
/// What the kernel does not let the caller see is left out: without CAP_BPF, everything.
#[must_use]
pub fn inventory() -> Vec<String> {
    let programs = aya::programs::loaded_programs().filter_map(Result::ok);
    let maps = aya::maps::loaded_maps().filter_map(Result::ok);
    programs
        .map(|program| format!("program {} {:?}", program.id(), program.name_as_str().unwrap_or_default()))
        .chain(maps.map(|map| format!("map {} {:?}", map.id(), map.name_as_str().unwrap_or_default())))
        .collect()
}

/// Reads the kernel's type information ahead of the first load, on the calling thread.
pub fn warm() {
    let mut loader = LOADER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    loader.get_or_insert_with(EbpfLoader::new);
}
