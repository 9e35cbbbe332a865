//! From a kubeconfig to a client, and whether the cluster and the rights in it are enough for a run.

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use super::error::ClusterError;

/// The oldest minor version of Kubernetes 1 that takes what a run sends: strict field validation is stable from it.
const OLDEST: u32 = 27;

/// What a run does, as group, resource and verb; `pods/exec` is a subresource.
const RIGHTS: [(&str, &str, &str); 17] = [
    ("", "namespaces", "create"),
    ("", "namespaces", "delete"),
    ("", "namespaces", "list"),
    ("", "nodes", "list"),
    ("", "pods", "create"),
    ("", "pods", "delete"),
    ("", "pods", "list"),
    ("", "pods", "patch"),
    ("", "pods", "watch"),
    ("", "pods/exec", "create"),
    ("", "serviceaccounts", "create"),
    ("", "services", "create"),
    ("", "services", "delete"),
    ("", "services", "list"),
    ("networking.k8s.io", "networkpolicies", "delete"),
    ("networking.k8s.io", "networkpolicies", "list"),
    ("networking.k8s.io", "networkpolicies", "patch"),
];

/// A client for a context of the kubeconfig, or for its current one.
///
/// # Errors
/// There is no kubeconfig, it was not understood, or has no such context.
pub(super) async fn client(context: Option<&str>) -> Result<Client, ClusterError> {
    let options =
        KubeConfigOptions { context: context.map(ToOwned::to_owned), ..KubeConfigOptions::default() };
    let mut config = Config::from_custom_kubeconfig(Kubeconfig::read()?, &options).await?;
    // A dead address must not hang a run.
    config.connect_timeout = Some(Duration::from_secs(10));
    // An exec stays open as long as its clients wait.
    config.read_timeout = None;
    config.write_timeout = None;
    Client::try_from(config).map_err(ClusterError::Client)
}

/// Asks whether the cluster is new enough and the user may do what a run does; the cluster's version.
///
/// # Errors
/// It is not, or some rights are missing: all of them are named at once.
pub(super) async fn check(client: &Client) -> Result<String, ClusterError> {
    let version =
        client.apiserver_version().await.map_err(|error| ClusterError::of("ask for the version", error))?;
    let minor: String = version.minor.chars().take_while(char::is_ascii_digit).collect();
    let new_enough = version.major != "1" || minor.parse::<u32>().is_ok_and(|minor| minor >= OLDEST);
    if !new_enough {
        return Err(ClusterError::TooOld(version.git_version));
    }
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let asked = futures_util::future::join_all(RIGHTS.map(|right| may(&api, right))).await;
    let mut missing = Vec::new();
    for ((_, resource, verb), allowed) in RIGHTS.iter().zip(asked) {
        if !allowed? {
            missing.push(format!("{verb} {resource}"));
        }
    }
    if missing.is_empty() { Ok(version.git_version) } else { Err(ClusterError::Rights(missing)) }
}

async fn may(
    api: &Api<SelfSubjectAccessReview>,
    (group, resource, verb): (&str, &str, &str),
) -> Result<bool, ClusterError> {
    let (resource, subresource) = match resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (resource, None),
    };
    let attributes = ResourceAttributes {
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let answer = api.create(&PostParams::default(), &review).await;
    let answer = answer.map_err(|error| ClusterError::of("ask for this user's rights", error))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
