//! What the repository holds: its root, its files and its crates, as git and cargo list them.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;
pub(crate) use crate::root::root;

/// Every file that is tracked or about to be (neither ignored nor deleted), relative to the root, ordered.
pub(crate) fn files() -> Result<Vec<String>> {
    // The owner of the checkout may be another user than root, who runs the lab's tests.
    let mut list = process::program("git");
    list.args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let bytes = process::output(&mut list).context("the list of files comes from git")?;
    let text = String::from_utf8(bytes).context("a file name is not UTF-8")?;
    let files: BTreeSet<String> =
        text.split_terminator('\0').filter(|file| root().join(file).is_file()).map(str::to_owned).collect();
    Ok(files.into_iter().collect())
}

/// One crate of the workspace as its manifest describes it.
#[derive(Debug)]
pub(crate) struct Package {
    /// The name in the manifest.
    pub name: String,
    /// Folder below the root.
    pub folder: String,
    /// Crates of this workspace that it is built from.
    pub dependencies: BTreeSet<String>,
    /// Crates of this workspace that only its tests and benchmarks use.
    pub dev_dependencies: BTreeSet<String>,
    /// Its benchmarks.
    pub benches: Vec<Bench>,
}

/// One benchmark.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Its name.
    pub name: String,
    /// Features of its crate that it needs.
    pub features: Vec<String>,
}

/// The crates of the workspace, by name.
pub(crate) fn packages() -> Result<Vec<Package>> {
    let mut metadata = process::cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_slice(&process::output(&mut metadata)?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut packages = packages.iter().map(package).collect::<Result<Vec<_>>>()?;
    packages.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(packages)
}

fn package(value: &Value) -> Result<Package> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("cargo metadata without a name");
    let manifest = text(&value["manifest_path"])?;
    let folder = Path::new(&manifest).parent().and_then(|folder| folder.strip_prefix(root()).ok());
    let list = |key: &str| value[key].as_array().cloned().unwrap_or_default();
    // A dependency of this workspace is one with a path.
    let ours = |dev: bool| -> Result<BTreeSet<String>> {
        list("dependencies")
            .iter()
            .filter(|dependency| dependency["path"].is_string() && (dependency["kind"] == "dev") == dev)
            .map(|dependency| text(&dependency["name"]))
            .collect()
    };
    let benches = list("targets");
    let bench = |target: &Value| -> Result<Bench> {
        let features = target["required-features"].as_array().into_iter().flatten().map(text);
        Ok(Bench { name: text(&target["name"])?, features: features.collect::<Result<_>>()? })
    };
    let benches = benches.iter().filter(|target| target["kind"][0] == "bench");
    Ok(Package {
        name: text(&value["name"])?,
        folder: folder.context("a crate outside the repository")?.to_string_lossy().into_owned(),
        dependencies: ours(false)?,
        dev_dependencies: ours(true)?,
        benches: benches.map(bench).collect::<Result<_>>()?,
    })
}
