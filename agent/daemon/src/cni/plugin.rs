//! What each command of the plugin does.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::IpAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::failure::Failure;
use super::invocation::{Attachment, Config, Invocation, VERSIONS};
use crate::control::client::Client;
use crate::control::{Added, ControlError, Reply, Request};
use crate::datapath;
use crate::netlink::{family, view};
use crate::netns::Netns;
use crate::node::alias::{Owner, PodKey};
use crate::node::link;

/// Does what was asked; the answer, where the command has one.
///
/// # Errors
/// The failure that the runtime is told.
pub fn run(asked: &Invocation) -> Result<Option<Value>, Failure> {
    match asked {
        Invocation::Add { config, attachment, netns, pod } => add(config, attachment, netns, pod).map(Some),
        Invocation::Del { config, attachment } => {
            let same = |owner: &Owner| is(owner, attachment);
            delete(config, same).map(|()| None)
        }
        Invocation::Check { config, attachment, netns } => check(config, attachment, netns).map(|()| None),
        Invocation::Gc(config) => collect(config).map(|()| None),
        Invocation::Status(config) => status(config).map(|()| None),
        Invocation::Version(version) => {
            Ok(Some(json!({ "cniVersion": version, "supportedVersions": VERSIONS })))
        }
    }
}

fn is(owner: &Owner, attachment: &Attachment) -> bool {
    (&owner.container, &owner.interface) == (&attachment.container, &attachment.interface)
}

fn add(config: &Config, attachment: &Attachment, path: &Path, pod: &PodKey) -> Result<Value, Failure> {
    let netns = File::open(path).map_err(|source| Failure::Netns { path: path.to_owned(), source })?;
    let request = Request::Add {
        container: attachment.container.clone(),
        interface: attachment.interface.clone(),
        pod: pod.into(),
    };
    let mut client =
        Client::connect(&config.socket()).map_err(|error| Failure::TryAgain(error.to_string()))?;
    match client.ask_with(&request, &netns) {
        Ok(Reply::Added(added)) => Ok(result(config, attachment, path, &added)),
        Ok(other) => Err(Failure::Refused(format!("the agent answers with something else: {other:?}"))),
        Err(ControlError::Refused { message, again: true }) => Err(Failure::TryAgain(message)),
        Err(ControlError::Refused { message, again: false }) => Err(Failure::Refused(message)),
        // The agent ended in the middle: whatever it had made is deleted by it or by the next `DEL`.
        Err(error) => Err(Failure::TryAgain(error.to_string())),
    }
}

/// The answer to `ADD` (section 5, "ADD Success").
fn result(config: &Config, attachment: &Attachment, path: &Path, added: &Added) -> Value {
    let addresses = added.addresses.iter().map(|address| {
        let (_, gateway) = family::way_out(*address);
        json!({ "address": told(*address), "gateway": gateway, "interface": 1 })
    });
    let routes = family::families(&added.addresses).map(|address| {
        let ((everything, length), gateway) = family::way_out(address);
        json!({ "dst": format!("{everything}/{length}"), "gw": gateway })
    });
    json!({
        "cniVersion": config.cni_version,
        "interfaces": [
            { "name": added.link, "mac": added.mac },
            { "name": attachment.interface, "mac": added.inside_mac, "sandbox": path },
        ],
        "ips": addresses.collect::<Vec<_>>(),
        "routes": routes.collect::<Vec<_>>(),
        "dns": {},
    })
}

/// An address as answers write it.
fn told(address: IpAddr) -> String {
    let (address, length) = family::alone(address);
    format!("{address}/{length}")
}

/// Deletes the links of these owners. What is gone already is as good as deleted (section 2, "DEL").
///
/// The agent is asked before and after, if there is one: before, so that an `ADD` whose plugin was killed is over,
/// and after, so that it forgets what is gone. Without one, the next agent looks for itself.
fn delete(config: &Config, whose: impl Fn(&Owner) -> bool) -> Result<(), Failure> {
    let settle = || Client::connect(&config.socket()).and_then(|mut client| client.ask(&Request::Settle));
    let agent = settle();
    let node = Netns::current().map_err(Failure::refused("find the node's network"))?;
    let found = link::find(&node).map_err(Failure::refused("look for the links of pods"))?;
    for found in found.iter().filter(|found| whose(&found.owner)) {
        link::delete(&node, &found.link).map_err(Failure::refused("delete a link"))?;
    }
    if agent.is_ok() {
        // It has ended since, or is about to look anyway.
        let _unheard = settle();
    }
    Ok(())
}

fn collect(config: &Config) -> Result<(), Failure> {
    let Some(valid) = &config.valid_attachments else {
        return Err(Failure::InvalidConfiguration("`cni.dev/valid-attachments` is missing".into()));
    };
    let valid: BTreeSet<&Attachment> = valid.iter().collect();
    delete(config, |owner| !valid.iter().any(|attachment| is(owner, attachment)))
}

fn status(config: &Config) -> Result<(), Failure> {
    let mut client =
        Client::connect(&config.socket()).map_err(|error| Failure::Unavailable(error.to_string()))?;
    client.ask(&Request::Ready).map(|_ready| ()).map_err(|error| Failure::Unavailable(error.to_string()))
}

fn check(config: &Config, attachment: &Attachment, path: &Path) -> Result<(), Failure> {
    let node = Netns::current().map_err(Failure::refused("find the node's network"))?;
    let found = link::find(&node).map_err(Failure::refused("look for the links of pods"))?;
    let found = found.iter().find(|found| is(&found.owner, attachment)).ok_or_else(|| {
        Failure::Missing(format!(
            "container `{}` has no link `{}` on this node",
            attachment.container, attachment.interface
        ))
    })?;
    let missing = |what: &str| Failure::Missing(format!("the link `{}` {what}", found.link.name));
    let programs = datapath::attached(&node, found.link.index)
        .map_err(Failure::refused("look for the programs on a pod's link"))?;
    if programs.is_none() {
        return Err(missing("has no datapath"));
    }
    if !found.link.is_up {
        return Err(missing("is down"));
    }
    let pod = File::open(path).map_err(|source| Failure::Netns { path: path.to_owned(), source })?;
    let pod = Netns::from(std::os::fd::OwnedFd::from(pod));
    let inside = link::inside(&pod, &found.owner).map_err(Failure::refused("look into the pod"))?;
    let addresses = view::addresses(&pod).map_err(Failure::refused("look into the pod"))?;
    for address in &found.owner.addresses {
        if !addresses.contains(&(inside.index, *address)) {
            return Err(missing(&format!("lacks the address {address} inside the pod")));
        }
    }
    let Some(before) = &config.prev_result else { return Ok(()) };
    let before: Vec<&str> = before
        .get("ips")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|ip| ip.get("address")?.as_str())
        .collect();
    for address in &found.owner.addresses {
        if !before.contains(&told(*address).as_str()) {
            return Err(missing(&format!("has the address {address}, which `prevResult` does not tell of")));
        }
    }
    Ok(())
}
