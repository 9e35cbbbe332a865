//! What an expectation is read against.

use std::sync::Arc;

use egret_core::world::World;

use super::policy::Policies;
use crate::source::Source;

/// What stands around an expectation.
pub(super) struct Around<'a> {
    pub(super) source: &'a Arc<Source>,
    pub(super) world: &'a World,
    pub(super) policies: &'a Policies,
}
