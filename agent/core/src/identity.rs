//! Security identities: label sets with numbers, and which address has which.

pub mod label;
mod members;
pub(crate) mod reference;
pub mod relevant;

pub use label::{LabelSet, Source};
pub use members::{Member, NamedPorts};
pub(crate) use members::{Members, Settled};
