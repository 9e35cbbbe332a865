//! `egret test`: the selected cases on one subject, and the reports.

use std::collections::BTreeSet;
use std::path::PathBuf;

use egret_core::rule::Dialect;

use super::{DialectWord, select};
use crate::case::{Capability, Loaded};
use crate::error::Error;
use crate::event::RunReport;
use crate::exit::Exit;
use crate::flows::Recorder;
use crate::flows::artifacts::Artifacts;
use crate::flows::monitor::EventType;
use crate::known;
use crate::report::terminal::Terminal;
use crate::report::{self, Target, github};
use crate::run::{Options, Suite};
use crate::subject::{self, ClusterOptions, LabOptions, SubjectKind};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Paths, or parts of names; all cases without one
    filters: Vec<String>,
    /// What runs the cases
    #[arg(long, value_enum, default_value_t)]
    subject: SubjectKind,
    /// Folder of the cases
    #[arg(long, default_value = select::DEFAULT_FOLDER)]
    cases: PathBuf,
    /// Wait out the clients' real time-outs
    #[arg(long)]
    patient: bool,
    /// Write a report: junit, json or markdown; may be given several times
    #[arg(long, value_name = "FORMAT=FILE")]
    report: Vec<Target>,
    /// Folder for every case's packets and flows; failed cases alone leave theirs in target/egret without it
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Print lines of this type on standard error; may be given several times
    #[arg(long, value_enum, value_name = "TYPE")]
    monitor: Vec<EventType>,
    /// Fail, rather than skip, cases that need this capability; may be given several times
    #[arg(long, value_name = "CAPABILITY", value_parser = capability)]
    require: Vec<Capability>,
    /// List of known failures, as those in the cases' folder known/; without it, the subject's own there
    #[arg(long, value_name = "FILE")]
    known: Option<PathBuf>,
    /// Subjects kind and cluster: context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Subjects kind and cluster: what stands before the names of the cases' namespaces
    #[arg(long, value_name = "P")]
    prefix: Option<String>,
    /// Subjects kind and cluster: image of the pods; it has to be on the nodes
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Subjects docker and kind: static program for the image; the one that EGRET_IMAGE_BINARY names, or this one, without
    #[arg(long, value_name = "PATH")]
    image_binary: Option<PathBuf>,
    /// Subject kind: the container engine's network with the cluster's nodes, for hosts outside the cluster
    #[arg(long, value_name = "NAME", default_value = ClusterOptions::NETWORK)]
    network: String,
    /// Whose reading of the policies holds, whatever the cases say
    #[arg(long, value_enum)]
    dialect: Option<DialectWord>,
}

pub(super) fn run(arguments: Arguments) -> Result<Exit, Error> {
    let mut cases = select::load(&arguments.cases, &arguments.filters)?;
    if let Some(dialect) = arguments.dialect {
        read_as(&mut cases, dialect.into());
    }
    let patient = arguments.patient;
    let cluster = ClusterOptions {
        context: arguments.context,
        prefix: arguments.prefix,
        image: arguments.image,
        patient,
        network: arguments.network,
        binary: arguments.image_binary.clone(),
    };
    let binary = arguments.image_binary.as_deref();
    let chosen = subject::choose(arguments.subject, LabOptions { patient }, binary, &cluster)?;
    let options = Options {
        require: arguments.require.into_iter().collect::<BTreeSet<_>>(),
        known: match &arguments.known {
            Some(path) => known::read_file(path),
            None => known::read(&arguments.cases, chosen.subject.name()),
        }
        .map_err(Error::Input)?,
    };
    let artifacts = match arguments.artifacts {
        Some(folder) => Artifacts::All(folder),
        None => Artifacts::Failed(Artifacts::DEFAULT.into()),
    };
    // Monitor lines go where the bar would be drawn.
    let mut terminal = Terminal::new(arguments.monitor.is_empty());
    let mut recorder = Recorder::new(artifacts, arguments.monitor);
    let model = (!chosen.is_model).then(subject::Model::boxed);
    let report = Suite::new(chosen.subject, model, options).run(&cases, chosen.note, &mut |mut event| {
        recorder.tell(&mut event);
        terminal.tell(&event);
    });
    github::Job::from_environment().report(&report)?;
    arguments.report.iter().try_for_each(|target| report::write(target, &report))?;
    recorder.finish()?;
    Ok(exit(&report))
}

/// A failed case outweighs one that could not run: it is a finding, whatever else broke.
fn exit(report: &RunReport) -> Exit {
    match (report.failed(), report.errors()) {
        (0, 0) => Exit::Passed,
        (0, _) => Exit::Environment,
        _ => Exit::Failed,
    }
}

fn read_as(cases: &mut [Loaded], dialect: Dialect) {
    for loaded in cases {
        match loaded {
            Loaded::Case(case) => {
                case.steps.iter_mut().for_each(|step| step.desired.dialect = dialect);
            }
            Loaded::Refused { .. } => {}
        }
    }
}

fn capability(word: &str) -> Result<Capability, String> {
    Capability::parse(word).ok_or_else(|| {
        let words: Vec<&str> = Capability::ALL.iter().map(|capability| capability.word()).collect();
        format!("not a capability; there are {}", words.join(", "))
    })
}
