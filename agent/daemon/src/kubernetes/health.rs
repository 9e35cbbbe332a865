//! `/healthz` and `/readyz` for the kubelet.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::daemon::Daemon;

/// Serves until it is dropped.
pub(super) async fn run(listener: TcpListener, daemon: Rc<Daemon>) {
    loop {
        // A probe that gave up before it was heard is the kubelet's to repeat.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let daemon = Rc::clone(&daemon);
        tokio::task::spawn_local(async move {
            let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
                let answer = answer(request.uri().path(), &daemon);
                async move { Ok::<_, Infallible>(answer) }
            });
            // As above.
            let _given_up = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn answer(path: &str, daemon: &Daemon) -> Response<Full<Bytes>> {
    let (status, text) = match path {
        "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => match daemon.unready() {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        },
        _ => (StatusCode::NOT_FOUND, "there are /healthz and /readyz\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response
}

/// Listens for the kubelet.
///
/// # Errors
/// When the port is taken.
pub(super) async fn listen(at: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(at).await
}
