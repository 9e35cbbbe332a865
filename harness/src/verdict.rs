//! Flows as JSON lines in, verdicts as JSON lines out: one line for each line, in order, as soon as it is there.
//!
//! | stage | from -> to | module |
//! | --- | --- | --- |
//! | read | a line -> a question | `line` |
//! | answer | a question -> a verdict, by the engine | [`answer_lines`] |
//! | name | a verdict -> everybody who decided | `deciding` |
//! | write | a verdict -> JSON, kept where it comes up again | `answer` |
//!
//! What makes it fast: a line's texts are borrowed, parties are looked up once, and of a verdict only the
//! question is written anew, since a cluster has far fewer pairs of deciding rules than flows.

pub mod answer;
mod deciding;
mod line;
mod names;
#[cfg(test)]
mod tests;

pub use names::{learned, of_source as names_of_source};

use std::io::{self, BufReader, Read, Write};

use egret_core::Protocol;
use egret_core::judge::{Cluster, End, Party, Question, SideJudged, SideVerdict};
use egret_shared::{Direction, DropReason};
use hashbrown::HashMap;

use crate::case::PolicyLocations;
use crate::input::{LONGEST_LINE, LineRead, read_line};
use answer::Rendered;
use deciding::{Asked, Deciding};
use line::{Id, Line};

/// Parties and verdicts that are remembered; beyond, all are forgotten, so that memory stays bounded.
const REMEMBERED: usize = 1 << 20;
/// Bytes of output that are collected while more input is there.
const BUFFER: usize = 1 << 16;

/// How many lines were answered, and how many of them with an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All lines.
    pub lines: u64,
    /// Lines that are no questions, or have no answer.
    pub bad: u64,
}

/// Answers every line of `input` with one line of `output`; empty lines are passed over.
///
/// # Errors
/// Reading or writing failed.
pub fn answer_lines(
    cluster: &Cluster,
    locations: &PolicyLocations,
    mut input: BufReader<impl Read>,
    mut output: impl Write,
) -> io::Result<Counts> {
    let mut desk = Desk::new(cluster, locations);
    let (mut line, mut out) = (Vec::new(), Vec::new());
    let mut counts = Counts::default();
    loop {
        // Before the next line has to be waited for, what is known goes out.
        if out.len() >= BUFFER || (!out.is_empty() && !input.buffer().contains(&b'\n')) {
            output.write_all(&out)?;
            output.flush()?;
            out.clear();
        }
        let is_cut = match read_line(&mut input, &mut line)? {
            LineRead::None => break,
            LineRead::Whole => false,
            LineRead::Cut => true,
        };
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        counts.lines += 1;
        let answered = if is_cut { Err(Bad::long()) } else { desk.answer(text, &mut out) };
        if let Err(bad) = answered {
            counts.bad += 1;
            bad.write(&mut out);
        }
    }
    output.write_all(&out)?;
    output.flush()?;
    Ok(counts)
}

/// What is known while lines are answered.
struct Desk<'a> {
    cluster: &'a Cluster,
    locations: &'a PolicyLocations,
    /// Parties by their text, as indices into `ends`.
    parties: HashMap<Box<str>, usize>,
    /// Parties, or why there is none.
    ends: Vec<Result<End, String>>,
    deciding: Deciding<'a>,
    /// What stands behind the question, by what decided.
    known: HashMap<Deciders, Vec<u8>>,
}

/// Everything in a verdict that its text depends on, at both ends.
type Deciders = [Decider; 2];

/// What one end's part of a verdict's text depends on.
#[derive(PartialEq, Eq, Hash)]
struct Decider {
    node: Option<usize>,
    verdict: SideVerdict,
    reason: Option<DropReason>,
    policy: u32,
    /// The list of those who decided.
    by: u32,
}

/// A line without answer.
struct Bad {
    id: Id<'static>,
    error: String,
}

// === impl Desk ===

impl<'a> Desk<'a> {
    fn new(cluster: &'a Cluster, locations: &'a PolicyLocations) -> Self {
        let (parties, ends, known) = (HashMap::new(), Vec::new(), HashMap::new());
        Self { cluster, locations, parties, ends, deciding: Deciding::new(cluster), known }
    }

    fn answer(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Bad> {
        let line: Line<'_> = serde_json::from_slice(text).map_err(|error| Bad::unreadable(text, &error))?;
        let answered = self.judge(&line, out);
        answered.map_err(|error| Bad { id: line.id.owned(), error })
    }

    fn judge(&mut self, line: &Line<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let (protocol, port) = line.traffic()?;
        if self.ends.len() + 2 > REMEMBERED {
            self.parties.clear();
            self.ends.clear();
            self.deciding = Deciding::new(self.cluster);
        }
        let places = (self.party(&line.from), self.party(&line.to));
        let (from, to) = (self.ends[places.0].as_ref()?, self.ends[places.1].as_ref()?);
        let layer7 = line.layer7()?;
        let is_one = |end: &End| end.stands_for_itself() && !end.depends_on_family();
        if layer7.is_some() || !is_one(from) || !is_one(to) {
            let question = Question { layer7, ..question(protocol, port) };
            let answer = self.cluster.answer(from, to, &question).map_err(|error| error.to_string())?;
            line.write_question((protocol, port), out);
            Rendered::new(&answer, self.locations).write_behind_question(out);
            return Ok(());
        }
        let judged = self.cluster.judge(from, to, protocol, port);
        let traffic = (protocol, port);
        let egress = Asked { own: (places.0, from), other: to, direction: Direction::Egress, traffic };
        let ingress = Asked { own: (places.1, to), other: from, direction: Direction::Ingress, traffic };
        let deciders = [
            Decider::of(from, &judged.egress, self.deciding.list(&egress, &judged.egress)),
            Decider::of(to, &judged.ingress, self.deciding.list(&ingress, &judged.ingress)),
        ];
        line.write_question((protocol, port), out);
        if let Some(known) = self.known.get(&deciders) {
            out.extend_from_slice(known);
            return Ok(());
        }
        let start = out.len();
        let answer = self.cluster.describe(from, to, &judged, &question(protocol, port), port);
        Rendered::new(&answer, self.locations).write_behind_question(out);
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(deciders, out[start..].to_vec());
        Ok(())
    }

    /// Index of the party that a text names.
    fn party(&mut self, text: &str) -> usize {
        if let Some(index) = self.parties.get(text) {
            return *index;
        }
        let found = Party::parse(text)
            .ok_or_else(|| format!("`{text}` names no pod, address, node or service"))
            .and_then(|party| self.cluster.find(&party).map_err(|error| error.to_string()));
        let index = self.ends.len();
        self.ends.push(found);
        self.parties.insert(text.into(), index);
        index
    }
}

/// The engine is given parties apart from the question.
fn question(protocol: Protocol, port: u16) -> Question {
    Question { from: Party::World, to: Party::World, protocol, port, layer7: None }
}

// === impl Decider ===

impl Decider {
    fn of(end: &End, side: &SideJudged, by: u32) -> Self {
        let SideJudged { verdict, reason, proxy: _, policy, rule: _, match_type: _, peer: _ } = *side;
        Self { node: end.node(), verdict, reason, policy, by }
    }
}

// === impl Bad ===

impl Bad {
    fn unreadable(text: &[u8], error: &serde_json::Error) -> Self {
        // Line numbers of one line say nothing; the column does.
        let message = error.to_string();
        let message = message.replace(" at line 1 column ", " at column ");
        Self { id: line::id_of(text), error: message }
    }

    fn long() -> Self {
        Self { id: Id::None, error: format!("the line is longer than {} MiB", LONGEST_LINE >> 20) }
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.id.write(out);
        out.extend_from_slice(b",\"error\":");
        answer::write_text(&self.error, out);
        out.extend_from_slice(b"}\n");
    }
}
