//! Address to identity.

use aya_ebpf::maps::lpm_trie::Key;
use egret_shared::{Address, Identity};

use crate::maps::IPCACHE;

/// The identity of an address: the longest prefix's, or the world's.
#[inline(always)]
pub fn identity_of(address: &Address) -> Identity {
    match IPCACHE.get(Key::new(128, *address)) {
        Some(entry) => Identity(entry.identity),
        None => Identity::WORLD,
    }
}
