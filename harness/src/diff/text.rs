//! Changes for people, on a terminal and in Markdown.

use super::{Change, Difference, Outcome};
use crate::count::count;

pub(super) fn terminal(difference: &Difference) -> String {
    let mut text = String::new();
    for workload in &difference.workloads {
        text += &format!("{}\n", workload.workload);
        for change in &workload.changes {
            text += &format!("  {} {}\n", change.effect.word(), subject(change));
            text += &format!("    was {}\n    now {}\n", outcome(&change.old), outcome(&change.new));
        }
        text.push('\n');
    }
    text + &end(difference)
}

pub(super) fn markdown(difference: &Difference) -> String {
    let mut text = String::new();
    for workload in &difference.workloads {
        text += &format!("### {}\n\n| | flows | was | now |\n| --- | --- | --- | --- |\n", workload.workload);
        for change in &workload.changes {
            let cells = [subject(change), outcome(&change.old), outcome(&change.new)];
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            text += &format!("| {} | {} |\n", change.effect.word(), cells.join(" | "));
        }
        text.push('\n');
    }
    text + &end(difference)
}

fn subject(change: &Change) -> String {
    let number = change.flows.map(|flows| format!(", {}", count(flows, "recorded flow"))).unwrap_or_default();
    format!("{} -> {}  {}{number}", change.from, change.to, change.traffic.join(" "))
}

/// The verdict, and of a drop only what drops.
fn outcome(outcome: &Outcome) -> String {
    let sides = [("egress", &outcome.egress), ("ingress", &outcome.ingress)];
    let drops = sides.iter().any(|(_, side)| side.verdict == "denied");
    let told = sides
        .iter()
        .filter(|(_, side)| if drops { side.verdict == "denied" } else { !side.by.is_empty() })
        .map(|(direction, side)| format!("{direction} {side}"));
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        outcome.verdict.to_owned()
    } else {
        format!("{}: {}", outcome.verdict, told.join("; "))
    }
}

/// What was compared, in one line each.
fn end(difference: &Difference) -> String {
    let changes: usize = difference.workloads.iter().map(|workload| workload.changes.len()).sum();
    let mut text = match changes {
        0 => "no flow changes\n".to_owned(),
        changes => format!("{} of flows\n", count(changes, "change")),
    };
    if let Some(recorded) = &difference.recorded {
        text += &format!("{} judged", count(recorded.judged, "recorded flow"));
        if recorded.unknown > 0 {
            text += &format!(", {} between parties that are not in both versions", recorded.unknown);
        }
        if recorded.skipped > 0 {
            text +=
                &format!(", {} of replies or other protocols passed over", count(recorded.skipped, "line"));
        }
        text.push('\n');
    }
    for (word, pods) in [("added", &difference.added), ("removed", &difference.removed)] {
        if !pods.is_empty() {
            text += &format!("{word}, and not compared: {}\n", pods.join(", "));
        }
    }
    text
}
