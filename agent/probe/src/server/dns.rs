//! DNS servers over UDP and TCP: the cluster's, and the simulated Internet's.

use std::io;
use std::sync::Arc;

use domain::base::Message;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::forward::Forward;
use super::{Zones, is_about_peer};
use crate::message::{self, Answer, Question, Transport};

/// Where a server's answers come from.
#[derive(Debug)]
pub(super) enum Answers {
    /// The cluster's services; every other name from the authority.
    Cluster(Zones, Forward),
    /// The names of the simulated Internet.
    Internet(Zones),
}

impl Answers {
    async fn to(&self, question: &Question) -> Answer {
        match self {
            Self::Internet(zones) => zones.tables().internet(question),
            Self::Cluster(zones, forward) => match zones.tables().cluster(question) {
                Some(answer) => answer,
                None => forward.ask(question).await,
            },
        }
    }

    /// The answer to a message as bytes; `None` for what no server answers.
    async fn respond(&self, bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let query = Message::from_slice(bytes).ok()?;
        // Two servers that answered answers would never stop.
        if query.header().qr() {
            return None;
        }
        let answer = match message::read_question(query) {
            Ok(question) => self.to(&question).await,
            Err(rcode) => Answer::empty(rcode),
        };
        Some(message::answer(query, &answer, transport))
    }
}

/// Serves until it is dropped. Queries run side by side, because one may wait for the authority.
pub(super) async fn run_udp(socket: UdpSocket, answers: Arc<Answers>) {
    let socket = Arc::new(socket);
    let mut queries = JoinSet::new();
    let mut buffer = [0; 4096];
    loop {
        tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, client)) => {
                    let query = buffer.get(..length).unwrap_or_default().to_vec();
                    let (socket, answers) = (Arc::clone(&socket), Arc::clone(&answers));
                    queries.spawn(async move {
                        if let Some(answer) = answers.respond(&query, Transport::Udp).await {
                            // An answer that cannot leave is a silence that the client sees.
                            let _: io::Result<usize> = socket.send_to(&answer, client).await;
                        }
                    });
                }
                Err(error) if is_about_peer(&error) => {}
                // The socket closes, and clients are refused from here on.
                Err(_) => return,
            },
            Some(_) = queries.join_next() => {}
        }
    }
}

/// Serves until it is dropped.
pub(super) async fn run_tcp(listener: TcpListener, answers: Arc<Answers>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let answers = Arc::clone(&answers);
                    connections.spawn(async move {
                        // A connection that ends or breaks is the client's to report.
                        let _: io::Result<()> = converse(stream, &answers).await;
                    });
                }
                Err(error) if is_about_peer(&error) => {}
                Err(_) => return,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Answers the queries of one connection in their order, until the client ends it.
async fn converse(mut stream: TcpStream, answers: &Answers) -> io::Result<()> {
    let mut query = Vec::new();
    loop {
        message::read_frame(&mut stream, &mut query).await?;
        let Some(answer) = answers.respond(&query, Transport::Tcp).await else {
            return Ok(());
        };
        message::write_frame(&mut stream, &answer).await?;
    }
}
