//! What can go wrong between the harness, the engine and the containers.

use crate::subject::SubjectError;
use crate::subject::image::Unusable;

/// An error of the docker subject. None of them is a verdict on a case.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// Nobody answers for an engine.
    #[error("no container engine answers at {host}: {problem}")]
    Unreachable {
        /// Where it was looked for.
        host: String,
        /// What the system said.
        problem: String,
    },
    /// The engine is older than what the subject asks of it.
    #[error("the container engine speaks API {found}, and {needed} or newer is needed")]
    TooOld {
        /// The engine's version.
        found: String,
        /// The oldest that will do.
        needed: String,
    },
    /// The engine cannot give its containers what real packets need.
    #[error("the container engine runs {how}, so the kernel loads no programs for its containers")]
    Confined {
        /// How it runs.
        how: &'static str,
    },
    /// The engine refused something.
    #[error("the container engine could not {what}: {problem}")]
    Refused {
        /// What it was asked for.
        what: String,
        /// What it said.
        problem: String,
    },
    /// A cluster's nodes are not where the Internet's container would be.
    #[error("the cluster's nodes are not on the container engine's network `{network}`: {problem}")]
    Elsewhere {
        /// Name of the network.
        network: String,
        /// What is wrong.
        problem: String,
    },
    /// The binary for the image cannot be used.
    #[error(transparent)]
    Binary(#[from] Unusable),
    /// The image's layer could not be written.
    #[error("could not write the image's layer: {0}")]
    Layer(std::io::Error),
    /// A container ended by itself.
    #[error("the container `{name}` ended{said}")]
    Ended {
        /// Name of the container.
        name: String,
        /// What it said last, behind a colon.
        said: String,
    },
    /// A container says what nobody understands.
    #[error("the container `{name}` does not speak Egret's language: {problem}")]
    Language {
        /// Name of the container.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

impl DockerError {
    /// For `map_err`: names what the engine was asked for.
    pub(super) fn refused(what: impl Into<String>) -> impl FnOnce(bollard::errors::Error) -> Self {
        let what = what.into();
        move |error| {
            #[expect(
                clippy::wildcard_enum_match_arm,
                reason = "only the engine's own answers have a shorter form"
            )]
            let problem = match error {
                bollard::errors::Error::DockerResponseServerError { message, .. } => message,
                other => other.to_string(),
            };
            Self::Refused { what, problem: problem.trim().to_owned() }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Unreachable { problem, .. } if problem.to_lowercase().contains("permission") => {
                "join the group that may use its socket (`sudo usermod -aG docker $USER`, then log in again), or \
                 run as root"
            }
            Self::Unreachable { host, .. } if host.starts_with("ssh://") => {
                "forward its socket (`ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST`) and set DOCKER_HOST to \
                 unix:///tmp/engine.sock"
            }
            Self::Unreachable { .. } => {
                "install and start Docker (`sudo apt-get install docker.io && sudo systemctl start docker`), or \
                 set DOCKER_HOST to an engine that runs"
            }
            Self::Confined { .. } => {
                "set DOCKER_HOST to an engine that runs as root, for example unix:///var/run/docker.sock"
            }
            Self::Elsewhere { .. } => {
                "name the network of the nodes with --network, or set DOCKER_HOST to the engine that runs them"
            }
            Self::TooOld { .. } => "install Docker 20.10 or newer",
            Self::Refused { problem, .. } => return refusal(problem).to_owned(),
            Self::Binary(_) => {
                "build a static one with `cargo xtask static` and name it with --image-binary or in \
                 EGRET_IMAGE_BINARY"
            }
            Self::Layer(_) => "free some memory",
            Self::Ended { said, .. } => return refusal(said).to_owned(),
            Self::Language { .. } => "let `egret image build` make the image of this very binary",
        }
        .to_owned()
    }
}

/// What to do about words of the engine or of a container.
pub(super) fn refusal(problem: &str) -> &'static str {
    let problem = problem.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| problem.contains(word));
    if says(&["no space left", "disk quota"]) {
        "make room where the engine keeps its images: `docker system df` shows what takes it"
    } else if says(&["capabilit", "operation not permitted", "permission denied", "seccomp", "apparmor"]) {
        "the engine holds back what real packets need (NET_ADMIN, SYS_ADMIN): use one that runs as \
         root, without user namespaces and without a policy that forbids them"
    } else if says(&["cgroup"]) {
        "the engine cannot make control groups: `docker run --rm hello-world` has to work first"
    } else if says(&["read-only"]) {
        "the engine keeps /proc/sys read-only although it was asked not to: use Docker 20.10 or newer"
    } else if says(&["iptables", "nft"]) {
        "the engine cannot write its packet filter: restart it after whatever changed the filter"
    } else {
        "`egret doctor` shows what is missing; `--subject model` needs none of it"
    }
}

impl From<DockerError> for SubjectError {
    fn from(error: DockerError) -> Self {
        Self::Environment { subject: super::Docker::NAME, problem: error.to_string(), advice: error.advice() }
    }
}
