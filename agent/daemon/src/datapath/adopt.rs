//! The connections of an earlier agent of the same node, which its programs still hold in the kernel.
//!
//! Filters keep their programs, and programs their maps, when the process that loaded them ends: the node goes on
//! enforcing. The next agent writes maps of its own, with its own numbers, and takes over one thing only: the table
//! of connections. While it replaces the programs link by link, old and new ones share it, so no connection is ever
//! unknown to either.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd};

use aya::Ebpf;
use aya::maps::{Array, Map, MapData, MapInfo};
use egret_shared::{ABI_VERSION, Config};

use crate::error::AgentError;

const CONNTRACK: &str = "CONNTRACK";
const CONFIG: &str = "CONFIG";

/// The table of connections that a loaded program uses.
pub struct Connections(MapData);

impl Connections {
    /// The table of the program with this number; `None` when the program is gone or of another build.
    #[must_use]
    pub fn of_program(id: u32) -> Option<Self> {
        let program = aya::programs::loaded_programs().filter_map(Result::ok).find(|info| info.id() == id)?;
        let maps = program.map_ids().ok()??;
        let named = |name: &str| {
            maps.iter()
                .copied()
                .find(|id| MapInfo::from_id(*id).is_ok_and(|info| info.name_as_str() == Some(name)))
        };
        let config = Map::from_map_data(MapData::from_id(named(CONFIG)?).ok()?).ok()?;
        let config = Array::<MapData, Config>::try_from(config).ok()?;
        if config.get(&0, 0).ok()?.abi != ABI_VERSION {
            return None;
        }
        MapData::from_id(named(CONNTRACK)?).ok().map(Self)
    }

    /// Puts the table into a loaded object whose programs are not loaded yet.
    ///
    /// The object's instructions name its maps by descriptor; the same descriptor then stands for this table.
    pub(super) fn put_into(&self, ebpf: &Ebpf) -> Result<(), AgentError> {
        let Some(Map::LruHashMap(fresh)) = ebpf.map(CONNTRACK) else {
            return Err(AgentError::Missing(CONNTRACK));
        };
        let describe = |map: &MapData| {
            let info =
                map.info().map_err(|source| AgentError::Map { what: "read", map: CONNTRACK, source })?;
            Ok::<_, AgentError>((info.key_size(), info.value_size(), info.max_entries()))
        };
        if describe(fresh)? != describe(&self.0)? {
            // Another size, so another build: its connections begin anew.
            return Ok(());
        }
        replace(fresh.fd().as_fd(), self.0.fd().as_fd())
            .map_err(AgentError::system("take over the table of connections"))
    }
}

/// Makes the descriptor `at` stand for what `by` stands for.
fn replace(at: BorrowedFd<'_>, by: BorrowedFd<'_>) -> io::Result<()> {
    #![expect(unsafe_code, reason = "dup3 onto a descriptor that somebody else owns")]
    // SAFETY: the owner of `at` keeps an open descriptor of the same number; what it stood for is closed, and is
    // used by nobody, since no program was loaded with it.
    let same = unsafe { nix::unistd::dup3_raw(by, at.as_raw_fd(), nix::fcntl::OFlag::O_CLOEXEC) }?;
    // The descriptor belongs to its owner as before.
    let _owned_elsewhere = same.into_raw_fd();
    Ok(())
}
