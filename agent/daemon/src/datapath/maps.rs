//! Typed handles on a node's maps, and the writer that executes a diff.

use std::net::Ipv4Addr;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use egret_shared::{
    ABI_VERSION, Address, Config, CtEntry, CtKey, Endpoint, Identity, IpcacheEntry, PolicyEntry, PolicyKey,
    Proxy, ServiceEntry, ServiceKey,
};
use ipnet::{IpNet, Ipv4Net};

use crate::error::AgentError;

/// The maps that the agent writes, and the two it reads.
pub struct Maps {
    endpoints: HashMap<MapData, u32, Endpoint>,
    ipcache: LpmTrie<MapData, Address, IpcacheEntry>,
    policy: LpmTrie<MapData, PolicyKey, PolicyEntry>,
    conntrack: HashMap<MapData, CtKey, CtEntry>,
    services: HashMap<MapData, ServiceKey, ServiceEntry>,
    proxies: Array<MapData, u32>,
    config: Array<MapData, Config>,
    lost: PerCpuArray<MapData, u64>,
    current: Config,
}

macro_rules! open {
    ($ebpf:expr, $name:literal) => {
        $ebpf
            .take_map($name)
            .ok_or(AgentError::Missing($name))?
            .try_into()
            .map_err(|source| AgentError::Map { what: "open", map: $name, source })?
    };
}

/// Always has a row: in the map IPv4 is a part of IPv6, and a short prefix of that, `::/0` above all, is none of its.
const ALL_OF_IPV4: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0));

/// Turns a map error into ours.
fn wrote(map: &'static str) -> impl FnOnce(MapError) -> AgentError {
    move |source| AgentError::Map { what: "write", map, source }
}

/// A row that is gone already is what a deletion wants.
fn deleted(map: &'static str, result: Result<(), MapError>) -> Result<(), AgentError> {
    match result {
        Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error)) if error.io_error.raw_os_error() == Some(nix::libc::ENOENT) => {
            Ok(())
        }
        other => other.map_err(wrote(map)),
    }
}

impl Maps {
    /// Takes the maps out of a loaded object and writes the first configuration.
    ///
    /// # Errors
    /// When the object's maps are not of this build.
    pub fn open(ebpf: &mut Ebpf) -> Result<Self, AgentError> {
        let mut maps = Self {
            endpoints: open!(ebpf, "ENDPOINTS"),
            ipcache: open!(ebpf, "IPCACHE"),
            policy: open!(ebpf, "POLICY"),
            conntrack: open!(ebpf, "CONNTRACK"),
            services: open!(ebpf, "SERVICES"),
            proxies: open!(ebpf, "PROXIES"),
            config: open!(ebpf, "CONFIG"),
            lost: open!(ebpf, "LOST"),
            current: Config { abi: ABI_VERSION, flags: 0, clock_offset: 0 },
        };
        maps.write_config()?;
        maps.put_ipcache(ALL_OF_IPV4, Identity::WORLD)?;
        Ok(maps)
    }

    /// Records every packet, or only new and dropped ones.
    ///
    /// # Errors
    /// When the map refuses the row.
    pub fn set_capture(&mut self, every_packet: bool) -> Result<(), AgentError> {
        self.current.flags = if every_packet { Config::CAPTURE } else { 0 };
        self.write_config()
    }

    /// Sets how many nanoseconds the datapath's clock runs ahead.
    ///
    /// # Errors
    /// When the map refuses the row.
    pub fn set_clock_offset(&mut self, nanoseconds: u64) -> Result<(), AgentError> {
        self.current.clock_offset = nanoseconds;
        self.write_config()
    }

    fn write_config(&mut self) -> Result<(), AgentError> {
        self.config.set(0, self.current, 0).map_err(wrote("CONFIG"))
    }

    /// Tells the datapath where a proxy listens.
    ///
    /// # Errors
    /// When the map refuses the row.
    pub fn set_proxy(&mut self, proxy: Proxy, port: u16) -> Result<(), AgentError> {
        self.proxies.set(proxy as u32, u32::from(port), 0).map_err(wrote("PROXIES"))
    }

    /// Writes the endpoint of an interface.
    ///
    /// # Errors
    /// When the map is full.
    pub fn put_endpoint(&mut self, ifindex: u32, endpoint: Endpoint) -> Result<(), AgentError> {
        self.endpoints.insert(ifindex, endpoint, 0).map_err(wrote("ENDPOINTS"))
    }

    /// Removes the endpoint of an interface.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn delete_endpoint(&mut self, ifindex: u32) -> Result<(), AgentError> {
        deleted("ENDPOINTS", self.endpoints.remove(&ifindex))
    }

    /// Writes the identity of a prefix.
    ///
    /// # Errors
    /// When the map is full.
    pub fn put_ipcache(&mut self, prefix: IpNet, identity: Identity) -> Result<(), AgentError> {
        let entry = IpcacheEntry { identity: identity.0 };
        self.ipcache.insert(&ipcache_key(prefix), entry, 0).map_err(wrote("IPCACHE"))
    }

    /// Removes a prefix.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn delete_ipcache(&mut self, prefix: IpNet) -> Result<(), AgentError> {
        if prefix == ALL_OF_IPV4 {
            return self.put_ipcache(ALL_OF_IPV4, Identity::WORLD);
        }
        deleted("IPCACHE", self.ipcache.remove(&ipcache_key(prefix)))
    }

    /// Writes one policymap row.
    ///
    /// # Errors
    /// When the map is full.
    pub fn put_policy(&mut self, key: PolicyKey, prefix: u32, entry: PolicyEntry) -> Result<(), AgentError> {
        self.policy.insert(&Key::new(prefix, key), entry, 0).map_err(wrote("POLICY"))
    }

    /// Removes one policymap row.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn delete_policy(&mut self, key: PolicyKey, prefix: u32) -> Result<(), AgentError> {
        deleted("POLICY", self.policy.remove(&Key::new(prefix, key)))
    }

    /// Writes one service row.
    ///
    /// # Errors
    /// When the map is full.
    pub fn put_service(&mut self, key: ServiceKey, entry: ServiceEntry) -> Result<(), AgentError> {
        self.services.insert(key, entry, 0).map_err(wrote("SERVICES"))
    }

    /// Removes one service row.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn delete_service(&mut self, key: ServiceKey) -> Result<(), AgentError> {
        deleted("SERVICES", self.services.remove(&key))
    }

    /// Forgets every connection.
    ///
    /// # Errors
    /// When the map cannot be read or written.
    pub fn forget_connections(&mut self) -> Result<(), AgentError> {
        let read = |source| AgentError::Map { what: "read", map: "CONNTRACK", source };
        let keys: Vec<CtKey> = self.conntrack.keys().collect::<Result<_, _>>().map_err(read)?;
        keys.into_iter().try_for_each(|key| deleted("CONNTRACK", self.conntrack.remove(&key)))
    }

    /// Writes a connection's entry, for tests of the datapath.
    ///
    /// # Errors
    /// When the map refuses the row.
    pub fn put_connection(&mut self, key: CtKey, entry: CtEntry) -> Result<(), AgentError> {
        self.conntrack.insert(key, entry, 0).map_err(wrote("CONNTRACK"))
    }

    /// A connection's entry, if the table has one.
    #[must_use]
    pub fn connection(&self, key: &CtKey) -> Option<CtEntry> {
        self.conntrack.get(key, 0).ok()
    }

    /// Records that found the ring buffer full, since the object was loaded.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn lost(&self) -> Result<u64, AgentError> {
        let per_cpu =
            self.lost.get(&0, 0).map_err(|source| AgentError::Map { what: "read", map: "LOST", source })?;
        Ok(per_cpu.iter().sum())
    }
}

/// The ipcache's key: IPv4 prefixes stand behind the mapped prefix's 96 bits.
fn ipcache_key(prefix: IpNet) -> Key<Address> {
    let length = u32::from(prefix.prefix_len());
    let length = match prefix {
        IpNet::V4(_) => Address::V4_PREFIX + length,
        IpNet::V6(_) => length,
    };
    Key::new(length, prefix.network().into())
}
