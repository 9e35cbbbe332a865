//! A page in GitHub's Markdown: the totals, a table of cases, and a table for each probe not as expected.

use super::{decided, duration, place, remark, totals};
use crate::event::{CaseReport, ProbeReport, RunReport};

/// The page.
pub(super) fn render(report: &RunReport) -> String {
    let mut text = format!("## Egret\n\n{} in {}.\n", totals(report), duration(report.duration));
    if let Some(note) = &report.note {
        text += &format!("\nNote: {note}\n");
    }
    for case in report.cases.iter().filter(|case| case.result.is_failed() || case.result.is_error()) {
        text += &details(case);
    }
    text +=
        "\n<details><summary>All cases</summary>\n\n| result | case | time | |\n| --- | --- | ---: | --- |\n";
    for case in &report.cases {
        text += &format!(
            "| {} | {} | {} | {} |\n",
            case.result.word(),
            cell(&case.name),
            duration(case.duration),
            cell(&remark(case).unwrap_or_default())
        );
    }
    text + "\n</details>\n"
}

fn details(case: &CaseReport) -> String {
    let mut text = format!("\n### {}: {}\n\n", case.name, case.result.word());
    if let Some(at) = &case.at {
        text += &format!("{} (`{}`)\n", case.title, place(at));
    }
    if let Some(remark) = remark(case) {
        text += &format!("\n{}\n", cell(&remark));
    }
    for step in case.steps.iter().filter(|step| step.is_failed()) {
        text += &format!("\nStep **{}** (`{}`)\n", cell(&step.name), place(&step.at));
        for (policy, at) in &step.select_nothing {
            text += &format!("\n`{policy}` selects nothing (`{}`)\n", place(at));
        }
        for wrong in step.probes.iter().filter(|probe| probe.comparison.alone.is_some()) {
            text += &probe(wrong);
        }
    }
    if let Some(refusal) = &case.refusal {
        text += &format!(
            "\nExpected:\n\n```text\n{}\n```\n\nActual:\n\n```text\n{}\n```\n",
            refusal.expected.trim_end(),
            refusal.actual.trim_end()
        );
    }
    text
}

fn probe(probe: &ProbeReport) -> String {
    let mut text = format!(
        "\n`{}` (`{}`)\n\n| | expected | predicted | observed |\n| --- | --- | --- | --- |\n",
        probe.text,
        place(&probe.at)
    );
    for row in &probe.comparison.rows {
        let field = row.field.word();
        let [expected, predicted, observed] = [&row.expected, &row.predicted, &row.observed]
            .map(|text| cell(text.as_deref().unwrap_or_default()));
        let name = if row.agrees { field.to_owned() } else { format!("**{field}**") };
        text += &format!("| {name} | {expected} | {predicted} | {observed} |\n");
    }
    let alone = probe.comparison.alone.map(|alone| alone.text().to_owned());
    let lines: Vec<String> = alone.into_iter().chain(decided(probe)).map(|line| cell(&line)).collect();
    text + &format!("\n{}\n", lines.join("; "))
}

/// Text that stays inside its cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
