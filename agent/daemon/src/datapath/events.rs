//! The ring buffer of flow records.

use std::os::fd::{AsFd, BorrowedFd};

use aya::Ebpf;
use aya::maps::{MapData, RingBuf};
use egret_shared::FlowRecord;

use crate::error::AgentError;

/// Reads the records of one node in the order in which they were written.
pub struct Events {
    ring: RingBuf<MapData>,
}

impl Events {
    pub(super) fn open(ebpf: &mut Ebpf) -> Result<Self, AgentError> {
        const NAME: &str = "EVENTS";
        let map = ebpf.take_map(NAME).ok_or(AgentError::Missing(NAME))?;
        let ring = map.try_into().map_err(|source| AgentError::Map { what: "open", map: NAME, source })?;
        Ok(Self { ring })
    }

    /// The next record, if there is one.
    pub fn next_record(&mut self) -> Option<FlowRecord> {
        loop {
            let item = self.ring.next()?;
            if let Some(record) = read(&item) {
                return Some(record);
            }
        }
    }
}

impl AsFd for Events {
    /// Readable when a record was written that somebody may be waiting for.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

/// A record from its bytes; `None` when the kernel side is of another build.
fn read(bytes: &[u8]) -> Option<FlowRecord> {
    #![expect(unsafe_code, reason = "a kernel record is plain bytes")]
    if bytes.len() != size_of::<FlowRecord>() {
        return None;
    }
    // SAFETY: the length is that of a `FlowRecord`, which is `repr(C)` and valid for every bit pattern; the
    // read does not need alignment.
    Some(unsafe { bytes.as_ptr().cast::<FlowRecord>().read_unaligned() })
}
