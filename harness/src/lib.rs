//! Network-policy tests with real packets: cases in, subjects asked, three results compared, reports out.
//!
//! | stage | module |
//! | --- | --- |
//! | files to located YAML | [`source`], [`yaml`], [`diagnostic`] |
//! | YAML to cases, worlds and policies | [`case`] |
//! | what is under test | [`subject`] |
//! | one case, step by step | `run` |
//! | expected, predicted, observed | `compare` |
//! | results to bytes | `report` |

pub mod case;
pub mod diagnostic;
pub mod source;
pub mod subject;
pub mod yaml;
