//! Which cases a command is about.

use std::path::Path;

use crate::case::{self, Loaded};
use crate::error::Error;

/// Folder of the cases when `--cases` does not name one.
pub(super) const DEFAULT_FOLDER: &str = "cases";

/// Reads the cases that the arguments lead to (see [`case::find`]); all cases of the folder without arguments.
pub(super) fn load(folder: &Path, arguments: &[String]) -> Result<Vec<Loaded>, Error> {
    case::find(folder, arguments).and_then(|found| case::load(&found)).map_err(Error::Input)
}
