//! x
use std::net::SocketAddr;
use std::sync::Arc;
use egret_core::{Protocol, flow::DnsAnswer};
/// x
pub struct Query { /// x
 pub client: SocketAddr, /// x
 pub server: SocketAddr, /// x
 pub protocol: Protocol, /// x
 pub name: String, /// x
 pub qtype: String }
/// x
pub trait DnsPolicy: Send + Sync + 'static {
 /// x
   fn judge(&self, query:&Query) -> bool;
 /// x
   fn answered(&self, query:&Query, answer: &DnsAnswer);
 /// x
   fn refused(&self, query:&Query);
}
/// x
pub struct DnsProxy;
impl DnsProxy {
/// x
 pub fn bind(_m: u32) -> std::io::Result<Self> { Ok(Self) }
/// x
 pub fn port(&self) -> u16 { 1 }
/// x
 pub async fn run(self, _p: Arc<dyn DnsPolicy>) { std::future::pending().await }
}
