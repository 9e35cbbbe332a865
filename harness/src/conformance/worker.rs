//! One subject for all its trials: it lives in a thread of its own, made when the first trial asks, and runs one
//! case at a time.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::case::Loaded;
use crate::diagnostic::{Style, render_all};
use crate::event::CaseReport;
use crate::flows::Recorder;
use crate::flows::artifacts::Artifacts;
use crate::known;
use crate::run::{Options, Suite};
use crate::subject::{self, ClusterOptions, LabOptions, Model, SubjectKind};

/// A case's report, or why the subject cannot run.
type Answer = Result<CaseReport, String>;

/// A case's index, and where its answer goes.
type Request = (usize, Sender<Answer>);

/// The subject and the thread that it lives in.
pub(super) struct Worker {
    subject: &'static str,
    plan: Plan,
    thread: Mutex<Option<(Sender<Request>, JoinHandle<()>)>>,
}

#[derive(Clone)]
struct Plan {
    kind: SubjectKind,
    folder: PathBuf,
    cases: Arc<[Loaded]>,
}

impl Worker {
    /// A worker for the subject of this name; nothing is made yet.
    pub(super) fn new(kind: SubjectKind, subject: &'static str, folder: &Path, cases: Arc<[Loaded]>) -> Self {
        Self { subject, plan: Plan { kind, folder: folder.to_path_buf(), cases }, thread: Mutex::new(None) }
    }

    /// Name of the subject.
    pub(super) fn subject(&self) -> &'static str {
        self.subject
    }

    /// Runs one case and waits for its report.
    pub(super) fn run(&self, index: usize) -> Answer {
        let (answer, answered) = mpsc::channel();
        {
            let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            let (requests, _) = thread.get_or_insert_with(|| {
                let (requests, asked) = mpsc::channel();
                let plan = self.plan.clone();
                (requests, std::thread::spawn(move || plan.serve(&asked)))
            });
            // A thread that has ended drops the answer's sender, which the line below reports.
            let _ = requests.send((index, answer));
        }
        match answered.recv() {
            Ok(answer) => answer,
            Err(_) => panic!("the {} subject's thread has ended", self.subject),
        }
    }
}

/// The subject ends before the process does, so that what it holds is given back in order.
impl Drop for Worker {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((requests, thread)) = thread {
            drop(requests);
            // A panic in it has failed its trial already.
            let _ = thread.join();
        }
    }
}

impl Plan {
    fn serve(self, requests: &Receiver<Request>) {
        let mut suite = None;
        for (index, answer) in requests {
            let suite = suite.get_or_insert_with(|| self.suite());
            let answered = match suite {
                Ok(suite) => {
                    let mut recorder = Recorder::new(artifacts(), Vec::new());
                    let mut report =
                        suite.one(&self.cases[index], &mut |mut event| recorder.tell(&mut event));
                    if let Err(problem) = recorder.finish() {
                        report.result =
                            crate::compare::CaseResult::Error { step: None, problem: problem.to_string() };
                    }
                    Ok(report)
                }
                Err(reason) => Err(reason.clone()),
            };
            // The trial waits for it, unless its thread has gone with the whole run.
            let _ = answer.send(answered);
        }
    }

    fn suite(&self) -> Result<Suite, String> {
        let chosen = subject::choose(self.kind, LabOptions::default(), None, &ClusterOptions::default())
            .map_err(|error| error.to_string())?;
        let known = known::read(&self.folder, chosen.subject.name())
            .map_err(|problems| render_all(&problems, Style::Plain))?;
        let model = (!chosen.is_model).then(Model::boxed);
        Ok(Suite::new(chosen.subject, model, Options { known, ..Options::default() }))
    }
}

/// Failed cases leave their packets in Cargo's target folder, where test targets live three levels down.
fn artifacts() -> Artifacts {
    let target = std::env::current_exe().ok().and_then(|path| path.ancestors().nth(3).map(Path::to_path_buf));
    Artifacts::Failed(target.map_or_else(|| Artifacts::DEFAULT.into(), |target| target.join("egret")))
}
