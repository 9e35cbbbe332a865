//! Programs that are not ours and our side of the network: dig and curl ask our servers, and our clients ask dnsmasq and
//! haproxy, each program in a container with nothing but itself.
//!
//! The images are made here, from the machine's own programs and the libraries that they load. Nothing is downloaded.
//! Without a container engine, or where a program is not installed, trials are ignored by name, and fail in CI.

#[path = "programs/clients.rs"]
mod clients;
#[path = "programs/image.rs"]
mod image;
#[path = "programs/servers.rs"]
mod servers;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use testcontainers::bollard::Docker;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A program, what of it is tried, and how.
type Part = (&'static str, &'static str, fn(&Path) -> Result<()>);

const PARTS: [Part; 4] = [
    ("dig", "dig understands our servers", clients::dig),
    ("curl", "curl understands our servers", clients::curl),
    ("dnsmasq", "our clients understand dnsmasq", servers::dnsmasq),
    ("haproxy", "our clients understand haproxy", servers::haproxy),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let strict = std::env::var_os("CI").is_some_and(|value| value == "true");
    let no_engine = engine().err();
    if let Some(problem) = &no_engine {
        eprintln!("no program can run in a container: {problem}");
    }
    let mut missing = no_engine.is_some();
    let mut trial = |(program, what, part): Part| {
        let path = find(program);
        if path.is_none() {
            eprintln!("`{program}` is not installed: {what}, or do not, is not known");
        }
        missing |= path.is_none();
        let ignored = path.is_none() || no_engine.is_some();
        let run = move || {
            let path = path.ok_or("the program is not installed")?;
            part(&path).map_err(|error| Failed::from(format!("{program}: {error}")))
        };
        Trial::test(what, run).with_ignored_flag(ignored)
    };
    let trials = PARTS.into_iter().map(&mut trial).collect();
    if strict && missing {
        return ExitCode::FAILURE;
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Whether a container engine answers.
fn engine() -> Result<()> {
    block_on(async {
        Docker::connect_with_defaults()?.ping().await?;
        Ok(())
    })
}

/// Where a program is; servers stand where users do not look.
fn find(program: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let folders = std::env::split_paths(&folders).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}
