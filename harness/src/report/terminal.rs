//! The report for a person at a terminal: one line per case, a table for each probe that is not as expected.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::builder::styling::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};

use super::{decided, duration, place, remark, totals};
use crate::compare::{CaseResult, Row};
use crate::event::{CaseReport, Event, ProbeReport, RunReport, StepReport};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const ODD: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();

/// Prints a run while it goes. Colours and the progress bar only where somebody looks.
pub struct Terminal {
    bar: ProgressBar,
}

impl Terminal {
    /// A report on standard output. With a `bar`, progress is drawn on standard error where that is a terminal.
    #[must_use]
    pub fn new(bar: bool) -> Self {
        if !bar {
            return Self { bar: ProgressBar::hidden() };
        }
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        Self { bar: ProgressBar::new(0).with_style(style) }
    }

    /// Takes one event.
    pub fn tell(&mut self, event: &Event<'_>) {
        match event {
            Event::RunStarted { note, cases, .. } => {
                self.bar.set_length(*cases as u64);
                if let Some(note) = note {
                    anstream::eprintln!("{ODD}note:{ODD:#} {note}");
                }
            }
            Event::CaseStarted { name } => self.bar.set_message((*name).to_owned()),
            Event::StepStarted { .. } | Event::StepFinished { .. } => {}
            Event::CaseFinished { report, .. } => {
                self.bar.inc(1);
                self.bar.suspend(|| print(&case(report)));
            }
            Event::RunFinished(report) => {
                self.bar.finish_and_clear();
                print(&summary(report));
            }
        }
    }
}

/// A reader that has gone, as in `egret test | head`, must not keep the run from its exit code.
fn print(text: &str) {
    let _ = anstream::stdout().write_all(text.as_bytes());
}

/// One case: a line, and below it what is not as expected.
#[must_use]
pub fn case(case: &CaseReport) -> String {
    let style = match &case.result {
        CaseResult::Pass => GOOD,
        CaseResult::KnownFailure(_) => ODD,
        CaseResult::Skipped { required, .. } if required.is_empty() => ODD,
        CaseResult::Fail
        | CaseResult::Disagree(_)
        | CaseResult::UnexpectedPass(_)
        | CaseResult::Skipped { .. }
        | CaseResult::Error { .. } => BAD,
    };
    let word = case.result.word();
    let mut text = format!("{style}{word:<8}{style:#} {:>8}  {}", duration(case.duration), case.name);
    match remark(case) {
        Some(remark) => text += &format!(": {remark}\n"),
        None => text.push('\n'),
    }
    if case.result.is_failed() {
        text += &details(case);
    }
    if let Some(folder) = &case.artifacts
        && !matches!(case.result, CaseResult::Pass)
    {
        text += &format!("  packets and flows: {}\n", folder.display());
    }
    text
}

/// The last lines of a run.
#[must_use]
pub fn summary(report: &RunReport) -> String {
    let good = report.failed() == 0 && report.errors() == 0;
    let style = if good { GOOD } else { BAD };
    format!("{style}{}{style:#} in {}\n", totals(report), duration(report.duration))
}

fn details(case: &CaseReport) -> String {
    let mut text = String::new();
    if let Some(at) = &case.at {
        text += &format!("  {}  {}\n", place(at), case.title);
    }
    for step in case.steps.iter().filter(|step| step.is_failed()) {
        text += &step_details(step);
    }
    if let Some(refusal) = &case.refusal {
        let quoted = |message: &str| {
            message.lines().fold(String::new(), |mut text, line| {
                let _ = writeln!(text, "    | {line}");
                text
            })
        };
        text += &format!("  expected:\n{}  actual:\n{}", quoted(&refusal.expected), quoted(&refusal.actual));
    }
    text
}

fn step_details(step: &StepReport) -> String {
    let mut text = format!("  {}  step `{}`\n", place(&step.at), step.name);
    for (policy, at) in &step.select_nothing {
        text += &format!("    {}  {BAD}{policy} selects nothing{BAD:#}\n", place(at));
    }
    let (wrong, right): (Vec<_>, Vec<_>) =
        step.probes.iter().partition(|probe| probe.comparison.alone.is_some());
    for probe in wrong {
        text += &probe_details(probe);
    }
    if !right.is_empty() {
        let others = right.len();
        text += &format!("    {DIM}{others} more as expected{DIM:#}\n");
    }
    text
}

fn probe_details(probe: &ProbeReport) -> String {
    let mut text = format!("    {}  {}\n", place(&probe.at), probe.text);
    text += &table(&probe.comparison.rows);
    let alone = probe.comparison.alone.map(|alone| alone.text().to_owned());
    for line in alone.into_iter().chain(decided(probe)) {
        text += &format!("      {line}\n");
    }
    text
}

/// Three columns; rows in which not all agree are marked and coloured.
fn table(rows: &[Row]) -> String {
    let cell = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let heads = ["expected", "predicted", "observed"].map(ToOwned::to_owned);
    let lines: Vec<[String; 3]> =
        rows.iter().map(|row| [cell(&row.expected), cell(&row.predicted), cell(&row.observed)]).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&heads).chain(&lines);
        cells.map(|line| line[column].chars().count()).max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2)];
    let joined = |line: &[String; 3]| {
        let cells: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    let mut text = format!("      {:11}  {DIM}{}{DIM:#}\n", "", joined(&heads));
    for (row, line) in rows.iter().zip(&lines) {
        let (mark, style) = if row.agrees { (' ', Style::new()) } else { ('!', BAD) };
        text += &format!("      {style}{mark} {:9}  {}{style:#}\n", row.field.word(), joined(line));
    }
    text
}
