//! The identity server over HTTP/1.1: every request gets 200, the identity in a header, and a short page.
//!
//! A client that asks to stay ([`STAY`]) gets its own words back from then on.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::{PEER_HEADER, is_about_peer};
use crate::ProbeError;

/// The protocol that a client asks for whose connection stays open (RFC 9110 section 7.8).
pub(crate) const STAY: &str = "egret-echo";

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

/// Serves until it is dropped, which closes its connections too.
pub(super) async fn run(listener: TcpListener, page: Page) {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connections.push(talk(stream, &page)),
                Err(error) if is_about_peer(&error) => {}
                // The socket closes, and clients are refused from here on.
                Err(_) => return,
            },
            // Finished connections are let go of.
            Some(()) = connections.next() => {}
        }
    }
}

/// One connection. One that breaks is the client's to report.
async fn talk(stream: TcpStream, page: &Page) {
    let staying = Mutex::new(None);
    let answer = service_fn(|mut request: Request<Incoming>| {
        let mut response = page.response();
        if request.headers().get(UPGRADE).is_some_and(|protocol| protocol == STAY) {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            *response.body_mut() = Full::default();
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            response.headers_mut().insert(UPGRADE, HeaderValue::from_static(STAY));
            *staying.lock().unwrap_or_else(PoisonError::into_inner) = Some(hyper::upgrade::on(&mut request));
        }
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).with_upgrades();
    let in_order = connection.await.is_ok();
    let stayed = staying.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(stayed) = stayed.filter(|_| in_order) {
        let _gone: Option<()> = echo(stayed).await;
    }
}

/// Says what it hears, until the client ends it.
async fn echo(stayed: OnUpgrade) -> Option<()> {
    let upgraded: Upgraded = stayed.await.ok()?;
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
    let mut stream = parts.io.into_inner();
    stream.set_nodelay(true).ok()?;
    stream.write_all(&parts.read_buf).await.ok()?;
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await.ok().map(|_| ())
}
