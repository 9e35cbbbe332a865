//! `cargo xtask bench`: runs benchmarks and prints their medians as a table, each group beside its fastest.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::workspace::Bench;
use crate::{process, workspace};

/// Which benchmarks run.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Names of benchmarks, `--list` shows them; without one, all
    names: Vec<String>,
    /// Print the names and run nothing
    #[arg(long)]
    list: bool,
    /// Passed on to each benchmark, for example a filter
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// One measured function.
#[derive(Debug, PartialEq)]
struct Measurement {
    group: String,
    id: String,
    /// Nanoseconds: lower bound, median and upper bound of its 95 % interval.
    nanoseconds: [f64; 3],
}

/// Runs the benchmarks one after the other, then prints what this run measured.
pub(crate) fn run(options: &Options) -> Result<()> {
    let packages = workspace::packages()?;
    let known: Vec<(&str, &Bench)> = packages
        .iter()
        .flat_map(|package| package.benches.iter().map(|bench| (package.name.as_str(), bench)))
        .collect();
    if options.list {
        known.iter().for_each(|(package, bench)| println!("{} ({package})", bench.name));
        return Ok(());
    }
    if let Some(unknown) =
        options.names.iter().find(|name| !known.iter().any(|(_, bench)| bench.name == **name))
    {
        bail!("no benchmark is called `{unknown}`: `cargo xtask bench --list`");
    }
    ensure!(!known.is_empty(), "no crate has a benchmark");
    let start = SystemTime::now();
    for (package, bench) in known {
        if options.names.is_empty() || options.names.contains(&bench.name) {
            let mut command =
                process::cargo(&["bench", "--locked", "--package", package, "--bench", &bench.name]);
            command.args(bench.features.iter().flat_map(|feature| ["--features", feature]));
            command.env("CARGO_TARGET_DIR", workspace::root().join("target"));
            process::run(command.arg("--").args(&options.arguments))?;
        }
    }
    let mut measured = Vec::new();
    collect(&workspace::root().join("target/criterion"), start, &mut measured)?;
    ensure!(!measured.is_empty(), "the benchmarks measured nothing");
    measured.sort_by(|a, b| (&a.group, &a.id).cmp(&(&b.group, &b.id)));
    print!("{}", table(&measured));
    Ok(())
}

/// Criterion leaves `<group>/<function>/new/{benchmark,estimates}.json`; older runs' files are left out.
fn collect(folder: &Path, start: SystemTime, into: &mut Vec<Measurement>) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, start, into)?;
        } else if path.ends_with("new/estimates.json") && path.metadata()?.modified()? >= start {
            let read =
                |path: PathBuf| -> Result<Value> { Ok(serde_json::from_slice(&std::fs::read(path)?)?) };
            let names = read(path.with_file_name("benchmark.json"))?;
            into.push(measurement(&names, &read(path)?).context("criterion's files changed their form")?);
        }
    }
    Ok(())
}

fn measurement(names: &Value, estimates: &Value) -> Option<Measurement> {
    let median = &estimates["median"];
    let interval = &median["confidence_interval"];
    Some(Measurement {
        group: names["group_id"].as_str()?.to_owned(),
        id: names["full_id"].as_str()?.to_owned(),
        nanoseconds: [
            interval["lower_bound"].as_f64()?,
            median["point_estimate"].as_f64()?,
            interval["upper_bound"].as_f64()?,
        ],
    })
}

/// A Markdown table; the last column is the median as a multiple of the fastest of its group.
fn table(measured: &[Measurement]) -> String {
    let mut text =
        String::from("| benchmark | median | 95 % interval | of the fastest |\n| --- | --- | --- | --- |\n");
    for Measurement { group, id, nanoseconds: [lower, median, upper] } in measured {
        let fastest = measured.iter().filter(|other| other.group == *group).map(|other| other.nanoseconds[1]);
        let ratio = median / fastest.fold(f64::INFINITY, f64::min);
        let interval = format!("{} to {}", time(*lower), time(*upper));
        text += &format!("| {id} | {} | {interval} | {ratio:.2} |\n", time(*median));
    }
    text
}

/// Three significant digits and a unit.
fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    match value {
        v if v < 10.0 => format!("{v:.2} {unit}"),
        v if v < 100.0 => format!("{v:.1} {unit}"),
        v => format!("{v:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_measurement_is_read_and_printed_beside_its_groups_fastest() {
        let read = |id: &str, median: f64| {
            let names = json!({ "group_id": "compile", "full_id": id });
            let interval = json!({ "lower_bound": median * 0.9, "upper_bound": median * 1.1 });
            let estimates =
                json!({ "median": { "point_estimate": median, "confidence_interval": interval } });
            measurement(&names, &estimates).unwrap()
        };
        let measured = [read("compile/naive", 2_500_000.0), read("compile/ours", 1_000.0)];
        assert_eq!(
            table(&measured).lines().skip(2).collect::<Vec<_>>(),
            [
                "| compile/naive | 2.50 ms | 2.25 ms to 2.75 ms | 2500.00 |",
                "| compile/ours | 1.00 µs | 900 ns to 1.10 µs | 1.00 |"
            ]
        );
    }

    #[test]
    fn files_of_another_form_are_no_measurement() {
        assert_eq!(measurement(&json!({ "group_id": "compile" }), &json!({})), None);
    }
}
