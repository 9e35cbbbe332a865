//! kind's configuration for a cluster, from the flags; the same shape stands in `kind/config/cluster.yaml`.

use serde_json::{Value, json};

/// kubeadm keeps pods off a control plane, and kind lets them back onto the only node alone: with this, onto the first of
/// several too, so that a case finds as many nodes as were asked for.
const NO_TAINTS: &str = "kind: InitConfiguration\nnodeRegistration:\n  taints: []\n";

/// Address families of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// IPv4 alone.
    #[default]
    V4,
    /// IPv6 alone.
    V6,
    /// Both.
    Dual,
}

/// What a cluster is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many nodes, at least one; the first is the control plane.
    pub nodes: u8,
    /// Address families.
    pub family: Family,
    /// Whether kube-proxy translates services.
    pub kube_proxy: bool,
}

impl Shape {
    /// The configuration as YAML; JSON is YAML.
    pub(super) fn config(&self, name: &str) -> String {
        let family = match self.family {
            Family::V4 => "ipv4",
            Family::V6 => "ipv6",
            Family::Dual => "dual",
        };
        let first = match self.nodes {
            0 | 1 => json!({ "role": "control-plane" }),
            2.. => json!({ "role": "control-plane", "kubeadmConfigPatches": [NO_TAINTS] }),
        };
        let workers = (1..self.nodes).map(|_| json!({ "role": "worker" }));
        let nodes: Vec<Value> = std::iter::once(first).chain(workers).collect();
        let config = json!({
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "name": name,
            "networking": {
                "disableDefaultCNI": true,
                "ipFamily": family,
                "kubeProxyMode": if self.kube_proxy { "iptables" } else { "none" },
            },
            "nodes": nodes,
        });
        config.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who makes the cluster by hand gets the one that `egret kind up` makes.
    #[test]
    fn the_committed_configuration_is_the_default() {
        let committed = include_str!("../../../../../kind/config/cluster.yaml");
        let committed: Value = serde_yaml::from_str(committed).unwrap();
        let shape = Shape { nodes: 2, family: Family::V4, kube_proxy: true };
        let made: Value = serde_json::from_str(&shape.config("egret")).unwrap();
        assert_eq!(made, committed);
    }

    #[test]
    fn flags_change_it() {
        let shape = Shape { nodes: 1, family: Family::Dual, kube_proxy: false };
        let made: Value = serde_json::from_str(&shape.config("x")).unwrap();
        assert_eq!(made["networking"]["ipFamily"], "dual");
        assert_eq!(made["networking"]["kubeProxyMode"], "none");
        // kind itself lets pods onto the only node, and fails when it may already.
        assert_eq!(made["nodes"], json!([{ "role": "control-plane" }]));
    }
}
