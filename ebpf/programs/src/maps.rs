//! Every map declaration, and nothing else. Sizes are defaults; the agent sets its own when it loads.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use egret_shared::{
    Address, Config, CtEntry, CtKey, Endpoint, IpcacheEntry, PolicyEntry, PolicyKey, Proxy, ServiceEntry,
    ServiceKey,
};

use crate::work::Work;

/// Interface index to endpoint.
#[map]
pub static ENDPOINTS: HashMap<u32, Endpoint> = HashMap::with_max_entries(1024, 0);

/// Prefix to identity.
#[map]
pub static IPCACHE: LpmTrie<Address, IpcacheEntry> = LpmTrie::with_max_entries(65536, 0);

/// Policies of all endpoints.
#[map]
pub static POLICY: LpmTrie<PolicyKey, PolicyEntry> = LpmTrie::with_max_entries(262_144, 0);

/// Connections.
#[map]
pub static CONNTRACK: LruHashMap<CtKey, CtEntry> = LruHashMap::with_max_entries(16384, 0);

/// Service frontends and their backends.
#[map]
pub static SERVICES: HashMap<ServiceKey, ServiceEntry> = HashMap::with_max_entries(4096, 0);

/// Local ports of the node's proxies.
#[map]
pub static PROXIES: Array<u32> = Array::with_max_entries(Proxy::SLOTS, 0);

/// The one configuration row.
#[map]
pub static CONFIG: Array<Config> = Array::with_max_entries(1, 0);

/// What was decided about packets.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// Each CPU's working memory.
#[map]
pub static WORK: PerCpuArray<Work> = PerCpuArray::with_max_entries(1, 0);

/// Records that found the ring buffer full.
#[map]
pub static LOST: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
