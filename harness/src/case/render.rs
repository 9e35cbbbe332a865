//! Expectations printed as a case writes them; what is printed reads back as the same.

use std::fmt;

use super::{ByWord, ClientWord, Expect};

impl fmt::Display for ClientWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(outcome) => outcome.fmt(f),
            Self::Blocked => f.write_str("blocked"),
        }
    }
}

impl fmt::Display for ByWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultDeny => f.write_str("default deny"),
            Self::Kubelet => f.write_str("kubelet"),
            Self::Policy(id, None) => id.fmt(f),
            Self::Policy(id, Some(path)) => write!(f, "{id} {path}"),
        }
    }
}

/// The word, or the mapping on one line. What a word holds needs no quotes, except a rule path with its brackets.
impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, egress, ingress, reason, by, addresses } = self;
        let mut parts = Vec::new();
        parts.extend(client.iter().map(|word| format!("client: {word}")));
        parts.extend(egress.iter().map(|verdict| format!("egress: {}", verdict.word())));
        parts.extend(ingress.iter().map(|verdict| format!("ingress: {}", verdict.word())));
        parts.extend(reason.iter().map(|reason| format!("reason: \"{}\"", reason.text().to_lowercase())));
        parts.extend(by.iter().map(|by| match by {
            ByWord::Policy(_, Some(_)) => format!("by: \"{by}\""),
            ByWord::DefaultDeny | ByWord::Kubelet | ByWord::Policy(_, None) => format!("by: {by}"),
        }));
        parts.extend(addresses.iter().map(|addresses| {
            let addresses: Vec<_> = addresses.iter().map(|address| format!("\"{address}\"")).collect();
            format!("addresses: [{}]", addresses.join(", "))
        }));
        match (client, parts.as_slice()) {
            (Some(word), [_]) => word.fmt(f),
            (_, parts) => write!(f, "{{ {} }}", parts.join(", ")),
        }
    }
}
