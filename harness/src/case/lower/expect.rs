//! Outcomes: the words after the colon.

use std::net::IpAddr;

use egret_core::Protocol;
use egret_core::probe::{Http, JudgedAs, Outcome, Request};
use egret_shared::DropReason;

use super::around::Around;
use super::forge;
use super::piece::Piece;
use super::policy;
use super::problems::Problems;
use super::target;
use crate::case::schema::ExpectFile;
use crate::case::{ByWord, ClientWord, Expect, Expectation};
use crate::diagnostic::{Diagnostic, nearest};
use crate::source::Location;
use crate::yaml::{Located, Short};

/// Words for what the client sees; `http 403` stands for every status.
const OUTCOMES: [&str; 12] = [
    "ok",
    "blocked",
    "timeout",
    "refused",
    "reset",
    "unreachable",
    "dns timeout",
    "dns refused",
    "nxdomain",
    "servfail",
    "tls alert",
    "http 403",
];
/// Words for a direction's verdict.
const VERDICTS: [&str; 5] = ["forwarded", "redirected", "dropped", "audited", "none"];

/// One entry of `expect`: every probe that it stands for, each with what is expected of it.
pub(super) fn lower(
    key: &Located<String>,
    value: &Located<Short<String, ExpectFile>>,
    around: &Around<'_>,
    problems: &mut Problems,
) -> Vec<Expectation> {
    let at = key.at.in_source(around.source);
    let mut http = Http::default();
    let expect = outcome(value, client, &mut http, around, problems);
    let asked = target::parse(&Piece::whole(&key.value, &at), &http, around.world, problems);
    let (Some(expect), Some(mut asked)) = (expect, asked) else { return Vec::new() };
    if let Short::Long(file) = &value.value {
        if let Some(source) = &file.source {
            let forged = asked.into_iter().map(|asked| forge::lower(source, asked, around, problems));
            let Some(forged) = forged.collect() else { return Vec::new() };
            asked = forged;
        }
        if let Some(first) = asked.first() {
            fits(file, &first.probe.request, around, problems);
        }
    }
    let one = |asked: target::Asked| Expectation {
        probe: asked.probe,
        text: asked.text,
        at: at.clone(),
        expect: expect.clone(),
    };
    asked.into_iter().map(one).collect()
}

/// Reads the word for what a client sees.
type ClientReader = fn(&str, &Location, &mut Problems) -> Option<ClientWord>;

/// What is expected of a connection that is kept, in one step.
pub(super) fn of_kept(
    value: &Located<Short<String, ExpectFile>>,
    around: &Around<'_>,
    problems: &mut Problems,
) -> Option<Expect> {
    if let Short::Long(ExpectFile { headers, body, addresses, source, .. }) = &value.value {
        let places = [
            headers.as_ref().map(|part| ("headers", part.at)),
            body.as_ref().map(|part| ("body", part.at)),
            addresses.as_ref().map(|part| ("addresses", part.at)),
            source.as_ref().map(|part| ("source", part.at)),
        ];
        for (word, at) in places.into_iter().flatten() {
            problems.add(
                Diagnostic::error(format!("`{word}` belongs to a probe, not to a connection that is kept"))
                    .at(at.in_source(around.source)),
            );
        }
    }
    outcome(value, state, &mut Http::default(), around, problems)
}

/// The short or the long form; `read` knows the words for what the client sees.
fn outcome(
    value: &Located<Short<String, ExpectFile>>,
    read: ClientReader,
    http: &mut Http,
    around: &Around<'_>,
    problems: &mut Problems,
) -> Option<Expect> {
    match &value.value {
        Short::Word(word) => {
            let at = value.at.in_source(around.source);
            read(word, &at, problems).map(|client| Expect { client: Some(client), ..Expect::default() })
        }
        Short::Long(file) => long(file, read, http, value, around, problems),
    }
}

/// The long form.
fn long(
    file: &ExpectFile,
    read: ClientReader,
    http: &mut Http,
    value: &Located<Short<String, ExpectFile>>,
    around: &Around<'_>,
    problems: &mut Problems,
) -> Option<Expect> {
    let ExpectFile {
        client: client_word,
        egress,
        ingress,
        reason,
        by: by_word,
        headers,
        body,
        addresses,
        source: _,
    } = file;
    let place = |word: &Located<String>| word.at.in_source(around.source);
    if let Some(headers) = headers {
        http.headers.clone_from(&headers.value);
    }
    if let Some(body) = body {
        http.body.clone_from(&body.value);
    }
    if [client_word, egress, ingress, reason, by_word].iter().all(|word| word.is_none())
        && addresses.is_none()
    {
        problems.add(
            Diagnostic::error("nothing is expected here")
                .at(value.at.in_source(around.source))
                .help("say at least what the client sees: `client: ok`"),
        );
        return None;
    }
    let mut is_right = true;
    let mut keep = |right: bool| is_right &= right;
    let mut expect = Expect::default();
    if let Some(word) = client_word {
        expect.client = read(&word.value, &place(word), problems);
        keep(expect.client.is_some());
    }
    if let Some(word) = egress {
        expect.egress = verdict(&word.value, place(word), problems);
        keep(expect.egress.is_some());
    }
    if let Some(word) = ingress {
        expect.ingress = verdict(&word.value, place(word), problems);
        keep(expect.ingress.is_some());
    }
    if let Some(word) = reason {
        expect.reason = drop_reason(&word.value, place(word), problems);
        keep(expect.reason.is_some());
    }
    if let Some(word) = by_word {
        expect.by = by(&word.value, &place(word), around, problems);
        keep(expect.by.is_some());
    }
    if let Some(list) = addresses {
        let parsed = list.value.iter().map(|address| {
            problems.expect(address.value.parse::<IpAddr>().ok(), || {
                Diagnostic::error(format!("`{}` is not an address", address.value)).at(place(address))
            })
        });
        expect.addresses = parsed.collect();
        keep(expect.addresses.is_some());
    }
    is_right.then_some(expect)
}

/// Whether the parts of the long form mean something for this request.
fn fits(file: &ExpectFile, request: &Request, around: &Around<'_>, problems: &mut Problems) {
    let is_dns = matches!(request, Request::Dns { .. });
    if let Some(addresses) = file.addresses.as_ref().filter(|_| !is_dns) {
        problems.add(
            Diagnostic::error("`addresses` belongs to a `dns` query")
                .at(addresses.at.in_source(around.source)),
        );
    }
    let is_http = matches!(request, Request::Connect { protocol: Protocol::Tcp, .. });
    let carried = file.headers.as_ref().map(|headers| headers.at).or(file.body.as_ref().map(|body| body.at));
    if let Some(at) = carried.filter(|_| !is_http) {
        problems.add(
            Diagnostic::error("only a request over TCP carries headers and a body")
                .at(at.in_source(around.source)),
        );
    }
}

fn client(word: &str, at: &Location, problems: &mut Problems) -> Option<ClientWord> {
    if word == "blocked" {
        return Some(ClientWord::Blocked);
    }
    problems.expect(Outcome::parse(word).map(ClientWord::Is), || {
        let problem = Diagnostic::error(format!("unknown outcome `{word}`")).at(at.clone());
        if VERDICTS.contains(&word) {
            return problem
                .help(format!("a verdict is given by direction: `{{ client: timeout, egress: {word} }}`"));
        }
        problem.nearest(word, &OUTCOMES)
    })
}

fn state(word: &str, at: &Location, problems: &mut Problems) -> Option<ClientWord> {
    problems.expect(Outcome::parse_state(word).map(ClientWord::Is), || {
        let words = Outcome::STATES.map(|state| state.to_string());
        Diagnostic::error(format!("unknown state `{word}` of a connection"))
            .at(at.clone())
            .nearest(word, &words)
    })
}

fn verdict(word: &str, at: Location, problems: &mut Problems) -> Option<JudgedAs> {
    problems.expect(JudgedAs::parse(word), || {
        Diagnostic::error(format!("unknown verdict `{word}`")).at(at).nearest(word, &VERDICTS)
    })
}

fn drop_reason(word: &str, at: Location, problems: &mut Problems) -> Option<DropReason> {
    let reason = DropReason::ALL.iter().find(|reason| reason.text().eq_ignore_ascii_case(word));
    problems.expect(reason.copied(), || {
        let words: Vec<_> = DropReason::ALL.iter().map(|reason| reason.text().to_lowercase()).collect();
        Diagnostic::error(format!("unknown drop reason `{word}`")).at(at).nearest(word, &words)
    })
}

fn by(word: &str, at: &Location, around: &Around<'_>, problems: &mut Problems) -> Option<ByWord> {
    match word {
        "default deny" => return Some(ByWord::DefaultDeny),
        "kubelet" => return Some(ByWord::Kubelet),
        _ => {}
    }
    if let Some(near) = nearest(word, &["default deny", "kubelet"]) {
        problems.add(
            Diagnostic::error(format!("`{word}` names no author"))
                .at(at.clone())
                .help(format!("did you mean `{near}`?")),
        );
        return None;
    }
    let piece = Piece::whole(word, at);
    let words = piece.words();
    let (kind, name, path) = match words.as_slice() {
        [kind, name] => (kind, name, None),
        [kind, name, path] => (kind, name, Some(path)),
        _ => {
            problems.add(
                Diagnostic::error(format!("`{word}` names no author"))
                    .at(at.clone())
                    .help("`default deny`, `kubelet`, or `Kind namespace/name` and a rule path"),
            );
            return None;
        }
    };
    let text = format!("{} {}", kind.text(), name.text());
    let id = problems.expect(policy::find(&text, around.policies), || {
        let names: Vec<_> = around.policies.keys().map(ToString::to_string).collect();
        Diagnostic::error(format!("no policy `{text}` is in force in this step"))
            .at(at.clone())
            .nearest(&text, &names)
    })?;
    let understood = around.policies.get(&id).and_then(|applied| applied.policy.as_ref());
    if let (Some(path), Some(policy)) = (path, understood) {
        let rules = policy.rule_paths();
        if !rules.iter().any(|rule| is_below(rule, path.text())) {
            problems.add(
                Diagnostic::error(format!("`{id}` has no rule `{}`", path.text()))
                    .at(path.location())
                    .nearest(path.text(), &rules),
            );
            return None;
        }
    }
    Some(ByWord::Policy(id, path.map(|path| path.text().to_owned())))
}

/// Whether a rule path is the written one or lies below it.
fn is_below(rule: &str, written: &str) -> bool {
    rule.strip_prefix(written).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
