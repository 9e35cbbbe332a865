//! The rows of a policymap.

pub(crate) mod build;
pub(crate) mod rows;

/// Levels of precedence: 0 is decided first. Cilium's tiers in the high byte leave room for the order of
/// rules inside a tier (`pkg/policy/types/policyentry.go`).
pub(crate) mod level {
    /// The tier that administrators decide before all others.
    pub(crate) const ADMIN: u32 = 100 << 16;
    /// NetworkPolicy, CiliumNetworkPolicy and CiliumClusterwideNetworkPolicy.
    pub(crate) const NORMAL: u32 = 200 << 16;
    /// The tier for where nothing else decides.
    pub(crate) const BASELINE: u32 = 250 << 16;
    /// What no document says and every document overrules.
    pub(crate) const LAST: u32 = 255 << 16;
}
