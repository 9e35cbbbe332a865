//! Whether this machine can run the docker subject, and what `egret doctor` says about it.

use bollard::models::SystemInfo;

use super::engine::Engine;
use super::error::DockerError;
use super::{Docker, runtime};
use crate::subject::image::{BINARY, Binary};
use crate::subject::{Check, CheckState, LabOptions, SubjectError};

/// Whether the subject may run here, as far as that is known without asking the engine.
///
/// # Errors
/// What is missing, and how to get it.
pub fn available() -> Result<(), SubjectError> {
    Binary::find(None).map_err(DockerError::from)?;
    Ok(Engine::is_there()?)
}

/// Whether somebody has named the binary for the image, and so wants the subject to run.
#[must_use]
pub fn expected() -> bool {
    std::env::var_os(BINARY).is_some()
}

/// What the subject needs of the machine and of the engine, each thing tried for real.
#[must_use]
pub fn checks() -> Vec<Check> {
    let named = |name: &str, found: Result<String, DockerError>| match found {
        Ok(found) => Check { name: name.into(), state: CheckState::Ok, advice: found },
        Err(error) => Check {
            name: name.into(),
            state: CheckState::Missing,
            advice: format!("{error}; {}", error.advice()),
        },
    };
    let engine = match runtime() {
        Ok(runtime) => named("docker engine", runtime.block_on(engine())),
        Err(error) => {
            Check { name: "docker engine".into(), state: CheckState::Unknown, advice: error.to_string() }
        }
    };
    let image = Binary::find(None)
        .map_err(DockerError::from)
        .map(|binary| format!("its one file is {}", binary.path.display()));
    let mut checks = vec![engine, named("docker image", image)];
    if checks.iter().all(|check| check.state == CheckState::Ok) {
        checks.push(match Docker::new(LabOptions::default(), None) {
            Ok(_) => Check {
                name: "docker".into(),
                state: CheckState::Ok,
                advice: "containers, links and the datapath work: `egret test --subject docker`".into(),
            },
            Err(error) => {
                Check { name: "docker".into(), state: CheckState::Missing, advice: error.to_string() }
            }
        });
    }
    checks
}

async fn engine() -> Result<String, DockerError> {
    let engine = Engine::connect().await?;
    let info = engine.info().await?;
    let word = |word: Option<String>| word.unwrap_or_else(|| "of no known version".into());
    let groups =
        info.cgroup_version.map(|version| format!(", control groups v{version}")).unwrap_or_default();
    let about = format!(
        "Docker {}, API {}, Linux {}{groups}",
        word(info.server_version.clone()),
        engine.api.client_version(),
        word(info.kernel_version.clone()),
    );
    confined(&info).map_or(Ok(about), Err)
}

/// Why an engine cannot give its containers what they need, if that is known from what it says of itself.
pub(super) fn confined(info: &SystemInfo) -> Option<DockerError> {
    let options = info.security_options.iter().flatten();
    let how = options.map(String::as_str).find_map(|option| match option {
        "name=rootless" => Some("without root"),
        "name=userns" => Some("its containers in a user namespace"),
        _ => None,
    })?;
    Some(DockerError::Confined { how })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(&["name=seccomp,profile=default"], false)]
    #[case(&["name=seccomp,profile=default", "name=rootless"], true)]
    #[case(&["name=userns"], true)]
    #[case(&[], false)]
    fn engines_without_root(#[case] options: &[&str], #[case] expected: bool) {
        let security_options = Some(options.iter().map(|option| (*option).to_owned()).collect());
        let info = SystemInfo { security_options, ..SystemInfo::default() };
        assert_eq!(confined(&info).is_some(), expected);
    }
}
