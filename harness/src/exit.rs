//! What the process says when it ends: one code per kind of ending.

use std::process::ExitCode;

/// The exit codes of every command. They are part of the command line's contract.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything that was asked for was done, and every case passed.
    Passed = 0,
    /// Some case failed.
    Failed = 1,
    /// The command line, a case or a policy is wrong; nothing was judged.
    Usage = 2,
    /// This machine cannot run the subject, or a part of it broke: never a verdict on a case.
    Environment = 3,
    /// A defect of Egret.
    Internal = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
