//! What the harness and a site in a container say to each other: JSON, one document a line.

use std::io;

use egret_agent::netlink::Mac;
use egret_core::flow::Flow;
use egret_core::{Desired, World};
use egret_probe::Report;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::case::StepEvent;
use crate::subject::SubjectError;
use crate::subject::join::Decided;
use crate::subject::question::Question;

/// Version of everything below; raised with each change. Both sides are one binary unless somebody mixed images.
pub(super) const VERSION: u32 = 4;

/// Longest line in bytes: more than the flows of the largest step.
const LONGEST: usize = 256 * 1024 * 1024;

/// What the harness asks for. Each but the drops is answered by one [`Reply`], in order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Be the Internet.
    BeInternet {
        /// The offset that every agent of the run shares.
        wall_offset: u64,
    },
    /// Be the Internet on a network with nodes that others have made.
    BeInternetForOthers {
        /// As above.
        wall_offset: u64,
    },
    /// Be a node.
    BeNode {
        /// Its place in the order of the nodes.
        slot: usize,
        /// Hardware address of the Internet's container.
        internet: Mac,
        /// The offset that every agent of the run shares.
        wall_offset: u64,
    },
    /// To the Internet: the node in a slot, also in place of one that was there before.
    Link {
        /// Its place in the order of the nodes.
        slot: usize,
        /// Hardware address of its container.
        node: Mac,
    },
    /// Bring a world up, without policies.
    Begin {
        /// The world.
        world: World,
    },
    /// Bring a step's state into force.
    Apply {
        /// The state.
        desired: Box<Desired>,
        /// Changes that are no state.
        events: Vec<StepEvent>,
    },
    /// Ask clients of this site, one after the other.
    Ask {
        /// Place of the first question among those of the step.
        first: usize,
        /// The questions.
        questions: Vec<Question>,
        /// Given where no other site has a part in the step: it is over with the last of them.
        settle: Option<Settle>,
    },
    /// Drops that another site has seen.
    Elsewhere {
        /// The flows.
        drops: Vec<Flow>,
    },
    /// End the clients whose packets were dropped, and hand over the flows since the last time.
    Settle(Settle),
}

/// How a step ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Settle {
    /// Clients wait out their own time limits.
    pub(super) patient: bool,
}

/// What a site answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The first line of every site, unasked.
    Hello {
        /// [`VERSION`] of the site.
        version: u32,
        /// Hardware address of its container.
        address: Mac,
        /// Its offset between the two clocks.
        wall_offset: u64,
    },
    /// It is done.
    Done,
    /// A state is in force.
    Applied {
        /// The highest revision here; 0 without nodes.
        revision: u64,
        /// Flows from before it.
        flows: Vec<Flow>,
    },
    /// Every question is decided.
    Decided {
        /// In the order of the questions.
        decided: Vec<Decided>,
        /// Given where the step was to be over.
        settled: Option<Settled>,
    },
    /// The step is over.
    Settled(Settled),
    /// Packets were dropped here just now; unasked.
    Drops(Vec<Flow>),
    /// It could not be done.
    Failed(Failure),
}

/// What a site has at the end of a step.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Settled {
    /// Of the clients that were told last, with their places among the questions of the step.
    pub(super) reports: Vec<(usize, Report)>,
    /// In order of time.
    pub(super) flows: Vec<Flow>,
}

/// Why a site could not do something.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    /// A part of the case could not run.
    Run {
        /// What was being done.
        what: String,
        /// What went wrong.
        problem: String,
    },
    /// Records were lost.
    FlowsLost {
        /// How many.
        count: u64,
    },
}

impl From<SubjectError> for Failure {
    fn from(error: SubjectError) -> Self {
        match error {
            SubjectError::Run { what, problem } => Self::Run { what, problem },
            SubjectError::FlowsLost { count } => Self::FlowsLost { count },
            SubjectError::Environment { .. } => {
                Self::Run { what: "run a site".into(), problem: error.to_string() }
            }
        }
    }
}

impl Failure {
    /// The subject's error; `who` names the container.
    pub(super) fn at(self, who: &str) -> SubjectError {
        match self {
            Self::Run { what, problem } => SubjectError::Run { what: format!("{who}: {what}"), problem },
            Self::FlowsLost { count } => SubjectError::FlowsLost { count },
        }
    }
}

/// A message as one line.
pub(super) fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Puts what comes in pieces together to lines.
#[derive(Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes a piece and gives the messages that it completes.
    ///
    /// # Errors
    /// What is no message, and a line that is too long.
    pub(super) fn take<T: DeserializeOwned>(&mut self, mut piece: &[u8]) -> io::Result<Vec<T>> {
        let mut messages = Vec::new();
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            let (rest_of_line, behind) = piece.split_at(end);
            self.begun.extend_from_slice(rest_of_line);
            messages.push(serde_json::from_slice(&self.begun)?);
            self.begun.clear();
            piece = behind.get(1..).unwrap_or_default();
        }
        if self.begun.len().saturating_add(piece.len()) > LONGEST {
            return Err(io::Error::other(format!("a message is longer than {LONGEST} bytes")));
        }
        self.begun.extend_from_slice(piece);
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_in_any_pieces(texts in prop::collection::vec(".{0,20}", 0..6), size in 1..9_usize) {
            let mut bytes = Vec::new();
            for text in &texts {
                bytes.extend(encode(text).unwrap());
            }
            let mut lines = Lines::default();
            let mut read: Vec<String> = Vec::new();
            for piece in bytes.chunks(size) {
                read.extend(lines.take::<String>(piece).unwrap());
            }
            prop_assert_eq!(read, texts);
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        assert!(Lines::default().take::<Order>(b"{\"Dance\":null}\n").is_err());
    }
}
