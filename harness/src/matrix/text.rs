//! The page as a table for people, on a terminal and in Markdown.

use super::{Flow, Page, Party};

/// Columns with numbers, a line for each party, and the deciders when they are wanted.
pub(super) fn terminal(page: &Page, why: bool) -> String {
    let mut text = format!("traffic: {}\n\n", page.traffic.join(" "));
    let numbers = page.parties.iter().map(|party| party.number.to_string().len()).max().unwrap_or_default();
    for party in &page.parties {
        text += &format!("{:>numbers$}  {}\n", party.number, party.name);
    }
    text.push('\n');
    let rows = rows(page);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len))
        .map(|at| {
            rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text += legend(page);
    if why {
        text += &deciders(page);
    }
    text
}

/// The same table, and the parties below it.
pub(super) fn markdown(page: &Page) -> String {
    let mut rows = rows(page).into_iter();
    let line = |row: &[String]| {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let head = rows.next().unwrap_or_default();
    let mut text = line(&head) + &format!("|{}\n", " --- |".repeat(head.len()));
    text.extend(rows.map(|row| line(&row)));
    text += "\n| number | who | pods |\n| ---: | --- | --- |\n";
    for party in &page.parties {
        text += &line(&[party.number.to_string(), party.name.clone(), party.pods.join(" ")]);
    }
    text + legend(page)
}

/// The head and one row for each sender. A dot: nothing to ask.
fn rows(page: &Page) -> Vec<Vec<String>> {
    let receivers: Vec<&Party> = page.parties.iter().filter(|party| party.receives).collect();
    let head = receivers.iter().map(|party| party.number.to_string());
    let mut rows = vec![std::iter::once("from \\ to".to_owned()).chain(head).collect()];
    for sender in page.parties.iter().filter(|party| party.sends) {
        let cells = receivers.iter().map(|receiver| {
            page.pair(sender.number, receiver.number).map_or_else(|| ".".to_owned(), super::Pair::summary)
        });
        rows.push(std::iter::once(sender.number.to_string()).chain(cells).collect());
    }
    rows
}

fn legend(page: &Page) -> &'static str {
    let has_proxy = page.pairs.iter().flat_map(|pair| &pair.flows).any(|flow| flow.verdict == "redirected");
    if has_proxy { "\n* a proxy decides by request\n" } else { "" }
}

/// For each pair what was decided by the same rules in one line; pairs that no policy is asked about are left
/// out.
fn deciders(page: &Page) -> String {
    let mut text = String::new();
    for pair in &page.pairs {
        let mut alike: Vec<(Vec<&str>, &Flow)> = Vec::new();
        for flow in pair.flows.iter().filter(|flow| flow.is_judged()) {
            let same = alike
                .iter_mut()
                .find(|(_, other)| (&other.egress, &other.ingress) == (&flow.egress, &flow.ingress));
            match same {
                Some((traffic, _)) => traffic.push(&flow.traffic),
                None => alike.push((vec![&flow.traffic], flow)),
            }
        }
        for (traffic, flow) in alike {
            text += &format!(
                "\n{} -> {}  {}  {}\n    egress {}\n    ingress {}\n",
                pair.from,
                pair.to,
                traffic.join(" "),
                flow.verdict,
                flow.egress,
                flow.ingress
            );
        }
    }
    text
}
