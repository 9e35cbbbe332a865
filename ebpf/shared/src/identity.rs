//! Numeric security identities and the reserved numbers.

/// A set of labels as a number; the meaning of each range follows Cilium (`pkg/identity/numericidentity.go`).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Identity(pub u32);

impl Identity {
    /// In a policymap key: any peer.
    pub const ANY: Self = Self(0);
    /// The node itself.
    pub const HOST: Self = Self(1);
    /// Everything outside the cluster that nothing more specific names.
    pub const WORLD: Self = Self(2);
    /// Cluster endpoints without an agent.
    pub const UNMANAGED: Self = Self(3);
    /// Health endpoints.
    pub const HEALTH: Self = Self(4);
    /// Endpoints whose labels are not known yet.
    pub const INIT: Self = Self(5);
    /// Other nodes of the cluster.
    pub const REMOTE_NODE: Self = Self(6);
    /// Nodes or outside addresses that run the API server.
    pub const KUBE_APISERVER: Self = Self(7);
    /// The ingress proxy.
    pub const INGRESS: Self = Self(8);
    /// First number of pod identities.
    pub const FIRST_POD: Self = Self(256);
    /// First number of the node-local scope: prefixes and learned names.
    pub const FIRST_LOCAL: Self = Self((1 << 24) + 1);

    /// The reserved identity's name in monitor lines and labels (`reserved:<name>`).
    #[must_use]
    pub const fn reserved_name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "unknown",
            1 => "host",
            2 => "world",
            3 => "unmanaged",
            4 => "health",
            5 => "init",
            6 => "remote-node",
            7 => "kube-apiserver",
            8 => "ingress",
            _ => return None,
        })
    }
}
