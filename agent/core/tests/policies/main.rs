//! The core from outside: documents in, probes and writes out.

mod documents;

mod semantics;
mod tutorial;
mod world;
