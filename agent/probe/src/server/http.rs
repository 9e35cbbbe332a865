//! The identity server over HTTP/1.1: every request gets 200, the identity in a header, and a short page.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{PEER_HEADER, is_about_peer};
use crate::ProbeError;

/// What every request gets.
#[derive(Clone, Debug)]
pub(super) struct Page {
    identity: HeaderValue,
    body: Bytes,
}

impl Page {
    /// The page of the server with this identity.
    pub(super) fn new(identity: &str) -> Result<Self, ProbeError> {
        let value = HeaderValue::from_str(identity)
            .map_err(|_| ProbeError::InvalidIdentity { identity: identity.to_owned() })?;
        let body = format!("<!doctype html>\n<title>{identity}</title>\n<h1>This is {identity}</h1>\n");
        Ok(Self { identity: value, body: body.into() })
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.clone()));
        let headers = response.headers_mut();
        headers.insert(PEER_HEADER, self.identity.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        response
    }
}

/// Serves until it is dropped.
pub(super) async fn run(listener: TcpListener, page: Page) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let page = page.clone();
                    let answer = service_fn(move |_: Request<Incoming>| {
                        let response = page.response();
                        async move { Ok::<_, Infallible>(response) }
                    });
                    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                    connections.spawn(async move {
                        // A connection that breaks is the client's to report.
                        let _: Result<(), hyper::Error> = connection.await;
                    });
                }
                Err(error) if is_about_peer(&error) => {}
                // The socket closes, and clients are refused from here on.
                Err(_) => return,
            },
            // Finished connections are let go of.
            Some(_) = connections.join_next() => {}
        }
    }
}
