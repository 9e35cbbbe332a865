//! The two decisions of the datapath, written once for the kernel and for the model.
//!
//! They live here, generic over "look up in a map", because a second implementation would drift: the kernel
//! programs and the pure core compile this source, and one table of cases runs over both.

pub mod conntrack;
pub mod policy;
