//! Whom a policy and its peers select.

use egret_core::identity::{LabelSet, relevant};
use egret_core::rule::{Dialect, Peers, Subject};
use egret_core::selector::{LabelSelector, Selector};
use serde_yaml::Value;

use super::scene::{Found, Scene, Spec, Warning, list};

pub(super) fn check(scene: &Scene<'_>, found: &mut Found<'_>) {
    for spec in &scene.sections {
        selects_no_pod(scene, spec, found);
        peer_matches_nothing(scene, spec, found);
        label_outside_identity(scene, spec, found);
        other_namespace_overruled(spec, found);
        own_namespace_only(spec, found);
    }
}

/// A world without pods says nothing about selection.
fn selects_no_pod(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    let is_of_pods = matches!(spec.section.subject, Subject::Endpoints(_));
    if scene.pods.is_empty() || !spec.pods.is_empty() || !is_of_pods {
        return;
    }
    let warning = Warning {
        code: "selects-no-pod",
        message: format!("`{}` selects no pod", spec.id.name),
        why: "a policy that selects nobody changes nothing, however strict it reads",
        help: "compare the selector with the labels of the pods, and the namespace with theirs".to_owned(),
    };
    found.add(spec.id, "metadata.name", warning);
}

fn peer_matches_nothing(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    if scene.pods.is_empty() {
        return;
    }
    for rule in &spec.section.rules {
        let Peers::Selected(selectors) = &rule.peers else { continue };
        for selector in selectors {
            let Selector::Labels(labels) = selector else { continue };
            if scene.names_anybody(selector) {
                continue;
            }
            let warning = Warning {
                code: "peer-matches-nothing",
                message: format!("no pod has the labels of this peer: {}", text(labels)),
                why: "a peer that nobody is neither allows nor denies anything",
                help: "compare with the labels of the pods; the namespace counts too".to_owned(),
            };
            found.at_rule(spec.id, &rule.path, warning);
        }
    }
}

/// The requirements as a person writes them.
fn text(selector: &LabelSelector) -> String {
    let texts: Vec<_> = selector
        .requirements
        .iter()
        .map(crate::explain::requirement)
        .map(|text| format!("`{text}`"))
        .collect();
    texts.join(", ")
}

/// Row 8: labels that Cilium keeps out of identities.
fn label_outside_identity(scene: &Scene<'_>, spec: &Spec<'_>, found: &mut Found<'_>) {
    if scene.dialect == Dialect::Kubernetes {
        return;
    }
    let mut warn = |path: &str, selector: &LabelSelector| {
        for requirement in selector.requirements.iter() {
            let key = &requirement.key;
            let is_own = key.starts_with(LabelSet::NAMESPACE_LABELS) || key.starts_with("io.kubernetes.pod.");
            if is_own || relevant::is_relevant(key) {
                continue;
            }
            let warning = Warning {
                code: "label-outside-identity",
                message: format!("Cilium keeps the label `{key}` out of identities"),
                why: "a selector on such a label never matches, and one on its absence always does",
                help: "select by a label of the application's own".to_owned(),
            };
            found.at_rule(spec.id, path, warning);
        }
    };
    let subject = spec.path.strip_prefix("spec").filter(|rest| rest.is_empty()).map_or_else(
        || format!("{}.endpointSelector", spec.path),
        |_| if spec.id.kind == "NetworkPolicy" { "podSelector" } else { "endpointSelector" }.to_owned(),
    );
    match &spec.section.subject {
        Subject::Endpoints(selector) => warn(&subject, selector),
        // Node labels have identities of their own.
        Subject::Nodes(_) => {}
    }
    for rule in &spec.section.rules {
        let Peers::Selected(selectors) = &rule.peers else { continue };
        for selector in selectors {
            match selector {
                Selector::Labels(labels) => warn(&rule.path, labels),
                Selector::Prefix { .. }
                | Selector::Group { .. }
                | Selector::Entity(_)
                | Selector::Name(_) => {}
            }
        }
    }
}

/// Row 21: the namespace of a namespaced policy's subject is its own, whatever the selector says.
fn other_namespace_overruled(spec: &Spec<'_>, found: &mut Found<'_>) {
    let (Some(namespace), "CiliumNetworkPolicy") = (&spec.id.namespace, spec.id.kind.as_str()) else {
        return;
    };
    let labels = spec.text.get("endpointSelector").and_then(|selector| selector.get("matchLabels"));
    let Some(labels) = labels.and_then(Value::as_mapping) else { return };
    for (key, value) in labels {
        let key = key.as_str().unwrap_or_default();
        let bare = key.strip_prefix("k8s:").unwrap_or(key);
        if bare != LabelSet::NAMESPACE || value.as_str() == Some(namespace) {
            continue;
        }
        let warning = Warning {
            code: "other-namespace-overruled",
            message: format!("the subject's namespace is `{namespace}`, whatever this selector says"),
            why: "Cilium overrules the namespace in the `endpointSelector` of a CiliumNetworkPolicy without a word",
            help: "put the policy into the other namespace, or write a CiliumClusterwideNetworkPolicy"
                .to_owned(),
        };
        found.add(spec.id, &format!("{}.endpointSelector.matchLabels", spec.path), warning);
    }
}

/// Row 20: an empty selector among the endpoints of a namespaced policy.
fn own_namespace_only(spec: &Spec<'_>, found: &mut Found<'_>) {
    let (Some(namespace), "CiliumNetworkPolicy") = (&spec.id.namespace, spec.id.kind.as_str()) else {
        return;
    };
    for (path, rule) in spec.written() {
        for key in ["fromEndpoints", "toEndpoints"] {
            let is_empty = |item: &Value| item.as_mapping().is_some_and(serde_yaml::Mapping::is_empty);
            if !list(rule, key).any(is_empty) {
                continue;
            }
            let warning = Warning {
                code: "own-namespace-only",
                message: format!("the empty selector stands for the pods of `{namespace}` alone"),
                why: "selectors in a CiliumNetworkPolicy look at its own namespace unless they name another",
                help: "for every pod of the cluster, ask for `k8s:io.kubernetes.pod.namespace` with `Exists`"
                    .to_owned(),
            };
            found.add(spec.id, &format!("{path}.{key}"), warning);
        }
    }
}
