//! How the cluster's DNS server asks the Internet's authority: over one UDP socket of its own network.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::base::iana::Rcode;
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use super::is_about_peer;
use crate::message::{self, Answer, Question, UDP_SIZE};

/// How long the authority may take (CoreDNS's `forward` gives an upstream 2 s to answer).
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks one server. What does not come back, or comes back as an error of the network, is SERVFAIL.
#[derive(Debug)]
pub(super) struct Forward {
    socket: Arc<UdpSocket>,
    upstream: SocketAddr,
    waiting: Arc<Mutex<Waiting>>,
}

/// Questions without answer yet, by message number.
type Waiting = HashMap<u16, oneshot::Sender<Vec<u8>>>;

impl Forward {
    /// Asks `upstream` over `socket`. The future takes the answers in, and has to run as long as questions are
    /// asked.
    pub(super) fn new(
        socket: UdpSocket,
        upstream: SocketAddr,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let socket = Arc::new(socket);
        let waiting = Arc::new(Mutex::new(Waiting::new()));
        let receive = receive(Arc::clone(&socket), upstream, Arc::clone(&waiting));
        (Self { socket, upstream, waiting }, receive)
    }

    /// The upstream server's answer to `question`.
    pub(super) async fn ask(&self, question: &Question) -> Answer {
        let (sender, receiver) = oneshot::channel();
        let id = self.reserve(sender);
        let answer = tokio::time::timeout(PATIENCE, self.exchange(id, question, receiver)).await;
        lock(&self.waiting).remove(&id);
        answer.ok().flatten().unwrap_or(Answer::empty(Rcode::SERVFAIL))
    }

    async fn exchange(
        &self,
        id: u16,
        question: &Question,
        receiver: oneshot::Receiver<Vec<u8>>,
    ) -> Option<Answer> {
        let query = message::query(id, question, Some(UDP_SIZE)).ok()?;
        // What the network said about an earlier question must not keep this one from leaving.
        let _: Option<io::Error> = self.socket.take_error().ok()?;
        self.socket.send_to(&query, self.upstream).await.ok()?;
        message::read_answer(id, question, &receiver.await.ok()?)
    }

    /// A message number that no open question has.
    fn reserve(&self, sender: oneshot::Sender<Vec<u8>>) -> u16 {
        let mut waiting = lock(&self.waiting);
        let mut id = message::random_id();
        while waiting.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        waiting.insert(id, sender);
        id
    }
}

/// Gives each answer to who waits for it.
async fn receive(socket: Arc<UdpSocket>, upstream: SocketAddr, waiting: Arc<Mutex<Waiting>>) {
    let mut buffer = [0; 4096];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) if from == upstream => {
                let bytes = buffer.get(..length).unwrap_or_default();
                let Some(id) = bytes.first_chunk().map(|id| u16::from_be_bytes(*id)) else { continue };
                if let Some(sender) = lock(&waiting).remove(&id) {
                    // Nobody waits any longer: the answer came too late.
                    let _: Result<(), Vec<u8>> = sender.send(bytes.to_vec());
                }
            }
            Ok(_stranger) => {}
            // The network says that the authority cannot be reached: all who wait get SERVFAIL now.
            Err(error) if is_about_peer(&error) => lock(&waiting).clear(),
            Err(_) => return,
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
