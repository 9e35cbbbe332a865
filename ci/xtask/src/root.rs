//! Where the repository is.

use std::path::Path;

/// The repository's root: this crate's folder is two levels below it.
pub(crate) fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}
