//! `cargo xtask fuzz`: runs the fuzz targets one after the other, each for a bounded time.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::{process, workspace};

/// The crate of the targets, a workspace of its own.
const FOLDER: &str = "ci/fuzz";
/// Seconds that one input may take.
const SLOW: u32 = 10;

/// Which targets run, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Names of targets, `--list` shows them; without one, all
    targets: Vec<String>,
    /// Print the names and run nothing
    #[arg(long)]
    list: bool,
    /// Seconds for each target
    #[arg(long, default_value_t = 20)]
    seconds: u32,
}

/// Runs every target whatever the others find, and fails when one found something.
pub(crate) fn run(options: &Options) -> Result<()> {
    let known = targets()?;
    if options.list {
        known.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    if let Some(unknown) = options.targets.iter().find(|name| !known.contains(name)) {
        bail!("no fuzz target is called `{unknown}`: `cargo xtask fuzz --list`");
    }
    // LibFuzzer takes 0 for "without end".
    ensure!(options.seconds > 0, "a run of 0 seconds finds nothing");
    ensure!(
        process::succeeds(&mut process::cargo(&["fuzz", "--version"])),
        "cargo-fuzz is missing: `cargo install cargo-fuzz --locked`; it also needs a C++ compiler"
    );
    let chosen = |target: &&String| options.targets.is_empty() || options.targets.contains(target);
    let mut failed = Vec::new();
    for target in known.iter().filter(chosen) {
        seed(target)?;
        if let Err(error) = fuzz(target, options.seconds) {
            eprintln!("{error:#}");
            failed.push(target.as_str());
        }
    }
    ensure!(
        failed.is_empty(),
        "fuzz: {} failed; the inputs stand in `{FOLDER}/artifacts`",
        failed.join(", ")
    );
    Ok(())
}

/// One file each, which `tidy` compares with the manifest; ordered.
fn targets() -> Result<Vec<String>> {
    let folder = format!("{FOLDER}/targets/");
    let files = workspace::files()?;
    let names = files.iter().filter_map(|file| file.strip_prefix(&folder)?.strip_suffix(".rs"));
    let names: Vec<String> = names.map(str::to_owned).collect();
    ensure!(!names.is_empty(), "`{FOLDER}` has no targets");
    Ok(names)
}

/// The pinned stable compiler suffices: what a sanitizer would add, this code forbids but for a few lines.
fn fuzz(target: &str, seconds: u32) -> Result<()> {
    let mut command = process::cargo(&["fuzz", "run", "--fuzz-dir", FOLDER, "--sanitizer", "none"]);
    command.args(["--target-dir", "target/fuzz", target, "--"]);
    command.args([format!("-max_total_time={seconds}"), format!("-timeout={SLOW}")]);
    process::run(command.args(["-max_len=4096", "-print_final_stats=1"]))
}

/// Copies the seeds to where the target also keeps what it discovers, which is not committed.
fn seed(target: &str) -> Result<()> {
    let corpus = workspace::root().join(FOLDER).join("corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let seeds = format!("{FOLDER}/seeds/{target}/");
    let files = workspace::files()?;
    let files: Vec<&String> = files.iter().filter(|file| file.starts_with(&seeds)).collect();
    ensure!(!files.is_empty(), "`{target}` has no seeds in `{seeds}`");
    for file in files {
        let path = Path::new(file);
        let text = std::fs::read_to_string(workspace::root().join(path))?;
        let bytes = match path.extension() {
            Some(extension) if extension == "hex" => {
                bytes(&text).with_context(|| format!("cannot read `{file}`"))?
            }
            _ => text.into_bytes(),
        };
        std::fs::write(corpus.join(path.file_name().unwrap_or_default()), bytes)?;
    }
    Ok(())
}

/// Bytes of a wire format: two hexadecimal digits each, blanks between them, comments behind `#`.
fn bytes(text: &str) -> Result<Vec<u8>> {
    let words = text.lines().flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
    words
        .map(|word| {
            ensure!(word.len() == 2, "`{word}` is not two digits");
            u8::from_str_radix(word, 16).with_context(|| format!("`{word}` is no byte"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_stand_two_digits_each_beside_comments() {
        assert_eq!(bytes("12 aF # 00\n# header\n\n03").unwrap(), [0x12, 0xaf, 3]);
    }

    #[test]
    fn other_words_are_refused() {
        assert!(bytes("123").is_err());
        assert!(bytes("xy").is_err());
    }
}
