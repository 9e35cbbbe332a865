//! Learned names from a file: `api.github.com: [140.82.121.6]`.

use std::path::Path;
use std::sync::Arc;

use egret_core::fqdn::Names;

use crate::diagnostic::Diagnostic;
use crate::input::open;
use crate::source::Source;
use crate::yaml::{Entries, Located, documents};

/// Reads a mapping of names to addresses, which are then known for as long as anybody asks.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn learned(path: &Path) -> Result<Names, Vec<Diagnostic>> {
    of_source(&open(path, path).map_err(|problem| vec![*problem])?)
}

/// Reads the same from its text.
///
/// # Errors
/// As for [`learned`].
pub fn of_source(source: &Arc<Source>) -> Result<Names, Vec<Diagnostic>> {
    let mut names = Names::default();
    let mut problems = Vec::new();
    for document in documents(source)? {
        let entries: Entries<Vec<Located<String>>> = document.read()?;
        for (name, addresses) in entries.0 {
            let mut parsed = Vec::new();
            for address in addresses {
                match address.value.parse() {
                    Ok(address) => parsed.push(address),
                    Err(_) => problems.push(
                        Diagnostic::error(format!("`{}` is not an address", address.value))
                            .at(address.at.in_source(source)),
                    ),
                }
            }
            names.learn(&name.value, &parsed, u32::MAX, 0);
        }
    }
    if problems.is_empty() { Ok(names) } else { Err(problems) }
}
