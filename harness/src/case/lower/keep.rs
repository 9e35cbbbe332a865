//! Connections that stay open: where each is opened, and what is expected of it in every step from there on.

use std::collections::BTreeSet;
use std::sync::Arc;

use egret_core::probe::{Http, Opening, Probe, Request, Source as From};
use egret_core::{Protocol, World};

use super::around::Around;
use super::expect;
use super::piece::Piece;
use super::problems::Problems;
use super::target;
use crate::case::schema::KeepFile;
use crate::case::{Expect, Expectation};
use crate::diagnostic::Diagnostic;
use crate::source::{Location, Source};
use crate::yaml::Located;

/// The word for a connection that is opened without policies.
const BEFORE: &str = "before step 1";

/// The connections of a case.
pub(super) struct Keeps<'a> {
    source: &'a Arc<Source>,
    keeps: Vec<Keep<'a>>,
}

struct Keep<'a> {
    file: &'a KeepFile,
    /// The step in which it is opened; `None`: before the first.
    opens_in: Option<usize>,
    /// Its client, and where it leads; `None` until it is opened, or where that was wrong.
    parsed: Option<(From, Opening)>,
    /// The client has gone, and does not come back.
    is_over: bool,
}

impl<'a> Keeps<'a> {
    /// Checks everything but who talks to whom; `steps` are the steps' names.
    pub(super) fn new(
        source: &'a Arc<Source>,
        files: &'a [KeepFile],
        steps: &[String],
        problems: &mut Problems,
    ) -> Self {
        let mut names = BTreeSet::new();
        let mut keeps = Vec::with_capacity(files.len());
        for file in files {
            let place = |text: &Located<String>| text.at.in_source(source);
            if !names.insert(file.name.value.as_str()) {
                problems.add(
                    Diagnostic::error(format!("two connections are called `{}`", file.name.value))
                        .at(place(&file.name)),
                );
            }
            let Some(opens_in) = opening_of(&file.open, source, steps, problems) else { continue };
            if file.then.0.is_empty() {
                problems.add(
                    Diagnostic::error(format!("nothing is expected of `{}`", file.name.value))
                        .at(place(&file.name))
                        .help("say what becomes of it in a step: `then: { step 1: open }`"),
                );
            }
            for (step, _) in &file.then.0 {
                let index = problems.expect(position(&step.value, steps), || unknown(step, steps, source));
                if index.zip(opens_in).is_some_and(|(index, opens_in)| index < opens_in) {
                    problems.add(
                        Diagnostic::error(format!(
                            "`{}` is not open yet in step `{}`",
                            file.name.value, step.value
                        ))
                        .at(place(step))
                        .note(format!("it is opened in step `{}`", file.open.value)),
                    );
                }
            }
            keeps.push(Keep { file, opens_in, parsed: None, is_over: false });
        }
        Self { source, keeps }
    }

    /// The connections that are opened in the world before the first step.
    pub(super) fn before(&mut self, world: &World, problems: &mut Problems) -> Vec<Probe> {
        let source = self.source;
        let first = self.keeps.iter_mut().filter(|keep| keep.opens_in.is_none());
        first
            .filter_map(|keep| {
                keep.parsed = parse(keep.file, source, world, problems);
                keep.probe(true)
            })
            .collect()
    }

    /// What is asked of the connections in a step.
    pub(super) fn in_step(
        &mut self,
        (index, step): (usize, &str),
        stopped: &BTreeSet<String>,
        around: &Around<'_>,
        problems: &mut Problems,
    ) -> Vec<Expectation> {
        let mut asked = Vec::new();
        for keep in &mut self.keeps {
            let opens = keep.opens_in == Some(index);
            if opens {
                keep.parsed = parse(keep.file, self.source, around.world, problems);
            }
            if let Some((from, _)) = &keep.parsed {
                keep.is_over |= !runs(from, stopped, around.world);
            }
            asked.extend(keep.expectation(step, opens, around, problems));
        }
        asked
    }
}

impl Keep<'_> {
    fn probe(&self, opens: bool) -> Option<Probe> {
        let (from, opening) = self.parsed.clone()?;
        let connection = self.file.name.value.clone();
        Some(Probe { from, request: Request::Keep { connection, open: opens.then_some(opening) } })
    }

    fn expectation(
        &self,
        step: &str,
        opens: bool,
        around: &Around<'_>,
        problems: &mut Problems,
    ) -> Option<Expectation> {
        let KeepFile { name, from, to, open: _, then } = self.file;
        let written = then.0.iter().find(|(word, _)| word.value == step);
        let place = written.map_or(name.at, |(word, _)| word.at).in_source(around.source);
        let expect = match written {
            Some((_, value)) => expect::of_kept(value, around, problems),
            None => Some(Expect::default()),
        };
        let probe = self.probe(opens)?;
        if self.is_over {
            if written.is_some() || opens {
                problems.add(
                    Diagnostic::error(format!(
                        "`{}`, the client of `{}`, is gone in this step",
                        from.value, name.value
                    ))
                    .at(place),
                );
            }
            return None;
        }
        let text = format!("{}: {} -> {}", name.value, from.value.trim(), to.value.trim());
        Some(Expectation { probe, text, at: place, expect: expect? })
    }
}

/// Whether a client is there.
fn runs(from: &From, stopped: &BTreeSet<String>, world: &World) -> bool {
    match from {
        From::Pod(pod) => world.pods.get(pod).is_some_and(|pod| !stopped.contains(&pod.node)),
        From::Node(node) => world.nodes.contains_key(node) && !stopped.contains(node),
        From::Address(host) => world.internet.hosts.contains_key(host),
    }
}

/// The step that a connection is opened in; the outer `None` is an error.
fn opening_of(
    open: &Located<String>,
    source: &Arc<Source>,
    steps: &[String],
    problems: &mut Problems,
) -> Option<Option<usize>> {
    if open.value == BEFORE {
        return Some(None);
    }
    problems
        .expect(position(&open.value, steps), || {
            let words: Vec<_> = std::iter::once(BEFORE).chain(steps.iter().map(String::as_str)).collect();
            Diagnostic::error(format!("there is no step `{}` to open a connection in", open.value))
                .at(open.at.in_source(source))
                .nearest(&open.value, &words)
        })
        .map(Some)
}

fn position(name: &str, steps: &[String]) -> Option<usize> {
    steps.iter().position(|step| step == name)
}

fn unknown(step: &Located<String>, steps: &[String], source: &Arc<Source>) -> Diagnostic {
    Diagnostic::error(format!("there is no step `{}`", step.value))
        .at(step.at.in_source(source))
        .nearest(&step.value, steps)
}

/// One client, and one server over TCP.
fn parse(
    file: &KeepFile,
    source: &Arc<Source>,
    world: &World,
    problems: &mut Problems,
) -> Option<(From, Opening)> {
    let (from_at, to_at) = (file.from.at.in_source(source), file.to.at.in_source(source));
    let client = one(&Piece::whole(&file.from.value, &from_at), "client", problems);
    let client = client.and_then(|piece| target::source(&piece, world, problems));
    let server = one(&Piece::whole(&file.to.value, &to_at), "server", problems);
    let server = server.and_then(|piece| target::target(&piece, &Http::default(), world, problems));
    let client = client.and_then(|sides| only(sides, "client", from_at, problems));
    let server = server.and_then(|sides| only(sides, "server", to_at.clone(), problems));
    let (client, server) = (client?, server?);
    match server.what {
        Request::Connect { to, port, protocol: Protocol::Tcp, .. } if !server.text.contains("://") => {
            Some((client.what, Opening { to, port }))
        }
        Request::Connect { .. }
        | Request::Ping { .. }
        | Request::Dns { .. }
        | Request::Keep { .. }
        | Request::Forge { .. } => {
            problems.add(
                Diagnostic::error(format!("`{}` is no port over TCP", server.text))
                    .at(to_at)
                    .help("write `pod:80`, `service web:80`, `node node-1:80` or `203.0.113.7:80`"),
            );
            None
        }
    }
}

/// The one name of a list; `what` says whose.
fn one<'a>(list: &Piece<'a>, what: &str, problems: &mut Problems) -> Option<Piece<'a>> {
    only(list.list(), what, list.location(), problems)
}

fn only<T>(mut all: Vec<T>, what: &str, at: Location, problems: &mut Problems) -> Option<T> {
    let found = all.pop().filter(|_| all.is_empty());
    problems.expect(found, || Diagnostic::error(format!("a connection has one {what}")).at(at))
}
