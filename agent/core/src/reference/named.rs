//! A rule that matches a flow, with its name.

use super::{Effect, Item};
use crate::Author;

/// A rule that matches, with its name.
pub(super) struct Named<'a> {
    pub(super) author: Author,
    pub(super) effect: Effect,
    pub(super) item: Item<'a>,
}

impl Named<'_> {
    /// Whether it lets a flow through that no rule denies.
    pub(super) fn allows(&self) -> bool {
        self.effect == Effect::Allow
    }
}
