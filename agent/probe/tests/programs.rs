//! Programs that are not ours ask our servers: dig and curl, each in a container with nothing but itself.
//!
//! The images are made here, from the machine's own programs and the libraries that they load. Nothing is downloaded.
//! Without a container engine, or where a program is not installed, trials are ignored by name, and fail in CI.

use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use egret_core::Protocol;
use egret_core::world::{Application, Serve, World, Zone};
use egret_probe::{Server, ThisNetwork, Zones, serve, serve_authority};
use futures_util::TryStreamExt;
use libtest_mimic::{Arguments, Failed, Trial};
use testcontainers::bollard::query_parameters::{CreateImageOptions, RemoveImageOptions};
use testcontainers::bollard::{Docker, body_full};
use testcontainers::core::WaitFor;
use testcontainers::core::wait::ExitWaitStrategy;
use testcontainers::runners::AsyncRunner;
use testcontainers::{GenericImage, ImageExt};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

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

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let strict = std::env::var_os("CI").is_some_and(|value| value == "true");
    let no_engine = engine().err();
    if let Some(problem) = &no_engine {
        eprintln!("no program can ask our servers from a container: {problem}");
    }
    let mut missing = no_engine.is_some();
    let mut trial = |program: &'static str, ask: fn(&Path) -> Result<()>| {
        let path = find(program);
        if path.is_none() {
            eprintln!("`{program}` is not installed, so it cannot ask our servers");
        }
        missing |= path.is_none();
        let ignored = path.is_none() || no_engine.is_some();
        let run = move || {
            let path = path.ok_or("the program is not installed")?;
            ask(&path).map_err(|error| Failed::from(format!("{program}: {error}")))
        };
        Trial::test(format!("{program} understands our servers"), run).with_ignored_flag(ignored)
    };
    let trials = vec![trial("dig", dig), trial("curl", curl)];
    if strict && missing {
        return ExitCode::FAILURE;
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Whether a container engine answers.
fn engine() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Docker::connect_with_defaults()?.ping().await })?;
    Ok(())
}

fn find(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn dig(path: &Path) -> Result<()> {
    ask(path, 20_053, &DIG, |at| {
        let zones = Zones::default();
        zones.set(&world())?;
        Ok(serve_authority(&ThisNetwork, at, &zones)?)
    })
}

fn curl(path: &Path) -> Result<()> {
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Another loopback address for every process, so that nobody else has the port: runners may start many.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let at = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 78, high, low)), port);
        let _server = start(at)?;
        let docker = Docker::connect_with_defaults()?;
        let (name, tag) = make_image(&docker, program).await?;
        let mut answered = Ok(());
        for (arguments, expected) in questions {
            let (address, port) = (at.ip().to_string(), at.port().to_string());
            let fill = |argument: &&str| argument.replace("ADDRESS", &address).replace("PORT", &port);
            let said = run(&name, &tag, arguments.iter().map(fill).collect()).await?;
            if !said.contains(expected) {
                answered =
                    Err(format!("`{expected}` was expected of {arguments:?}, and it said: {said}").into());
                break;
            }
        }
        docker.remove_image(&format!("{name}:{tag}"), None::<RemoveImageOptions>, None).await?;
        answered
    })
}

/// Makes an image of a program, the libraries that it loads, and nothing else.
async fn make_image(docker: &Docker, program: &Path) -> Result<(String, String)> {
    let libraries = Command::new("ldd").arg(program).output()?;
    let libraries = String::from_utf8(libraries.stdout)?;
    // `libc.so.6 => /lib/libc.so.6 (0x…)` or `/lib64/ld-linux.so.2 (0x…)`.
    let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/')).map(Path::new);
    let mut archive = tar::Builder::new(Vec::new());
    for path in std::iter::once(program).chain(libraries) {
        let inside = path.strip_prefix("/")?;
        archive.append_path_with_name(std::fs::canonicalize(path)?, inside)?;
    }
    let file = program.file_name().and_then(|name| name.to_str()).ok_or("a program without a name")?;
    let (name, tag) = (format!("egret.test/{file}"), std::process::id().to_string());
    let options = CreateImageOptions {
        from_src: Some("-".into()),
        repo: Some(name.clone()),
        tag: Some(tag.clone()),
        changes: vec![format!("ENTRYPOINT [{:?}]", program.display().to_string())],
        ..CreateImageOptions::default()
    };
    let body = body_full(archive.into_inner()?.into());
    docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>().await?;
    Ok((name, tag))
}

/// Runs the image to its end; what it printed.
async fn run(name: &str, tag: &str, arguments: Vec<String>) -> Result<String> {
    let ended = ExitWaitStrategy::new().with_poll_interval(Duration::from_millis(10));
    let container = GenericImage::new(name, tag)
        .with_wait_for(WaitFor::exit(ended))
        .with_cmd(arguments)
        .with_host_config_modifier(|config| config.network_mode = Some("host".into()))
        .start()
        .await?;
    let (code, said) = (container.exit_code().await?, container.stdout_to_vec().await?);
    let complaint = container.stderr_to_vec().await?;
    container.rm().await?;
    let said = String::from_utf8(said)?;
    if code == Some(0) {
        return Ok(said);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    Err(io::Error::other(format!("it ended with {code:?}: {said}{complaint}")).into())
}
