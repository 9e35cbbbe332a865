//! `egret schema`: the JSON Schema of case files, for editors.

use crate::case;
use crate::error::Error;
use crate::exit::Exit;

#[expect(clippy::unnecessary_wraps, reason = "every command has the same shape")]
pub(super) fn run() -> Result<Exit, Error> {
    super::print(&super::json(&case::json_schema()));
    Ok(Exit::Passed)
}
