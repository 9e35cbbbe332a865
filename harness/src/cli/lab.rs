//! `egret lab …`: the lab without a test around it.

use std::ffi::OsString;
use std::path::PathBuf;

use egret_core::ObjectName;

use super::select;
use crate::case::{Case, Loaded};
use crate::error::Error;
use crate::exit::Exit;
use crate::flows::monitor::EventType;
use crate::subject::lab::{self, LabRun};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Bring a case up to a step, and run a command of this machine inside one of its pods
    Run(Arguments),
}

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The case: its name or its file
    case: String,
    /// Last step to apply, by name; the last of the case without it
    #[arg(long)]
    step: Option<String>,
    /// Print lines of this type on standard error; may be given several times
    #[arg(long, value_enum)]
    monitor: Vec<EventType>,
    /// Command that serves in another pod meanwhile: `web=nginx -g 'daemon off;'`; may be given several times
    #[arg(long, value_name = "POD=COMMAND", value_parser = server)]
    serve: Vec<(String, String)>,
    /// Folder of the cases
    #[arg(long, default_value = select::DEFAULT_FOLDER)]
    cases: PathBuf,
    /// The pod, and the command with its arguments; a shell without a command
    #[arg(last = true, required = true, num_args = 1.., value_names = ["POD", "COMMAND"])]
    command: Vec<OsString>,
}

/// Runs the command and ends the process with its exit code.
pub(super) fn run(command: Command) -> Result<Exit, Error> {
    let Command::Run(arguments) = command;
    let loaded = select::load(&arguments.cases, std::slice::from_ref(&arguments.case))?;
    let case = only_case(&arguments.case, &loaded)?;
    let step = step_of(case, arguments.step.as_deref())?;
    let mut command = arguments.command.into_iter();
    let pod = pod_of(case, step, &command.next().unwrap_or_default().to_string_lossy())?;
    let servers = arguments.serve.into_iter().map(|(pod, command)| Ok((pod_of(case, step, &pod)?, command)));
    let servers = servers.collect::<Result<_, Error>>()?;
    let (command, monitor) = (command.collect(), arguments.monitor);
    let code = lab::run(&LabRun { case, step, pod, command, servers, monitor })?;
    std::process::exit(code.into())
}

/// `POD=COMMAND`; labels and names have no equals sign.
fn server(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(pod, command)| !pod.is_empty() && !command.trim().is_empty());
    let (pod, command) = parts.ok_or("a pod, an equals sign and a command are expected")?;
    Ok((pod.to_owned(), command.to_owned()))
}

/// The case of exactly this name, or the only one that the argument leads to.
fn only_case<'a>(wanted: &str, loaded: &'a [Loaded]) -> Result<&'a Case, Error> {
    let cases: Vec<&Case> = loaded
        .iter()
        .filter_map(|loaded| match loaded {
            Loaded::Case(case) => Some(&**case),
            Loaded::Refused { .. } => None,
        })
        .collect();
    match (cases.iter().find(|case| case.name == wanted), cases.as_slice()) {
        (Some(case), _) | (None, [case]) => Ok(case),
        (None, []) => Err(Error::OnlyRefused(wanted.to_owned())),
        (None, several) => Err(Error::Several {
            wanted: wanted.to_owned(),
            names: several.iter().map(|case| case.name.clone()).collect(),
        }),
    }
}

fn step_of(case: &Case, wanted: Option<&str>) -> Result<usize, Error> {
    let Some(wanted) = wanted else { return Ok(case.steps.len().saturating_sub(1)) };
    case.steps.iter().position(|step| step.name == wanted).ok_or_else(|| Error::NotInCase {
        kind: "step",
        wanted: wanted.to_owned(),
        case: case.name.clone(),
        there: case.steps.iter().map(|step| step.name.clone()).collect(),
    })
}

/// The pod, which must exist in the step's world.
fn pod_of(case: &Case, step: usize, wanted: &str) -> Result<ObjectName, Error> {
    let world = case.steps.get(step).map_or(&case.world, |step| &step.desired.world);
    let name = ObjectName::parse(wanted);
    if world.pods.contains_key(&name) {
        return Ok(name);
    }
    Err(Error::NotInCase {
        kind: "pod",
        wanted: wanted.to_owned(),
        case: case.name.clone(),
        there: world.pods.keys().map(ToString::to_string).collect(),
    })
}
