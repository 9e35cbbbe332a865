//! Learned names from a file: `api.github.com: [140.82.121.6]`.

use std::path::Path;

use egret_core::fqdn::Names;

use crate::case::reason;
use crate::diagnostic::Diagnostic;
use crate::source::Source;
use crate::yaml::{Entries, Located, documents};

/// Reads a mapping of names to addresses, which are then known for as long as anybody asks.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn learned(path: &Path) -> Result<Names, Vec<Diagnostic>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        vec![Diagnostic::error(format!("cannot read `{}`: {}", path.display(), reason(&error)))]
    })?;
    let source = Source::new(path, text);
    let mut names = Names::default();
    let mut problems = Vec::new();
    for document in documents(&source)? {
        let entries: Entries<Vec<Located<String>>> = document.read()?;
        for (name, addresses) in entries.0 {
            let mut parsed = Vec::new();
            for address in addresses {
                match address.value.parse() {
                    Ok(address) => parsed.push(address),
                    Err(_) => problems.push(
                        Diagnostic::error(format!("`{}` is not an address", address.value))
                            .at(address.at.in_source(&source)),
                    ),
                }
            }
            names.learn(&name.value, &parsed, u32::MAX, 0);
        }
    }
    if problems.is_empty() { Ok(names) } else { Err(problems) }
}
