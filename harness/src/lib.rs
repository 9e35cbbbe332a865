//! Network-policy tests with real packets: cases in, subjects asked, three results compared, reports out.
//!
//! | stage | module |
//! | --- | --- |
//! | files to located YAML | [`source`], [`yaml`], [`diagnostic`] |
//! | YAML to cases, worlds and policies | [`case`] |
//! | what is under test | [`subject`] |
//! | one case, step by step | [`run`], which tells [`event`]s |
//! | expected, predicted, observed | [`compare`], [`known`] |
//! | results to bytes | [`report`] |
//! | flows to lines and files | [`flows`] |
//! | the command, and the one-line test harness | [`cli`], [`exit`], [`error`], [`conformance()`] |

pub mod case;
pub mod cli;
pub mod compare;
mod conformance;
pub mod diagnostic;
pub mod error;
pub mod event;
pub mod exit;
#[cfg(test)]
mod fake;
pub mod flows;
pub mod known;
pub mod report;
pub mod run;
pub mod source;
pub mod subject;
pub mod yaml;

pub use conformance::conformance;
