//! Network-policy tests with real packets: cases in, subjects asked, three results compared, reports out.
//!
//! | stage | module |
//! | --- | --- |
//! | files to located YAML | `input`, [`source`], [`yaml`], [`diagnostic`] |
//! | YAML to cases, worlds and policies | [`case`] |
//! | manifests of a whole cluster to one desired state | [`cluster`] |
//! | flows to verdicts, without packets | [`verdict`] |
//! | what policies say that nobody means | [`lint`] |
//! | why a flow gets its verdict | [`explain`] |
//! | what is under test | [`subject`] |
//! | one case, step by step | [`run`], which tells [`event`]s |
//! | expected, predicted, observed | [`compare`], [`known`] |
//! | results to bytes | [`report`] |
//! | who can talk to whom, and what a change changes | [`matrix`], [`diff`] |
//! | flows to lines and files | [`flows`] |
//! | what runs inside a cluster's pods | [`pod`] |
//! | policy types to custom resource definitions | [`crds`] |
//! | the command, and the one-line test harness | [`cli`], [`exit`], [`error`], [`conformance()`] |

pub mod case;
pub mod cli;
pub mod cluster;
pub mod compare;
mod conformance;
mod count;
pub mod crds;
pub mod diagnostic;
pub mod diff;
pub mod error;
pub mod event;
pub mod exit;
pub mod explain;
#[cfg(test)]
mod fake;
pub mod flows;
mod input;
pub mod known;
mod kubernetes;
pub mod lint;
pub mod matrix;
pub mod pod;
pub mod report;
pub mod run;
pub mod source;
pub mod subject;
pub mod verdict;
mod workload;
pub mod yaml;

pub use conformance::conformance;
