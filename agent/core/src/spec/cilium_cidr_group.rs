//! A CiliumCIDRGroup: its shape, and the prefixes under its name.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::Deserialize;

use super::check::Check;
use super::metadata::Metadata;
use super::prefix;
use crate::rule::CidrGroup;

/// A `cilium.io/v2` or `cilium.io/v2alpha1` CiliumCIDRGroup.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CiliumCidrGroup {
    /// `cilium.io/v2` or `cilium.io/v2alpha1`.
    pub api_version: String,
    /// `CiliumCIDRGroup`.
    pub kind: String,
    /// Name, and the labels by which rules may refer to it.
    pub metadata: Metadata,
    /// The prefixes.
    pub spec: CidrGroupSpec,
}

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CidrGroupSpec {
    /// Prefixes outside the cluster.
    #[serde(rename = "externalCIDRs")]
    pub external_cidrs: Vec<String>,
}

/// The group.
pub(super) fn group(check: &mut Check, document: &CiliumCidrGroup) -> CidrGroup {
    let CiliumCidrGroup { api_version: _, kind: _, metadata, spec } = document;
    if metadata.namespace.is_some() {
        check.problem("metadata.namespace", "a group of prefixes has no namespace");
    }
    let mut prefixes = Vec::new();
    for (index, text) in spec.external_cidrs.iter().enumerate() {
        prefixes.extend(prefix::prefix(check, &format!("spec.externalCIDRs[{index}]"), text));
    }
    CidrGroup { labels: metadata.labels.clone().unwrap_or_default(), prefixes }
}
