//! What can go wrong between the harness and a cluster, and what to do about it.

use kube::config::KubeconfigError;

use crate::subject::SubjectError;
use crate::subject::image::Unusable;
use crate::subject::question::NotThere;

/// An error of the subjects `cluster` and `kind`.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no kubeconfig, or it does not lead to a cluster.
    #[error("no cluster to talk to: {0}")]
    Kubeconfig(#[from] KubeconfigError),
    /// A client could not be made of the kubeconfig.
    #[error("the kubeconfig does not give a client: {0}")]
    Client(kube::Error),
    /// Nobody answers, or not as an API server does.
    #[error("{doing}: the API server did not answer: {problem}")]
    Unreachable {
        /// What was being done.
        doing: String,
        /// The transport's words.
        problem: String,
    },
    /// The API server does not know who asks.
    #[error("the API server takes none of the kubeconfig's credentials: {0}")]
    Unauthorized(String),
    /// The API server refuses this to this user.
    #[error("{doing}: not allowed: {message}")]
    Forbidden {
        /// What was being done.
        doing: String,
        /// The API server's words.
        message: String,
    },
    /// Rights that the run needs and the kubeconfig's user does not have.
    #[error("the kubeconfig's user may not {}", .0.join(", "))]
    Rights(Vec<String>),
    /// The cluster's version.
    #[error("the cluster is {0}, and older than 1.27")]
    TooOld(String),
    /// The API server said no for another reason, such as a quota or an admission policy.
    #[error("{doing}: {message}")]
    Refused {
        /// What was being done.
        doing: String,
        /// The API server's words.
        message: String,
    },
    /// An object with a case's name is there, and this run did not make it.
    #[error("{0} is there already and this run did not make it")]
    Exists(String),
    /// A namespace of a case holds others' pods, which the case's policies would reach.
    #[error("namespace `{namespace}` holds pods of others ({}), which the case's policies would reach", .pods.join(", "))]
    Inhabited {
        /// The namespace.
        namespace: String,
        /// Some of the pods.
        pods: Vec<String>,
    },
    /// Pods did not become ready.
    #[error("{}", .0.join("; "))]
    NotReady(Vec<String>),
    /// Something did not come about in time.
    #[error("{what} took longer than {seconds} s")]
    Slow {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
    },
    /// A command in a pod failed.
    #[error("`{command}` in pod `{pod}`: {problem}")]
    Exec {
        /// The command.
        command: String,
        /// Namespace and name.
        pod: String,
        /// What it or the API server said.
        problem: String,
    },
    /// Policies make no difference here.
    #[error("the cluster's network plugin does not enforce network policies: {0}")]
    NotEnforced(String),
    /// The network does not work even without policies.
    #[error("the cluster's network does not carry a request without any policy: {0}")]
    NoNetwork(String),
    /// kind's program is missing.
    #[error("`{0}` is not there")]
    NoKind(String),
    /// kind's program failed.
    #[error("`{line}`: {problem}")]
    Program {
        /// The command.
        line: String,
        /// How it ended.
        problem: String,
    },
    /// kind knows the cluster and no way into it.
    #[error(
        "cluster `{name}` was never finished, or its nodes do not run ({problem}): `{remove}` removes it"
    )]
    Unfinished {
        /// The cluster.
        name: String,
        /// What kind's program ended with.
        problem: String,
        /// The command that removes it.
        remove: String,
    },
    /// The program for the image cannot be used.
    #[error(transparent)]
    Binary(#[from] Unusable),
    /// Ctrl-C while a cluster was made.
    #[error("interrupted; what was made is removed")]
    Undone,
    /// A cluster was to be removed again, and that was stopped too.
    #[error("{problem}; what was made is not gone ({rest}): `{remove}` removes it")]
    Left {
        /// What stopped it first.
        problem: String,
        /// What stopped the removal.
        rest: String,
        /// The command that removes it.
        remove: String,
    },
    /// Egret's agents are not the cluster's network plugin.
    #[error("no agent of Egret runs in this cluster")]
    NoAgents,
    /// There are too few nodes that take pods.
    #[error("the cluster has {there} nodes that take pods, the case needs {needed}")]
    Nodes {
        /// How many there are.
        there: usize,
        /// How many the case has.
        needed: usize,
    },
    /// The case names what is not in its world.
    #[error("{0}")]
    Missing(String),
    /// The simulated Internet beside the cluster's nodes.
    #[error("the Internet's container: {0}")]
    Outside(String),
    /// A policy could not be turned into JSON.
    #[error("{0}")]
    Manifest(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The operating system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was being done.
        what: &'static str,
        /// What it said.
        source: std::io::Error,
    },
}

impl From<NotThere> for ClusterError {
    fn from(error: NotThere) -> Self {
        Self::Missing(error.to_string())
    }
}

impl ClusterError {
    /// An error of the client, with what was being done: `create pod x/a`.
    pub(super) fn of(doing: impl Into<String>, error: kube::Error) -> Self {
        let doing = doing.into();
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the client has many ways not to reach the server"
        )]
        match error {
            kube::Error::Api(status) => {
                let message = status.message.clone();
                match status.code {
                    401 => Self::Unauthorized(message),
                    403 if status.reason == "Forbidden" && !is_admission(&message) => {
                        Self::Forbidden { doing, message }
                    }
                    _ => Self::Refused { doing, message },
                }
            }
            other => Self::Unreachable { doing, problem: with_causes(&other) },
        }
    }

    /// What to do, for errors that the cluster rather than the case is the cause of.
    pub(super) const fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Self::Kubeconfig(_) | Self::Client(_) => {
                "name another one with KUBECONFIG or --context, or make a cluster with `egret kind up`"
            }
            Self::Unreachable { .. } => "look whether `kubectl get nodes` answers",
            Self::Unauthorized(_) => "log in again, or name another context with --context",
            Self::Forbidden { .. } | Self::Rights(_) => {
                "ask the cluster's administrator for these rights, or use a cluster of your own"
            }
            Self::TooOld(_) => "use a newer cluster",
            Self::NotEnforced(_) => {
                "install a network plugin that enforces them, or take one that does: `egret kind up`"
            }
            Self::NoNetwork(_) => "look at the network plugin's pods in kube-system",
            Self::NoKind(_) => {
                "install it: `go install sigs.k8s.io/kind@latest`, or a release from https://kind.sigs.k8s.io/, \
                 or name it with --kind"
            }
            Self::Program { .. } => {
                "kind's own lines above say why; `docker info` shows whether the engine runs"
            }
            Self::Binary(_) => {
                "build a static one with `RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --release \
                 --features kubernetes --target x86_64-unknown-linux-gnu` and name it with --image-binary"
            }
            Self::Left { .. } => "start again when it is gone",
            Self::NoAgents => {
                "make a cluster with `egret kind up`, or test this one with `--subject cluster`"
            }
            Self::Interrupted => "start again",
            Self::Refused { .. }
            | Self::Exists(_)
            | Self::Inhabited { .. }
            | Self::NotReady(_)
            | Self::Slow { .. }
            | Self::Undone
            | Self::Unfinished { .. }
            | Self::Exec { .. }
            | Self::Nodes { .. }
            | Self::Missing(_)
            | Self::Outside(_)
            | Self::Manifest(_)
            | Self::System { .. } => return None,
        })
    }

    /// What to do about an error in the middle of a case.
    const fn hint(&self) -> Option<&'static str> {
        if matches!(self, Self::Exists(_) | Self::Inhabited { .. }) {
            Some("give the case's namespaces other names with --prefix")
        } else {
            None
        }
    }

    /// The subject's error.
    pub(super) fn of_subject(self, subject: &'static str, what: &str) -> SubjectError {
        match self.advice() {
            Some(advice) => {
                SubjectError::Environment { subject, problem: self.to_string(), advice: advice.into() }
            }
            None => {
                let hint = self.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                SubjectError::Run { what: what.to_owned(), problem: format!("{self}{hint}") }
            }
        }
    }
}

/// Quotas and admission answer 403 as well, and no right would help.
fn is_admission(message: &str) -> bool {
    [
        "exceeded quota",
        "violates PodSecurity",
        "denied the request",
        "error looking up service account",
        "is being terminated",
    ]
    .iter()
    .any(|words| message.contains(words))
}

/// An error with its causes, each behind a colon, none twice.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}
