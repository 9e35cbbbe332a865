//! Tells each Cilium policy whether it is valid, in `status.conditions`, as Cilium's operator does.
//!
//! The agents of all nodes say the same; a condition that is there already is not written again. A write names the
//! version that it is about: when the object has changed meanwhile, the newer version is judged instead.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::sleep;

use super::kind::Kind;
use super::part::{Content, Part};
use super::watch::Watch;
use crate::clock;

/// Pause before a write is tried again that the API server did not take for now.
const PAUSE: Duration = Duration::from_secs(1);

/// What became of a write.
enum Written {
    /// It is there, or the object has changed: the watch will tell.
    Settled,
    /// The API server did not take it now; so many seconds until the next attempt, if it said.
    Later(Option<u32>),
}

/// Writes conditions for as long as the watch runs.
pub(super) async fn run(client: Client, watch: &Watch) {
    let mut changes = watch.changes();
    loop {
        changes.mark_unchanged();
        let mut pause = None;
        for (kind, part) in cilium_policies(watch) {
            if let Written::Later(seconds) = write(&client, kind, &part).await {
                let wanted = seconds.map_or(PAUSE, |seconds| Duration::from_secs(seconds.into()));
                pause = pause.max(Some(wanted));
            }
        }
        match pause {
            Some(pause) => wait(pause).await,
            None => {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Lets the time pass that the API server has asked for, or that it gets before a request is repeated.
#[expect(
    clippy::disallowed_methods,
    reason = "the API server names a time, no condition (RFC 9110, Retry-After)"
)]
async fn wait(pause: Duration) {
    sleep(pause).await;
}

fn cilium_policies(watch: &Watch) -> Vec<(Kind, std::sync::Arc<Part>)> {
    let kinds = watch.parts().into_iter().filter(|(kind, _)| kind.has_validity());
    kinds.flat_map(|(kind, parts)| parts.into_iter().map(move |part| (kind, part))).collect()
}

async fn write(client: &Client, kind: Kind, part: &Part) -> Written {
    let Content::Policy(policy) = &part.content else { return Written::Settled };
    let Some(conditions) = policy.wanted_conditions(&now()) else { return Written::Settled };
    let resource = kind.resource();
    let api: Api<DynamicObject> = match &part.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let patch = json!({
        "metadata": { "resourceVersion": part.version },
        "status": { "conditions": conditions },
    });
    match api.patch_status(&part.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
        Ok(_) => Written::Settled,
        // Gone, or changed.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Written::Settled,
        Err(kube::Error::Api(status)) => {
            super::log(&format!("writing the status of {} {}: {}", kind.word(), part.name, status.message));
            Written::Later(status.details.as_ref().map(|details| details.retry_after_seconds))
        }
        Err(error) => {
            super::log(&format!("writing the status of {} {}: {error}", kind.word(), part.name));
            Written::Later(None)
        }
    }
}

/// The time as conditions write it (RFC 3339, whole seconds).
fn now() -> String {
    let seconds = clock::monotonic().saturating_add(clock::wall_offset()) / 1_000_000_000;
    let time = k8s_openapi::jiff::Timestamp::from_second(i64::try_from(seconds).unwrap_or(0));
    time.unwrap_or_default().to_string()
}
