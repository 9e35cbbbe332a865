//! Why the plugin could not do what it was asked, with the specification's numbers.

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

/// A failed command. The numbers are those of the CNI specification, section 5, "Error".
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 1: a version that the plugin does not speak.
    #[error("version `{0}` of the configuration is not known; known are {1}")]
    Version(String, String),
    /// 4: an environment variable is missing or wrong.
    #[error("the environment variable `{name}` {problem}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// "is missing", or what is wrong with it.
        problem: String,
    },
    /// 5: standard input could not be read.
    #[error("could not read standard input: {0}")]
    Input(io::Error),
    /// 6: the configuration is no JSON of the right shape.
    #[error("could not read the configuration: {0}")]
    Configuration(serde_json::Error),
    /// 7: the configuration asks for what cannot be.
    #[error("{0}")]
    InvalidConfiguration(String),
    /// 3: the pod's network is gone.
    #[error("could not open the pod's network `{path}`: {source}")]
    Netns {
        /// As the runtime gave it.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// 11: the agent does not run yet, or does not know the pod yet.
    #[error("{0}; try again later")]
    TryAgain(String),
    /// 50: the agent cannot link pods now.
    #[error("{0}")]
    Unavailable(String),
    /// 100: the agent refused, or the kernel.
    #[error("{0}")]
    Refused(String),
    /// 101: `CHECK` found something missing.
    #[error("{0}")]
    Missing(String),
}

impl Failure {
    /// The specification's number.
    #[must_use]
    pub const fn code(&self) -> u32 {
        match self {
            Self::Version(..) => 1,
            Self::Netns { .. } => 3,
            Self::Variable { .. } => 4,
            Self::Input(_) => 5,
            Self::Configuration(_) => 6,
            Self::InvalidConfiguration(_) => 7,
            Self::TryAgain(_) => 11,
            Self::Unavailable(_) => 50,
            Self::Refused(_) => 100,
            Self::Missing(_) => 101,
        }
    }

    /// As the answer that the runtime reads.
    #[must_use]
    pub fn to_json(&self, version: String) -> Value {
        json!({ "cniVersion": version, "code": self.code(), "msg": self.to_string() })
    }

    /// For `map_err`: the kernel refused something.
    pub fn refused(what: &str) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_owned();
        move |error| Self::Refused(format!("could not {what}: {error}"))
    }
}
