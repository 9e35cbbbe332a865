//! The rows of a policymap.

pub(crate) mod build;

/// Levels of precedence: 0 is decided first. Cilium's tiers in the high byte leave room for the order of
/// rules inside a tier (`pkg/policy/types/policyentry.go`).
pub(crate) mod level {
    /// NetworkPolicy, CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.
    pub(crate) const NORMAL: u32 = 200 << 16;
    /// What no document says and every document overrules.
    pub(crate) const LAST: u32 = 255 << 16;
}
