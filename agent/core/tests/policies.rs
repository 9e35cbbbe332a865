//! The core from outside: documents in, probes and writes out.

#[path = "policies/data.rs"]
mod data;
#[path = "policies/data_form.rs"]
mod data_form;
#[path = "policies/documents.rs"]
mod documents;
#[path = "policies/flat.rs"]
mod flat;
#[path = "policies/gapless.rs"]
mod gapless;
#[path = "policies/generate.rs"]
mod generate;
#[path = "policies/incremental.rs"]
mod incremental;
#[path = "policies/judge.rs"]
mod judge;
#[path = "policies/kept.rs"]
mod kept;
#[path = "policies/language.rs"]
mod language;
#[path = "policies/matrix.rs"]
mod matrix;
#[path = "policies/numbers.rs"]
mod numbers;
#[path = "policies/semantics.rs"]
mod semantics;
#[path = "policies/tiers.rs"]
mod tiers;
#[path = "policies/tutorial.rs"]
mod tutorial;
#[path = "policies/world.rs"]
mod world;
