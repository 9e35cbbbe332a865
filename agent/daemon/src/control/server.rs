//! Answers on the agent's socket.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::{UnixListener, UnixStream};

use super::line::{LONGEST, is_closed, receive_with};
use super::{Added, Reply, Request, mac_text};
use crate::kubernetes::daemon::Daemon;
use crate::netns::Netns;
use crate::node::AddError;
use crate::node::alias::PodKey;
use crate::node::link::{self, Attachment};

/// How long an `ADD` waits for the API to tell of its pod: it comes from the same API server by another way.
const POD_WAIT: Duration = Duration::from_secs(10);

/// Listens at a path, in place of an agent that has ended.
///
/// # Errors
/// When the folder cannot be written.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    // Whoever may ask can link pods and read packets.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until it is dropped.
pub async fn run(listener: UnixListener, daemon: Rc<Daemon>) {
    loop {
        // Who gave up before being heard is heard no more.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let daemon = Rc::clone(&daemon);
        tokio::task::spawn_local(async move {
            let mut connection = Connection { stream, daemon };
            // As above.
            let _given_up = connection.serve().await;
        });
    }
}

/// One client.
struct Connection {
    stream: UnixStream,
    daemon: Rc<Daemon>,
}

impl Connection {
    /// Answers the one request of a client.
    async fn serve(&mut self) -> io::Result<()> {
        let (line, descriptor) = self.receive().await?;
        let request = match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(error) => {
                return self.refuse(&format!("the request is not understood: {error}"), false).await;
            }
        };
        match (request, descriptor) {
            (Request::Add { container, interface, pod }, Some(netns)) => {
                self.add(&container, &interface, pod.into(), &Netns::from(netns)).await
            }
            (Request::Add { .. }, None) => self.refuse("the pod's network did not come along", false).await,
            (Request::Settle, _) => {
                let settled = self.daemon.with_node(crate::node::Node::settle);
                self.done(settled.map(|_revision| ())).await
            }
            (Request::Ready, _) => match self.daemon.unready() {
                None => self.reply(&Reply::Done).await,
                Some(why) => self.refuse(&why, true).await,
            },
            (Request::Status, _) => self.reply(&Reply::Status(Box::new(self.daemon.status()))).await,
            (Request::Await { objects, seconds }, _) => {
                let patience = Duration::from_secs(seconds);
                let reached = self.until(patience, |daemon| daemon.has(&objects).then_some(()));
                match reached.await {
                    Some(()) => self.reply(&Reply::Status(Box::new(self.daemon.status()))).await,
                    None => self.refuse("the objects are not in force in time", true).await,
                }
            }
            (Request::Flows { since, follow }, _) => self.flows(since, follow).await,
            (Request::Forget, _) => {
                let forgotten = self.daemon.with_node(crate::node::Node::forget);
                self.done(forgotten).await
            }
            (Request::Capture(every_packet), _) => {
                let set = self.daemon.with_node(|node| node.set_capture(every_packet));
                self.done(set).await
            }
            (Request::Dialect(dialect), _) => {
                self.daemon.set_dialect(dialect);
                self.reply(&Reply::Done).await
            }
            (Request::Outside { via, prefixes }, _) => {
                let led = self.daemon.with_node(|node| node.lead_outside(via, prefixes));
                self.done(led).await
            }
        }
    }

    /// Receives one line and the descriptor beside it.
    async fn receive(&self) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
        let mut line = Vec::new();
        let mut descriptor = None;
        let mut buffer = [0; 4096];
        loop {
            let received =
                self.stream.async_io(Interest::READABLE, || receive_with(&self.stream, &mut buffer)).await?;
            let (length, beside) = received;
            descriptor = beside.or(descriptor);
            line.extend_from_slice(buffer.get(..length).unwrap_or_default());
            if line.ends_with(b"\n") {
                return Ok((line, descriptor));
            }
            if length == 0 || line.len() > LONGEST {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// Links a pod, once the API has told of it. A client that has gone is given nothing, and nothing is left of it.
    async fn add(&mut self, container: &str, interface: &str, pod: PodKey, netns: &Netns) -> io::Result<()> {
        let stream = &self.stream;
        let added = self.until(POD_WAIT, |daemon| {
            if is_closed(stream) {
                return Some(None);
            }
            match daemon.with_node(|node| node.add(container, interface, pod.clone(), netns)) {
                Err(AddError::NotReady | AddError::UnknownPod) => None,
                ended => Some(Some(ended)),
            }
        });
        match added.await {
            None => self.refuse(&AddError::UnknownPod.to_string(), true).await,
            Some(None) => Ok(()),
            Some(Some(Err(error))) => self.refuse(&error.to_string(), false).await,
            Some(Some(Ok(attachment))) => {
                let told = self.reply(&Reply::Added(added_of(&attachment))).await;
                if told.is_err() {
                    self.daemon.with_node(|node| {
                        // What is gone already is as good as deleted; what stays is found by the next look.
                        let _gone = node.remove(&attachment);
                    });
                }
                told
            }
        }
    }

    /// Asks again with every piece of news, until there is an answer or the time is over.
    async fn until<T>(&self, patience: Duration, ask: impl Fn(&Daemon) -> Option<T>) -> Option<T> {
        let mut news = self.daemon.news();
        let waiting = async {
            loop {
                news.mark_unchanged();
                if let Some(answer) = ask(&self.daemon) {
                    return Some(answer);
                }
                news.changed().await.ok()?;
            }
        };
        tokio::time::timeout(patience, waiting).await.ok().flatten()
    }

    async fn flows(&mut self, since: u64, follow: bool) -> io::Result<()> {
        let mut news = self.daemon.news();
        let mut place = self.daemon.with_flows(|log| log.since(since));
        loop {
            news.mark_unchanged();
            let (flows, end) = self.daemon.with_flows(|log| log.from(place));
            place = end;
            for flow in flows {
                self.reply(&Reply::Flow(Box::new((*flow).clone()))).await?;
            }
            if !follow || news.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    async fn done(&mut self, result: Result<(), crate::error::AgentError>) -> io::Result<()> {
        match result {
            Ok(()) => self.reply(&Reply::Done).await,
            Err(error) => self.refuse(&error.to_string(), false).await,
        }
    }

    async fn refuse(&mut self, message: &str, again: bool) -> io::Result<()> {
        self.reply(&Reply::Refused { message: message.to_owned(), again }).await
    }

    async fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        let mut line = serde_json::to_vec(reply)?;
        line.push(b'\n');
        self.stream.write_all(&line).await
    }
}

fn added_of(Attachment { link, owner }: &Attachment) -> Added {
    Added {
        addresses: owner.addresses.clone(),
        link: link.name.clone(),
        mac: mac_text(link.mac),
        inside_mac: mac_text(Some(link::inside_mac(owner))),
    }
}
