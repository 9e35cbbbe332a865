//! Rules and one subject to what the subject may do in one direction.

mod build;
pub(crate) mod port;
pub(crate) mod resolve;
pub(crate) mod tier;
