//! What `egret doctor` says of clusters: the programs around them, the kubeconfig, and whether its API server answers.

use std::process::Command;
use std::time::Duration;

use kube::Client;
use kube::config::{Kubeconfig, KubeconfigError};

use super::error::ClusterError;
use super::{access, runtime};
use crate::subject::{Check, CheckState};

/// How long the API server may take, rights included: who asks what a machine can do does not wait for a dead one.
const LIMIT: Duration = Duration::from_secs(5);

/// What the subjects `kind` and `cluster` need, each thing tried for real.
#[must_use]
pub fn checks() -> Vec<Check> {
    let kind = ClusterError::NoKind("kind".into());
    let mut checks = vec![
        program("kind", &["version"], &kind.to_string(), kind.advice().unwrap_or_default()),
        program(
            "kubectl",
            &["version", "--client"],
            "`kubectl` is not there",
            "it is of use by hand alone: https://kubernetes.io/docs/tasks/tools/",
        ),
    ];
    let context = Kubeconfig::read().and_then(|config| context(&config));
    let has_context = context.is_ok();
    checks.push(found("kubeconfig", context.map_err(ClusterError::from)));
    if has_context {
        let answer = runtime().and_then(|runtime| {
            runtime.block_on(async { answers(&access::client(None).await?, LIMIT).await })
        });
        checks.push(found("API server", answer));
    }
    checks
}

fn found(name: &str, found: Result<String, ClusterError>) -> Check {
    let (state, advice) = match found {
        Ok(found) => (CheckState::Ok, found),
        Err(error) => {
            let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
            (CheckState::Missing, format!("{error}{advice}"))
        }
    };
    Check { name: name.into(), state, advice }
}

/// A program of the PATH, by the first line that it says of its version.
fn program(name: &str, arguments: &[&str], absent: &str, advice: &str) -> Check {
    let (state, advice) = match Command::new(name).args(arguments).output() {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            (CheckState::Ok, said.lines().next().unwrap_or_default().trim().to_owned())
        }
        Ok(output) => (CheckState::Missing, format!("`{name}` does not run: {}", output.status)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            (CheckState::Missing, format!("{absent}; {advice}"))
        }
        Err(error) => (CheckState::Missing, format!("`{name}` does not run: {error}")),
    };
    Check { name: name.into(), state, advice }
}

/// The current context, with where it leads and as whom.
fn context(config: &Kubeconfig) -> Result<String, KubeconfigError> {
    let name = config.current_context.as_deref().filter(|name| !name.is_empty());
    let name = name.ok_or(KubeconfigError::CurrentContextNotSet)?;
    let context = config.contexts.iter().find(|context| context.name == name);
    let context = context.and_then(|context| context.context.as_ref());
    let context = context.ok_or_else(|| KubeconfigError::LoadContext(name.to_owned()))?;
    let cluster = config.clusters.iter().find(|cluster| cluster.name == context.cluster);
    let server = cluster.and_then(|cluster| cluster.cluster.as_ref()?.server.clone());
    let server = server.ok_or_else(|| KubeconfigError::LoadClusterOfContext(context.cluster.clone()))?;
    let user = context.user.as_ref().map(|user| format!(" as `{user}`")).unwrap_or_default();
    Ok(format!("context `{name}` leads to {server}{user}"))
}

/// The version of an API server that is new enough, and gives every right that a run needs.
pub(super) async fn answers(client: &Client, limit: Duration) -> Result<String, ClusterError> {
    let checked = tokio::time::timeout(limit, access::check(client)).await;
    let slow = |_| ClusterError::Unreachable {
        doing: "ask for the version".into(),
        problem: format!("no answer within {} s", limit.as_secs()),
    };
    let version = checked.map_err(slow)??;
    Ok(format!("{version}; the user may do all that a run does: `egret test --subject cluster`"))
}
