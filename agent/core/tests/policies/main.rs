//! The core from outside: documents in, probes and writes out.

mod documents;
mod flat;
mod gapless;
mod generate;

mod numbers;
mod semantics;
mod tutorial;
mod world;
