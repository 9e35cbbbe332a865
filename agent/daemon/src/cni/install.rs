//! The plugin's file and the network's configuration, put in place so that nobody ever sees half of either.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde_json::json;

use super::PLUGIN;
use super::invocation::VERSIONS;

/// Name of the configuration: before all others, so that runtimes take it.
pub const CONFLIST: &str = "05-egret.conflist";

/// Copies the running binary into the runtime's folder of plugins.
///
/// # Errors
/// When the folder cannot be written.
pub fn plugin(folder: &Path) -> io::Result<()> {
    let binary = fs::read("/proc/self/exe")?;
    replace(&folder.join(PLUGIN), &binary, 0o755)
}

/// Writes the network's configuration: from then on the runtime links pods.
///
/// # Errors
/// When the folder cannot be written.
pub fn conflist(folder: &Path, socket: &Path) -> io::Result<()> {
    let [oldest, ..] = VERSIONS;
    let conflist = json!({
        // Runtimes of before specification 1.1 read the first key, later ones the second.
        "cniVersion": oldest,
        "cniVersions": VERSIONS,
        "name": "egret",
        "plugins": [{ "type": PLUGIN, "socket": socket }],
    });
    replace(&folder.join(CONFLIST), conflist.to_string().as_bytes(), 0o644)
}

/// Writes a file beside its place, and moves it there when it is whole.
///
/// # Errors
/// When the folder cannot be written; nothing is left in it then.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    // Without the ending that runtimes look for, and with the same name every time: at most one is ever left.
    let beside = path.with_file_name(format!(".{name}.new"));
    let write = || {
        let mut file =
            fs::OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&beside)?;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        // The error to tell is the first one.
        let _not_there = fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_appear_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        replace(&path, b"old", 0o644).unwrap();
        replace(&path, b"new", 0o755).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // A folder in its place cannot be replaced by a file.
        fs::create_dir(folder.path().join("y")).unwrap();
        fs::write(folder.path().join("y/full"), "").unwrap();
        assert!(replace(&folder.path().join("y"), b"new", 0o644).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_configuration_is_what_runtimes_read() {
        let folder = tempfile::tempdir().unwrap();
        conflist(folder.path(), Path::new("/run/egret/agent.sock")).unwrap();
        let text = fs::read_to_string(folder.path().join(CONFLIST)).unwrap();
        assert_eq!(
            text,
            r#"{"cniVersion":"1.0.0","cniVersions":["1.0.0","1.1.0"],"name":"egret","plugins":[{"type":"egret-cni","socket":"/run/egret/agent.sock"}]}"#
        );
    }
}
