//! Our clients ask dnsmasq and haproxy.

use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use egret_core::probe::{Http, Outcome, Record};
use egret_probe::{Client, Exchange, Limits, Report, Resolver, Target, ThisNetwork};
use testcontainers::bollard::Docker;

use super::image::{Image, own_address};
use super::{Result, block_on};

/// How long a server may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at whether it does: nobody tells.
const PACE: Duration = Duration::from_millis(10);

/// A name and a type, with what the client sees and the addresses of the answer.
type Lookup = (&'static str, Record, Outcome, &'static [&'static str]);

const NAMES: [Lookup; 6] = [
    ("host.example.net", Record::A, Outcome::Ok, &["203.0.113.7"]),
    ("host.example.net", Record::Aaaa, Outcome::Ok, &["2001:db8::7"]),
    // Two canonical names on the way.
    ("www.example.com", Record::A, Outcome::Ok, &["203.0.113.7"]),
    ("gone.example.net", Record::A, Outcome::NxDomain, &[]),
    // The search list leads there.
    ("web", Record::A, Outcome::Ok, &["10.96.1.1"]),
    // There is no such record, and no such name.
    ("web.x.svc.cluster.local.", Record::Aaaa, Outcome::NxDomain, &[]),
];

/// So many addresses fit into no datagram: the client asks again over TCP.
const MANY: usize = 60;

const HAPROXY: &str = "\
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend web
  bind ADDRESS:PORT
  http-request deny deny_status 403 if { path_beg /secret }
  http-request redirect location / if { path_beg /moved }
  http-request return status 200 content-type text/plain string x/web hdr x-egret-peer x/web
";

/// Lookups that dnsmasq answers.
pub(super) fn dnsmasq(path: &Path) -> Result<()> {
    let at = own_address(21_053);
    let hosts: String = (1..=MANY).map(|last| format!("203.0.113.{last} big.example.com\n")).collect();
    let arguments = [
        "--no-daemon",
        "--user=root",
        "--group=",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--addn-hosts=/hosts",
        "--bind-interfaces",
        "--local=/example.net/",
        "--local=/example.com/",
        "--local=/cluster.local/",
        "--host-record=host.example.net,203.0.113.7,2001:db8::7",
        "--host-record=web.x.svc.cluster.local,10.96.1.1",
        "--cname=www.example.com,edge.example.net",
        "--cname=edge.example.net,host.example.net",
    ];
    let at_this = [format!("--listen-address={}", at.ip()), format!("--port={}", at.port())];
    let arguments = arguments.map(str::to_owned).into_iter().chain(at_this).collect();
    let users = "root:x:0:0::/:/\nnobody:x:65534:65534::/:/\n";
    serve(path, &[("/hosts", &hosts), ("/etc/passwd", users)], arguments, async {
        let client = client(at);
        for (name, record, outcome, addresses) in NAMES {
            let exchange = Exchange::Dns { name: name.into(), record };
            let seen = ask(&client, &exchange).await?;
            let addresses = addresses.iter().map(|address| Ok(address.parse()?));
            let addresses = addresses.collect::<Result<Vec<IpAddr>>>()?;
            if (&seen.outcome, &seen.addresses) != (&outcome, &addresses) {
                return Err(format!("{name} {record:?}: {seen:?}").into());
            }
        }
        let many = Exchange::Dns { name: "big.example.com".into(), record: Record::A };
        let seen = ask(&client, &many).await?;
        let over_tcp = seen.attempts.iter().any(|attempt| attempt.protocol == egret_core::Protocol::Tcp);
        if seen.addresses.len() != MANY || !over_tcp {
            return Err(format!("{MANY} addresses over TCP were expected: {seen:?}").into());
        }
        Ok(())
    })
}

/// Requests that haproxy answers.
pub(super) fn haproxy(path: &Path) -> Result<()> {
    let at = own_address(21_080);
    let config = HAPROXY.replace("ADDRESS", &at.ip().to_string()).replace("PORT", &at.port().to_string());
    let arguments = ["-db", "-f", "/haproxy.cfg"].map(str::to_owned).into();
    serve(path, &[("/haproxy.cfg", &config)], arguments, async {
        let client = client(at);
        let cases = [
            ("GET", "/", Some("x/web"), Outcome::Ok),
            ("POST", "/", Some("x/web"), Outcome::Ok),
            ("GET", "/", Some("x/other"), Outcome::WrongPeer("x/web".into())),
            ("GET", "/secret/page", None, Outcome::Http(403)),
            ("GET", "/moved", None, Outcome::Http(302)),
        ];
        for (method, path, peer, outcome) in cases {
            let http = Http { method: method.into(), path: path.into(), ..Http::default() };
            let to = Target::Address(at.ip());
            let exchange = Exchange::Tcp { to, port: at.port(), http, expect_peer: peer.map(Into::into) };
            let seen = ask(&client, &exchange).await?;
            if seen.outcome != outcome {
                return Err(format!("{method} {path}: {outcome:?} was expected: {seen:?}").into());
            }
        }
        Ok(())
    })
}

fn client(server: SocketAddr) -> Client<'static> {
    let search = ["x.svc.cluster.local", "svc.cluster.local", "cluster.local"].map(str::to_owned).into();
    Client {
        network: &ThisNetwork,
        addresses: Vec::new(),
        resolver: Some(Resolver { server, search, ndots: 5 }),
        limits: Limits::default(),
    }
}

/// Asks, and again for as long as nobody listens.
async fn ask(client: &Client<'_>, exchange: &Exchange) -> Result<Report> {
    let mut pace = tokio::time::interval(PACE);
    let asked = async {
        loop {
            pace.tick().await;
            let report = egret_probe::run(client, exchange, &mut |_| {}, pending()).await?;
            if report.outcome != Outcome::Refused {
                return Ok(report);
            }
        }
    };
    tokio::time::timeout(LISTENS_WITHIN, asked).await?
}

/// Runs the program as a server in a container while it is asked.
fn serve(
    program: &Path,
    files: &[(&str, &str)],
    arguments: Vec<String>,
    asked: impl Future<Output = Result<()>>,
) -> Result<()> {
    block_on(async {
        let image = Image::make(&Docker::connect_with_defaults()?, program, files).await?;
        let container = image.start(arguments).await?;
        let mut answered = asked.await;
        if let Err(problem) = &answered {
            let said = String::from_utf8_lossy(&container.stderr_to_vec().await?).into_owned();
            answered = Err(format!("{problem}; the server said: {said}").into());
        }
        container.rm().await?;
        image.remove().await?;
        answered
    })
}
