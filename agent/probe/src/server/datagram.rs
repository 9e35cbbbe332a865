//! The identity server over UDP: every datagram gets one datagram that holds the identity.

use std::sync::Arc;

use tokio::net::UdpSocket;

use super::is_about_peer;

/// Serves until it is dropped.
pub(super) async fn run(socket: UdpSocket, identity: Arc<[u8]>) {
    let mut buffer = [0; 2048];
    loop {
        let answered = match socket.recv_from(&mut buffer).await {
            Ok((_, client)) => socket.send_to(&identity, client).await.map(drop),
            Err(error) => Err(error),
        };
        match answered {
            Ok(()) => {}
            Err(error) if is_about_peer(&error) => {}
            // The socket closes, and clients are refused from here on.
            Err(_) => return,
        }
    }
}
