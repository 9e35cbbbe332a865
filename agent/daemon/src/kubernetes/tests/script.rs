//! An API server that answers as it was told, behind a real client.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::kubernetes::kind::Kind;

/// What a list or a write is answered with.
pub(super) enum Answer {
    /// The objects, under a version of the list.
    Objects(&'static str, Vec<Value>),
    /// An error, with what the API server says beside it.
    Error(u16, Value),
    /// The answer within, once somebody says so.
    Late(oneshot::Receiver<()>, Box<Answer>),
    /// The connection breaks.
    Broken,
}

/// An answer on its way.
type Sent = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The open watches of a kind, in the order in which they were opened.
type Events = mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>;

/// What is to be answered, and what was asked.
#[derive(Default)]
struct Script {
    lists: BTreeMap<String, VecDeque<Answer>>,
    writes: VecDeque<Answer>,
    watches: BTreeMap<String, Vec<(String, Events)>>,
    written: Vec<(String, Value)>,
}

/// The server. Every list that was not told anything is empty, and every write is taken.
#[derive(Clone, Default)]
pub(super) struct Server(Arc<Mutex<Script>>);

impl Server {
    /// A client of this server.
    pub(super) fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        Client::new(service, "default")
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// What the next lists of a kind are answered with; the last answer of objects stays.
    pub(super) fn lists(&self, kind: Kind, answers: impl IntoIterator<Item = Answer>) {
        self.script().lists.insert(path_of(kind), answers.into_iter().collect());
    }

    /// What the next writes are answered with.
    pub(super) fn writes(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script().writes.extend(answers);
    }

    /// Waits until a kind is watched for the `count`th time, and returns the version from which on.
    pub(super) async fn watched(&self, kind: Kind, count: usize) -> String {
        loop {
            if let Some((query, _)) =
                self.script().watches.get(&path_of(kind)).and_then(|all| all.get(count - 1))
            {
                let version = query.split('&').find_map(|part| part.strip_prefix("resourceVersion="));
                return version.unwrap_or_default().to_owned();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Tells an event to the newest watch of a kind.
    pub(super) fn event(&self, kind: Kind, word: &str, object: &Value) {
        let line = json!({ "type": word, "object": object }).to_string() + "\n";
        let script = self.script();
        let (_, events) = script.watches[&path_of(kind)].last().expect("the kind is watched");
        events.send(Ok(Frame::data(line.into()))).expect("the watch is open");
    }

    /// Ends the newest watch of a kind, as a server that restarts does.
    pub(super) fn end(&self, kind: Kind) {
        let mut script = self.script();
        let watches = script.watches.get_mut(&path_of(kind)).expect("the kind is watched");
        let (query, _) = watches.pop().expect("the kind is watched");
        // The place stays taken, so that watches are counted.
        watches.push((query, mpsc::unbounded_channel().0));
    }

    /// Waits for the `count`th write and returns its path and body.
    pub(super) async fn written(&self, count: usize) -> (String, Value) {
        loop {
            if let Some(write) = self.script().written.get(count - 1) {
                return write.clone();
            }
            tokio::task::yield_now().await;
        }
    }

    /// How many writes there were.
    pub(super) fn writes_so_far(&self) -> usize {
        self.script().written.len()
    }

    async fn answer(&self, request: Request<Body>) -> Result<Sent, std::io::Error> {
        let path = request.uri().path().to_owned();
        let query = request.uri().query().unwrap_or_default().to_owned();
        if request.method() == "PATCH" {
            let body = request.into_body().collect().await.expect("a body").to_bytes();
            let answer = {
                let mut script = self.script();
                script.written.push((path, serde_json::from_slice(&body).expect("JSON")));
                script.writes.pop_front().unwrap_or(Answer::Objects("", Vec::new()))
            };
            return of(answer, json!({ "metadata": { "name": "written" } })).await;
        }
        if query.contains("watch=true") {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            self.script().watches.entry(path).or_default().push((query, sender));
            let events = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
            return Ok(Response::new(StreamBody::new(events).boxed_unsync()));
        }
        let answer = {
            let mut script = self.script();
            let answers = script.lists.entry(path).or_default();
            match answers.pop_front() {
                Some(Answer::Objects(version, objects)) => {
                    if answers.is_empty() {
                        answers.push_back(Answer::Objects(version, objects.clone()));
                    }
                    Answer::Objects(version, objects)
                }
                Some(other) => other,
                None => Answer::Objects("1", Vec::new()),
            }
        };
        of(answer, Value::Null).await
    }
}

async fn of(answer: Answer, written: Value) -> Result<Sent, std::io::Error> {
    let answer = match answer {
        Answer::Late(when, answer) => {
            when.await.expect("somebody says when");
            *answer
        }
        at_once @ (Answer::Objects(..) | Answer::Error(..) | Answer::Broken) => at_once,
    };
    let (code, body) = match answer {
        Answer::Objects("", _) => (200, written),
        Answer::Objects(version, items) => {
            (200, json!({ "kind": "List", "metadata": { "resourceVersion": version }, "items": items }))
        }
        Answer::Error(code, details) => (code, status(code, &details)),
        Answer::Broken | Answer::Late(..) => return Err(std::io::ErrorKind::ConnectionReset.into()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).expect("a status code");
    Ok(response)
}

/// A `Status` object, as errors come.
pub(super) fn status(code: u16, details: &Value) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("scripted {code}"), "reason": "Scripted", "code": code, "details": details,
    })
}

fn path_of(kind: Kind) -> String {
    let resource = kind.resource();
    let root = if resource.group.is_empty() { "api" } else { "apis" };
    format!("/{root}/{}/{}", resource.api_version, resource.plural)
}
