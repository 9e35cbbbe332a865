//! Each command of the plugin, with and without an agent.

use egret_agent::Netns;
use libtest_mimic::Failed;
use serde_json::{Value, json};

use super::machine::{Call, Machine};

fn call<'a>(command: &'a str, container: &'a str, netns: Option<&'a Netns>) -> Call<'a> {
    Call { command, container, netns, pod: 0, more: Value::Null }
}

fn expect_code(answer: Result<Value, Value>, code: u32) -> Result<(), Failed> {
    match answer {
        Err(failure) if failure["code"] == code && failure["msg"].is_string() => Ok(()),
        other => Err(format!("code {code} was expected: {other:?}").into()),
    }
}

fn expect_done(answer: Result<Value, Value>) -> Result<Value, Failed> {
    answer.map_err(|failure| format!("the call failed: {failure}").into())
}

pub(crate) fn commands() -> Result<(), Failed> {
    let mut machine = Machine::new(&[])?;
    machine.start()?;
    expect_done(machine.call(&call("STATUS", "", None))?)?;
    let versions = expect_done(machine.call(&call("VERSION", "", None))?)?;
    assert_eq!(versions["supportedVersions"], json!(["1.0.0", "1.1.0"]));

    let pod = Netns::new()?;
    let added = expect_done(machine.call(&call("ADD", "c-1", Some(&pod)))?)?;
    assert_eq!(added["ips"][0]["address"], "10.244.1.1/32");
    assert_eq!(added["interfaces"][1]["name"], "eth0");
    expect_code(machine.call(&call("ADD", "c-1", Some(&pod)))?, 100)?;
    let unknown = Call { pod: 99_999, ..call("ADD", "c-2", Some(&pod)) };
    expect_code(machine.call(&unknown)?, 11)?;

    let check = |more: Value| Call { more, ..call("CHECK", "c-1", Some(&pod)) };
    expect_done(machine.call(&check(json!({ "prevResult": added })))?)?;
    let other = json!({ "prevResult": { "ips": [{ "address": "10.244.1.9/32" }] } });
    expect_code(machine.call(&check(other))?, 101)?;
    expect_code(machine.call(&call("CHECK", "c-9", Some(&pod)))?, 101)?;

    // What the list names stays; everything else goes.
    let valid = |containers: Value| Call {
        more: json!({ "cni.dev/valid-attachments": containers }),
        ..call("GC", "", None)
    };
    expect_code(machine.call(&call("GC", "", None))?, 7)?;
    expect_done(machine.call(&valid(json!([{ "containerID": "c-1", "ifname": "eth0" }])))?)?;
    assert_eq!(machine.pod_links()?.len(), 1);
    expect_done(machine.call(&valid(json!([])))?)?;
    assert_eq!(machine.pod_links()?, []);
    expect_code(machine.call(&check(json!({ "prevResult": added })))?, 101)?;

    // The address is free, and given again only after others.
    let again = expect_done(machine.call(&call("ADD", "c-3", Some(&Netns::new()?)))?)?;
    assert_eq!(again["ips"][0]["address"], "10.244.1.2/32");
    expect_done(machine.call(&call("DEL", "c-3", None))?)?;
    expect_done(machine.call(&call("DEL", "c-3", None))?)?;
    assert_eq!(machine.pod_links()?, []);
    Ok(())
}

pub(crate) fn without_agent() -> Result<(), Failed> {
    let mut machine = Machine::new(&[])?;
    machine.start()?;
    let pod = Netns::new()?;
    expect_done(machine.call(&call("ADD", "c-1", Some(&pod)))?)?;
    machine.kill_agent()?;
    expect_code(machine.call(&call("STATUS", "", None))?, 50)?;
    expect_code(machine.call(&call("ADD", "c-2", Some(&Netns::new()?)))?, 11)?;
    expect_done(machine.call(&call("CHECK", "c-1", Some(&pod)))?)?;
    drop(pod);
    expect_done(machine.call(&call("DEL", "c-1", None))?)?;
    assert_eq!(machine.pod_links()?, []);
    machine.start()
}
