//! From rules and identities to what each endpoint may do.

pub(crate) mod port;
pub(crate) mod resolve;
