//! An API server in memory: objects by path, pods ready as soon as they are made, and answers from a script before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::super::object::Run;
use super::super::server::Server;

/// One request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// `POST /api/v1/namespaces`, without query.
    pub(super) line: String,
    pub(super) query: String,
    pub(super) body: Value,
}

/// An answer that is given instead of the server's own.
struct Scripted {
    line: String,
    status: u16,
    body: String,
    times: usize,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    script: Vec<Scripted>,
    asked: Vec<Asked>,
    version: u64,
}

/// The server; clones share their objects.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<State>>);

impl Script {
    /// The subject's view of it.
    pub(super) fn server(&self) -> Server {
        let run = Run { id: "feedbeef".into(), host: "here".into(), process: std::process::id() };
        Server { client: self.client(), run }
    }

    pub(super) fn client(&self) -> Client {
        let script = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let script = script.clone();
            async move { script.answer(request).await }
        });
        Client::new(service, "default")
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers this request so, as often as said, before the server answers itself.
    pub(super) fn says(&self, line: &str, status: u16, body: impl ToString, times: usize) -> &Self {
        let scripted = Scripted { line: line.into(), status, body: body.to_string(), times };
        self.with(|state| state.script.push(scripted));
        self
    }

    /// Refuses this request once, in the API server's form.
    pub(super) fn refuses(&self, line: &str, status: u16, reason: &str, message: &str) -> &Self {
        self.says(line, status, refusal(status, reason, message), 1)
    }

    /// An object that is there.
    pub(super) fn holds(&self, path: &str, object: Value) -> &Self {
        self.with(|state| state.objects.insert(path.into(), object));
        self
    }

    /// Paths of everything that is there.
    pub(super) fn there(&self) -> Vec<String> {
        self.with(|state| state.objects.keys().cloned().collect())
    }

    pub(super) fn object(&self, path: &str) -> Value {
        self.with(|state| state.objects.get(path).cloned().unwrap_or_default())
    }

    /// Requests that are more than looking.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.with(|state| state.asked.clone())
    }

    /// How often this was asked.
    pub(super) fn count(&self, line: &str) -> usize {
        self.asked().iter().filter(|asked| asked.line == line).count()
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, kube::Error> {
        let (parts, body) = request.into_parts();
        let bytes = body.collect_bytes().await?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
        let watch = if query.contains("watch=true") { "?watch" } else { "" };
        let line = format!("{} {path}{watch}", parts.method);
        let (status, text) = self.with(|state| {
            state.asked.push(Asked { line: line.clone(), query: query.clone(), body: body.clone() });
            let scripted =
                state.script.iter_mut().find(|scripted| scripted.line == line && scripted.times > 0);
            if let Some(scripted) = scripted {
                scripted.times -= 1;
                return (scripted.status, scripted.body.clone());
            }
            let (status, value) = state.handle(&parts.method, &path, &query, &body);
            (status, value.to_string())
        });
        let response = Response::builder().status(status).body(Body::from(text.into_bytes()));
        Ok(response.expect("a status and a body make a response"))
    }
}

impl State {
    fn handle(&mut self, method: &Method, path: &str, query: &str, body: &Value) -> (u16, Value) {
        let missing = || (404, refusal(404, "NotFound", "not found"));
        match *method {
            Method::GET => match self.objects.get(path) {
                Some(object) => (200, object.clone()),
                None if is_collection(path) => (200, self.list(path, query)),
                None => missing(),
            },
            Method::POST => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                let place = format!("{path}/{name}");
                if self.objects.contains_key(&place) {
                    return (409, refusal(409, "AlreadyExists", "already exists"));
                }
                (201, self.put(&place, body.clone()))
            }
            Method::PATCH => {
                let mut object = self.objects.get(path).cloned().unwrap_or_else(|| json!({}));
                merge(&mut object, body);
                (200, self.put(path, object))
            }
            Method::DELETE => match self.objects.remove(path) {
                Some(object) => {
                    // What stands in a namespace goes with it.
                    self.objects.retain(|other, _| !other.contains(&format!("{path}/")));
                    (200, object)
                }
                None => missing(),
            },
            _ => (405, refusal(405, "MethodNotAllowed", "not scripted")),
        }
    }

    fn put(&mut self, place: &str, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["kind"] == "Pod" && object["status"].is_null() {
            let ip = format!("10.1.0.{}", self.version);
            object["status"] = json!({
                "conditions": [{ "type": "Ready", "status": "True" }],
                "podIP": ip, "podIPs": [{ "ip": ip }],
            });
        }
        self.objects.insert(place.into(), object.clone());
        object
    }

    /// The objects of a collection, in one namespace or in all, that carry the selector's label.
    fn list(&self, path: &str, query: &str) -> Value {
        let plural = path.rsplit('/').next().unwrap_or_default();
        let group = path.rsplit_once('/').map_or("", |(group, _)| group);
        let selected = |object: &Value| {
            let Some((_, rest)) = query.split_once("labelSelector=") else { return true };
            let selector = rest.split('&').next().unwrap_or_default().replace("%2F", "/").replace("%3D", "=");
            let (key, value) = match selector.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (selector, None),
            };
            let label = object["metadata"]["labels"][&key].as_str();
            key.is_empty() || (label.is_some() && (value.is_none() || label == value.as_deref()))
        };
        let items = self.objects.iter().filter(|(place, object)| {
            let (folder, _) = place.rsplit_once('/').unwrap_or_default();
            let fits =
                folder == path || (folder.starts_with(group) && folder.ends_with(&format!("/{plural}")));
            fits && selected(object)
        });
        let items: Vec<&Value> = items.map(|(_, object)| object).collect();
        json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items })
    }
}

/// Ends in a plural word and not in a name: words of the API that these tests use.
fn is_collection(path: &str) -> bool {
    let word = path.rsplit('/').next().unwrap_or_default();
    ["namespaces", "pods", "services", "serviceaccounts", "nodes", "configmaps"].contains(&word)
        || word.ends_with("policies")
        || word.ends_with("slices")
        || word.ends_with("groups")
}

/// A merge patch (RFC 7386).
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().map(|object| object.remove(key));
        } else {
            merge(&mut target[key], value);
        }
    }
}

/// A refusal in the API server's form.
pub(super) fn refusal(status: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": status, "reason": reason, "message": message,
    })
}
