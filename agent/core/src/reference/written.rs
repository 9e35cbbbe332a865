//! A rule of a Cilium policy of either direction, as it is written.

use alloc::string::String;
use alloc::vec::Vec;

use crate::spec::cilium_network_policy::{
    CidrRule, EgressRule, Group, IcmpRule, IngressRule, NameRule, PortRule, ServiceRule,
};
use crate::spec::label_selector::LabelSelector;

/// One rule of either direction.
pub(super) struct Written<'a> {
    pub(super) peers: Peers<'a>,
    pub(super) ports: &'a [PortRule],
    pub(super) icmps: &'a [IcmpRule],
}

/// The peer fields of one rule; a field that the direction does not have is absent.
#[derive(Clone, Copy)]
pub(super) struct Peers<'a> {
    pub(super) endpoints: Option<&'a [LabelSelector]>,
    pub(super) cidrs: Option<&'a [String]>,
    pub(super) cidr_sets: Option<&'a [CidrRule]>,
    pub(super) entities: Option<&'a [String]>,
    pub(super) nodes: Option<&'a [LabelSelector]>,
    pub(super) groups: Option<&'a [Group]>,
    pub(super) services: Option<&'a [ServiceRule]>,
    pub(super) names: Option<&'a [NameRule]>,
}

/// What holds for every rule of a section.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// Namespace of the policy; `None` for the cluster-wide kind.
    pub(super) namespace: Option<&'a str>,
    /// The subject is chosen by `reserved:init`.
    pub(super) for_init: bool,
}

/// Rules of the one direction.
pub(super) fn ingress(written: &Option<Vec<IngressRule>>) -> Vec<Written<'_>> {
    let rules = written.iter().flatten().map(|rule| Written {
        peers: Peers {
            endpoints: rule.from_endpoints.as_deref(),
            cidrs: rule.from_cidr.as_deref(),
            cidr_sets: rule.from_cidr_set.as_deref(),
            entities: rule.from_entities.as_deref(),
            nodes: rule.from_nodes.as_deref(),
            groups: rule.from_groups.as_deref(),
            services: None,
            names: None,
        },
        ports: rule.to_ports.as_deref().unwrap_or_default(),
        icmps: rule.icmps.as_deref().unwrap_or_default(),
    });
    rules.collect()
}

/// Rules of the other.
pub(super) fn egress(written: &Option<Vec<EgressRule>>) -> Vec<Written<'_>> {
    let rules = written.iter().flatten().map(|rule| Written {
        peers: Peers {
            endpoints: rule.to_endpoints.as_deref(),
            cidrs: rule.to_cidr.as_deref(),
            cidr_sets: rule.to_cidr_set.as_deref(),
            entities: rule.to_entities.as_deref(),
            nodes: rule.to_nodes.as_deref(),
            groups: rule.to_groups.as_deref(),
            services: rule.to_services.as_deref(),
            names: rule.to_fqdns.as_deref(),
        },
        ports: rule.to_ports.as_deref().unwrap_or_default(),
        icmps: rule.icmps.as_deref().unwrap_or_default(),
    });
    rules.collect()
}
