//! Security identities: label sets with numbers, and which address has which.

pub mod label;
pub mod relevant;
mod table;

pub use label::{LabelSet, Source};
pub use table::{Identities, Member, NamedPorts, of};
