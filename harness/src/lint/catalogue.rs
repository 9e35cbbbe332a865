//! Every warning's code and what it is about, for people who look one up.

/// One kind of warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// Its name in reports.
    pub name: &'static str,
    /// What it is about, in one line.
    pub about: &'static str,
}

const fn code(name: &'static str, about: &'static str) -> Code {
    Code { name, about }
}

/// All of them, ordered by name.
pub const CATALOGUE: &[Code] = &[
    code(
        "api-server-denied",
        "a deny means the place where the API server stands, which another rule allows",
    ),
    code("api-server-nowhere", "nothing says who the API server is, so that no address belongs to it"),
    code("default-deny-without-dns", "egress is denied by default, and nothing lets the pods ask for names"),
    code("defined-twice", "two policies have one name, and say different things: the later counts"),
    code("deny-only", "a policy with deny rules alone closes everything else too"),
    code("deny-shadows-allow", "a deny covers all that this rule allows"),
    code("dns-server-absent", "a DNS rule names a port or peers where nobody serves DNS"),
    code("double-star-inside", "`**` means several labels only at the beginning of a name pattern"),
    code(
        "empty-rule",
        "`ingress: [{}]` allows everything in a NetworkPolicy, and nothing in a Cilium policy",
    ),
    code("empty-to-ports", "`toPorts: []` leaves every port open"),
    code("end-port-below-port", "`endPort` lies below `port`: only the first port is meant"),
    code("except-allowed-elsewhere", "what an exception leaves out, another rule allows"),
    code("fails-open", "Cilium opens this rule further than it reads"),
    code("fqdn-without-dns-rule", "no DNS rule lets a name through, so that its addresses are never learned"),
    code("icmp-left-out", "every port of TCP, UDP and SCTP is named, and that leaves ICMP out"),
    code("icmp-type-zero", "ICMP type 0 stands for every type"),
    code("label-outside-identity", "Cilium keeps this label out of identities, so that no selector sees it"),
    code("named-port-ambiguous", "pods call different ports by this name, and release 1.19 drops the rule"),
    code("named-port-outside", "a port's name means nothing outside the cluster"),
    code("named-port-unknown", "nobody whom the rule means has a port of this name"),
    code("not-simulated", "this part is accepted, and verdicts leave it out of account"),
    code(
        "other-namespace-overruled",
        "a policy's subject is of the policy's own namespace, whatever its selector says",
    ),
    code("own-namespace-only", "the empty selector stands for the policy's own namespace"),
    code("own-node-closed", "under Cilium default deny at egress closes the pod's own node too"),
    code("peer-matches-nothing", "nobody has the labels of this peer"),
    code("placeholder-name", "the name looks like one that was meant to be replaced"),
    code("port-zero", "port 0 stands for every port"),
    code("ports-match-nothing", "an item of `toPorts` without ports matches nothing"),
    code("prefix-over-cluster", "under Cilium a prefix never means pods or nodes"),
    code("probes-denied", "a deny means the pod's own node too, whose kubelet asks whether the pod is well"),
    code(
        "proxy-overruled",
        "another rule lets some peers pass whatever these HTTP, DNS or server name rules say",
    ),
    code("search-list-refused", "what resolvers ask for first, below their search list, is refused"),
    code("selects-no-pod", "the policy selects nobody"),
    code("service-in-every-namespace", "a service without namespace is looked for in every namespace"),
    code("switch-overruled", "another policy denies by default where this one switches it off"),
    code("switch-without-rules", "`enableDefaultDeny` does nothing for a direction without rules"),
    code("undeclared-direction", "`policyTypes` leaves out a direction that has rules"),
];

/// Codes and what they are about as lines of text, the codes in one column.
#[must_use]
pub fn listed() -> String {
    let width = CATALOGUE.iter().map(|code| code.name.len()).max().unwrap_or_default();
    CATALOGUE.iter().map(|code| format!("{:width$}  {}\n", code.name, code.about)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the sources say behind `code: ` and in calls that make warnings.
    #[test]
    fn it_is_complete_and_nothing_more() {
        let sources = [
            include_str!("default_deny.rs"),
            include_str!("name.rs"),
            include_str!("node.rs"),
            include_str!("overlap.rs"),
            include_str!("peer.rs"),
            include_str!("port.rs"),
            include_str!("selection.rs"),
            include_str!("../cluster.rs"),
            include_str!("../cluster/gather.rs"),
        ];
        let marks = ["code: \"", "Diagnostic::warning(\""];
        let after = |source: &'static str, mark: &str| -> Vec<&'static str> {
            source.split(mark).skip(1).filter_map(|rest| rest.split('"').next()).collect()
        };
        let mut used: Vec<_> =
            sources.iter().flat_map(|source| marks.iter().flat_map(|mark| after(source, mark))).collect();
        used.sort_unstable();
        used.dedup();
        let listed: Vec<_> = CATALOGUE.iter().map(|code| code.name).collect();
        assert_eq!(listed, used);
    }
}
