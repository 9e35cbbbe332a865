//! dig and curl ask our servers.

use std::net::Ipv4Addr;
use std::path::Path;

use egret_core::Protocol;
use egret_core::world::{Application, Serve, World, Zone};
use egret_probe::{Server, ThisNetwork, Zones, serve, serve_authority};
use std::net::SocketAddr;
use testcontainers::bollard::Docker;

use super::image::{Image, own_address};
use super::{Result, block_on};

/// A question: what the program is told, with `ADDRESS` and `PORT` for the server's, and what it has to print.
type Question = (&'static [&'static str], &'static str);

const DIG: [Question; 5] = [
    (&["@ADDRESS", "-p", "PORT", "+short", "api.example.com", "A"], "203.0.113.1\n"),
    (
        &["@ADDRESS", "-p", "PORT", "+short", "www.example.com", "A"],
        "edge.example.net.\nhost.example.net.\n203.0.113.7\n",
    ),
    (&["@ADDRESS", "-p", "PORT", "+noall", "+comments", "gone.example.net"], "status: NXDOMAIN"),
    // Sixty addresses fit into no datagram: dig asks again over TCP.
    (&["@ADDRESS", "-p", "PORT", "+noedns", "big.example.com"], "ANSWER: 60"),
    (&["@ADDRESS", "-p", "PORT", "+tcp", "+short", "host.example.net"], "203.0.113.7\n"),
];

const CURL: [Question; 4] = [
    (&["-sS", "--fail", "http://ADDRESS:PORT/"], "x/web"),
    (
        &["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-d", "a=b", "http://ADDRESS:PORT/"],
        "200",
    ),
    // Both requests go over one connection.
    (&["-sS", "-w", "%{num_connects};", "http://ADDRESS:PORT/a", "http://ADDRESS:PORT/b"], "0;"),
    (&["-sSI", "--http1.0", "http://ADDRESS:PORT/"], "200 OK"),
];

pub(super) fn dig(path: &Path) -> Result<()> {
    ask(path, 20_053, &DIG, |at| {
        let zones = Zones::default();
        zones.set(&world())?;
        Ok(serve_authority(&ThisNetwork, at, &zones)?)
    })
}

pub(super) fn curl(path: &Path) -> Result<()> {
    ask(path, 20_080, &CURL, |at| {
        let http = Serve {
            name: None,
            port: at.port(),
            protocol: Protocol::Tcp,
            application: Application::Identity,
        };
        Ok(serve(&ThisNetwork, &[(at.ip(), http)], "x/web", &Zones::default())?)
    })
}

fn world() -> World {
    let mut world = World::default();
    let mut name = |name: &str, last: &[u8], cname: Option<&str>| {
        let addresses = last.iter().map(|last| Ipv4Addr::new(203, 0, 113, *last).into()).collect();
        let zone = Zone { addresses, cname: cname.map(str::to_owned), ttl: 60 };
        world.internet.names.insert(name.into(), zone);
    };
    name("api.example.com", &[1], None);
    name("www.example.com", &[], Some("edge.example.net"));
    name("edge.example.net", &[], Some("host.example.net"));
    name("host.example.net", &[7], None);
    name("big.example.com", &(0..60).collect::<Vec<u8>>(), None);
    world
}

/// Puts each question to a server of this process, from a container in the machine's own network.
fn ask(
    program: &Path,
    port: u16,
    questions: &[Question],
    start: impl FnOnce(SocketAddr) -> Result<Server>,
) -> Result<()> {
    block_on(async {
        let at = own_address(port);
        let _server = start(at)?;
        let image = Image::make(&Docker::connect_with_defaults()?, program, &[]).await?;
        let mut answered = Ok(());
        for (arguments, expected) in questions {
            let (address, port) = (at.ip().to_string(), at.port().to_string());
            let fill = |argument: &&str| argument.replace("ADDRESS", &address).replace("PORT", &port);
            let said = image.run(arguments.iter().map(fill).collect()).await?;
            if !said.contains(expected) {
                answered =
                    Err(format!("`{expected}` was expected of {arguments:?}, and it said: {said}").into());
                break;
            }
        }
        image.remove().await?;
        answered
    })
}
