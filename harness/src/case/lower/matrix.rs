//! Tables of outcomes: rows ask, columns answer.

use std::collections::BTreeSet;

use egret_core::probe::{Http, JudgedAs, Outcome, Peer, Port, Probe, Request, Source};
use egret_core::{ObjectName, Protocol};

use super::around::Around;
use super::piece::Piece;
use super::problems::Problems;
use super::{serve, target};
use crate::case::schema::{DefaultWord, MatrixFile, PortText};
use crate::case::{ClientWord, Expect, Expectation};
use crate::diagnostic::Diagnostic;
use crate::source::Location;

/// Marks of a cell.
const MARKS: [&str; 5] = [".", "X", "E", "I", "-"];

/// A pair and what is expected of it.
struct Cell {
    from: ObjectName,
    to: ObjectName,
    expect: Expect,
    at: Location,
}

/// All expectations of a table: row by row, and in each cell port by port.
pub(super) fn lower(file: &MatrixFile, around: &Around<'_>, problems: &mut Problems) -> Vec<Expectation> {
    let ports = ports(file, around, problems);
    let cells = cells(file, around, problems);
    let mut expectations = Vec::new();
    for cell in cells {
        for (port, protocol) in &ports {
            let suffix = if *protocol == Protocol::Tcp { String::new() } else { format!("/{protocol}") };
            expectations.push(Expectation {
                probe: Probe {
                    from: Source::Pod(cell.from.clone()),
                    request: Request::Connect {
                        to: Peer::Pod(cell.to.clone()),
                        port: Port::Number(*port),
                        protocol: *protocol,
                        http: Http::default(),
                    },
                },
                text: format!("{} -> {}:{port}{suffix}", target::short(&cell.from), target::short(&cell.to)),
                at: cell.at.clone(),
                expect: cell.expect.clone(),
            });
        }
    }
    expectations
}

fn ports(file: &MatrixFile, around: &Around<'_>, problems: &mut Problems) -> Vec<(u16, Protocol)> {
    let mut ports = Vec::new();
    for port in &file.ports.value {
        let at = port.at.in_source(around.source);
        let parsed = match &port.value {
            PortText::Number(0) => serve::parse("0", &at, problems),
            PortText::Number(number) => Some((*number, Protocol::Tcp)),
            PortText::Text(text) => serve::parse(text, &at, problems),
        };
        ports.extend(parsed);
    }
    if file.ports.value.is_empty() {
        problems.add(
            Diagnostic::error("a table needs at least one port").at(file.ports.at.in_source(around.source)),
        );
    }
    ports
}

fn cells(file: &MatrixFile, around: &Around<'_>, problems: &mut Problems) -> Vec<Cell> {
    let whole = file.table.at.in_source(around.source);
    let rows = rows(&file.table.value, &whole);
    let mut rows = rows.iter();
    let Some(head) = rows.next() else {
        problems.add(Diagnostic::error("the table is empty").at(whole));
        return Vec::new();
    };
    // A point may stand over the column of the rows' names.
    let head = if head.first().is_some_and(|(word, _)| word == ".") { &head[1..] } else { head };
    let mut named = |word: &str, at: &Location| target::pod(&Piece::whole(word, at), around.world, problems);
    let columns: Vec<_> = head.iter().map(|(word, at)| named(word, at)).collect();
    let mut cells = Vec::new();
    let mut seen = BTreeSet::new();
    for row in rows {
        let Some(((name, at), marks)) = row.split_first() else { continue };
        let from = target::pod(&Piece::whole(name, at), around.world, problems);
        if marks.len() != columns.len() {
            problems.add(
                Diagnostic::error(format!(
                    "this row has {} cells for {} columns",
                    marks.len(),
                    columns.len()
                ))
                .at(at.clone()),
            );
        }
        for ((mark, at), to) in marks.iter().zip(&columns) {
            let (Some(from), Some(to)) = (&from, to) else { continue };
            if !seen.insert((from.clone(), to.clone())) {
                problems.add(
                    Diagnostic::error(format!("the pair `{from}` and `{to}` stands twice")).at(at.clone()),
                );
            }
            match mark.as_str() {
                "-" => {}
                mark => match expect_of(mark) {
                    Some(expect) => {
                        cells.push(Cell { from: from.clone(), to: to.clone(), expect, at: at.clone() });
                    }
                    None => problems.add(
                        Diagnostic::error(format!("unknown mark `{mark}`"))
                            .at(at.clone())
                            .nearest(mark, &MARKS),
                    ),
                },
            }
        }
    }
    left_out(file, &whole, &seen, &mut cells, around, problems);
    cells
}

/// Pairs that the table leaves out, among the pods of the namespaces that it names.
fn left_out(
    file: &MatrixFile,
    whole: &Location,
    seen: &BTreeSet<(ObjectName, ObjectName)>,
    cells: &mut Vec<Cell>,
    around: &Around<'_>,
    problems: &mut Problems,
) {
    let namespaces: BTreeSet<_> =
        seen.iter().flat_map(|(from, to)| [&from.namespace, &to.namespace]).cloned().collect();
    let pods = around.world.pods.keys().map(|pod| &**pod);
    let pods: Vec<&ObjectName> = pods.filter(|pod| namespaces.contains(&pod.namespace)).collect();
    let expect = match file.default {
        None => None,
        Some(DefaultWord::Ok) => expect_of("."),
        Some(DefaultWord::Blocked) => expect_of("X"),
    };
    for from in &pods {
        for to in pods.iter().filter(|to| !seen.contains(&((*from).clone(), (**to).clone()))) {
            match &expect {
                Some(expect) => cells.push(Cell {
                    from: (*from).clone(),
                    to: (*to).clone(),
                    expect: expect.clone(),
                    at: whole.clone(),
                }),
                None => {
                    problems.add(
                        Diagnostic::error(format!("the table leaves out `{from}` to `{to}`"))
                            .at(whole.clone())
                            .help("add it, with `-` if it is not to be asked, or give a `default`"),
                    );
                    return;
                }
            }
        }
    }
}

fn expect_of(mark: &str) -> Option<Expect> {
    let blocked = Expect { client: Some(ClientWord::Blocked), ..Expect::default() };
    Some(match mark {
        "." => Expect { client: Some(ClientWord::Is(Outcome::Ok)), ..Expect::default() },
        "X" => blocked,
        "E" => Expect { egress: Some(JudgedAs::Dropped), ..blocked },
        "I" => Expect { ingress: Some(JudgedAs::Dropped), ..blocked },
        _ => return None,
    })
}

/// Words of each line with their places. Indentation is the only difference between a block and its lines in
/// the file, so the words of both are the same.
fn rows(table: &str, whole: &Location) -> Vec<Vec<(String, Location)>> {
    let written = words(whole.text());
    let meant = words(table);
    let same = written.len() == meant.len()
        && written.iter().zip(&meant).all(|(written, meant)| {
            written.iter().map(|(word, ..)| word).eq(meant.iter().map(|(word, ..)| word))
        });
    if !same {
        let without_place = |row: Vec<(&str, usize, usize)>| {
            row.into_iter().map(|(word, ..)| (word.to_owned(), whole.clone())).collect()
        };
        return meant.into_iter().map(without_place).collect();
    }
    let mut lines = 0;
    let mut behind = 0;
    let mut rows = Vec::new();
    for row in written {
        let mut found = Vec::new();
        for (word, start, end) in row {
            let between = whole.text().get(behind..start).unwrap_or_default();
            lines += between.matches('\n').count();
            behind = start;
            let before = whole.text().get(..start).unwrap_or_default();
            let column = match before.rfind('\n') {
                Some(newline) => before.get(newline + 1..).unwrap_or_default().chars().count() + 1,
                None => whole.column + before.chars().count(),
            };
            found.push((
                word.to_owned(),
                Location {
                    source: std::sync::Arc::clone(&whole.source),
                    line: whole.line + lines,
                    column,
                    span: whole.span.start + start..whole.span.start + end,
                },
            ));
        }
        rows.push(found);
    }
    rows
}

/// Words of each line that has any, with their byte ranges in the text.
fn words(text: &str) -> Vec<Vec<(&str, usize, usize)>> {
    let offset = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    let lines = text.lines().map(|line| {
        line.split_whitespace()
            .map(|word| (word, offset(word), offset(word) + word.len()))
            .collect::<Vec<_>>()
    });
    lines.filter(|words| !words.is_empty()).collect()
}
