//! The page for programs: a line for each flow, and a graph.

use super::{Decision, Page, by_text};

/// `from,to,traffic,verdict,egress,egress by,ingress,ingress by`, one line for each flow.
pub(super) fn csv(page: &Page) -> String {
    let mut text = "from,to,traffic,verdict,egress,egress by,ingress,ingress by\n".to_owned();
    let name = |number: usize| {
        let party = page.parties.iter().find(|party| party.number == number);
        party.map(|party| party.name.as_str()).unwrap_or_default()
    };
    let by = |side: &Decision| side.by.iter().map(by_text).collect::<Vec<_>>().join("; ");
    for pair in &page.pairs {
        for flow in &pair.flows {
            let (egress, ingress) = (by(&flow.egress), by(&flow.ingress));
            let fields = [
                name(pair.from),
                name(pair.to),
                &flow.traffic,
                flow.verdict,
                flow.egress.verdict,
                &egress,
                flow.ingress.verdict,
                &ingress,
            ];
            text += &(fields.map(field).join(",") + "\n");
        }
    }
    text
}

/// A field in quotes where it needs them (RFC 4180).
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// An edge for each pair of which something passes, with what passes.
pub(super) fn dot(page: &Page) -> String {
    let mut text = "digraph egret {\n  node [shape=box];\n".to_owned();
    for party in &page.parties {
        text += &format!("  {} [label={}];\n", party.number, quoted(&party.name));
    }
    for pair in &page.pairs {
        if pair.flows.iter().any(super::Flow::passes) {
            text += &format!("  {} -> {} [label={}];\n", pair.from, pair.to, quoted(&pair.summary()));
        }
    }
    text + "}\n"
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
