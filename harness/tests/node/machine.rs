//! A node: its network, the agent as a process on it, and the container runtime's side of the plugin.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use egret_agent::Netns;
use egret_agent::control::client::Client;
use egret_agent::control::{Request, SOCKET};
use egret_agent::netlink::view::{self, Link};
use egret_agent::netlink::{Batch, Hop, LOOPBACK, VethEnd, await_link};
use libtest_mimic::Failed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::api::{self, Families};

/// How long anything may take that comes without an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// Address of the node.
pub(crate) const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));

/// Its address over IPv6.
pub(crate) const NODE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1));

/// Address of a host outside the cluster.
pub(crate) const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));

/// Its address over IPv6.
pub(crate) const OUTSIDE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9));

/// Prefix of all pods over IPv6, of 48 bits.
const PODS_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0x244, 0, 0, 0, 0, 0));

/// A node without a cluster.
pub(crate) struct Machine {
    pub(crate) netns: Netns,
    /// What is behind the node's own link: one host, [`OUTSIDE`].
    pub(crate) outside: Netns,
    pub(crate) folder: tempfile::TempDir,
    agent: Option<Child>,
}

/// A call of the plugin.
pub(crate) struct Call<'a> {
    pub(crate) command: &'a str,
    pub(crate) container: &'a str,
    pub(crate) netns: Option<&'a Netns>,
    pub(crate) pod: usize,
    /// Keys of the configuration beside the usual ones.
    pub(crate) more: Value,
}

impl Machine {
    /// A node of a cluster with IPv4, whose agent is not started yet.
    pub(crate) fn new(policies: &[Value]) -> Result<Self, Failed> {
        Self::of(Families::V4, policies)
    }

    /// The same of a cluster with these families.
    pub(crate) fn of(families: Families, policies: &[Value]) -> Result<Self, Failed> {
        let (netns, outside) = (Netns::new()?, Netns::new()?);
        let end = |name, index| VethEnd { name, index, mac: [2, 0, 0, 0, 0, index as u8], quiet: false };
        netns.enter(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"))?;
        Batch::new()
            .up(LOOPBACK)
            .veth(&end("eth0", 2), &end("eth1", 3), outside.as_fd())
            .address(2, NODE)
            .route((OUTSIDE, 32), Hop::Link(2), Some(NODE))
            .send(&netns)?;
        Batch::new()
            .up(3)
            .address(3, OUTSIDE)
            .route((NODE, 32), Hop::Link(3), None)
            .route((IpAddr::from([10, 244, 0, 0]), 16), Hop::Via(NODE, 3), None)
            .neighbour(3, NODE, end("eth0", 2).mac)
            .send(&outside)?;
        if families != Families::V4 {
            Batch::new()
                .address(2, NODE_V6)
                .route((OUTSIDE_V6, 128), Hop::Link(2), Some(NODE_V6))
                .send(&netns)?;
            Batch::new()
                .address(3, OUTSIDE_V6)
                .route((NODE_V6, 128), Hop::Link(3), None)
                .route((PODS_V6, 48), Hop::Via(NODE_V6, 3), None)
                .neighbour(3, NODE_V6, end("eth0", 2).mac)
                .send(&outside)?;
        }
        await_link(&netns, 2)?;
        let folder = tempfile::tempdir()?;
        for name in ["bin", "conf", "run"] {
            fs::create_dir(folder.path().join(name))?;
        }
        let server = api::serve(&netns, families, policies)?;
        let configuration = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "clusters": [{ "name": "x", "cluster": { "server": format!("http://{server}") } }],
            "users": [{ "name": "x", "user": {} }],
            "contexts": [{ "name": "x", "context": { "cluster": "x", "user": "x" } }],
        });
        fs::write(folder.path().join("kubeconfig"), configuration.to_string())?;
        Ok(Self { netns, outside, folder, agent: None })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("run").join(PathBuf::from(SOCKET).file_name().unwrap_or_default())
    }

    /// Starts the agent and returns when it can link pods.
    pub(crate) fn start(&mut self) -> Result<(), Failed> {
        let log = fs::File::options().create(true).append(true).open(self.path("log"))?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_egret"));
        command
            .args(["agent", "run", "--node", "here", "--health", "127.0.0.1:9234", "--socket"])
            .arg(self.socket())
            .arg("--plugins")
            .arg(self.path("bin"))
            .arg("--configurations")
            .arg(self.path("conf"))
            .env("KUBECONFIG", self.path("kubeconfig"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.agent = Some(self.netns.enter(|| command.spawn())?);
        let started = Instant::now();
        loop {
            let ready = Client::connect(&self.socket()).and_then(|mut client| client.ask(&Request::Ready));
            if ready.is_ok() && self.path("conf/05-egret.conflist").exists() {
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                return Err(format!("the agent does not become ready: {}", self.log()).into());
            }
            std::thread::yield_now();
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// Ends the agent as a crash does.
    pub(crate) fn kill_agent(&mut self) -> Result<(), Failed> {
        if let Some(mut agent) = self.agent.take() {
            agent.kill()?;
            agent.wait()?;
        }
        Ok(())
    }

    /// Starts a call of the plugin.
    pub(crate) fn begin(&self, call: &Call<'_>) -> Result<Child, Failed> {
        let mut config = json!({
            "cniVersion": "1.1.0", "name": "egret", "type": "egret-cni", "socket": self.socket(),
        });
        if let (Some(config), Some(more)) = (config.as_object_mut(), call.more.as_object()) {
            config.extend(more.clone());
        }
        let mut command = Command::new(self.path("bin/egret-cni"));
        command
            .env_clear()
            .env("CNI_COMMAND", call.command)
            .env("CNI_CONTAINERID", call.container)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", self.path("bin"))
            .env(
                "CNI_ARGS",
                format!(
                    "K8S_POD_NAMESPACE=default;K8S_POD_NAME=pod-{0};K8S_POD_UID={1}",
                    call.pod,
                    api::uid(call.pod)
                ),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(netns) = call.netns {
            let descriptor = netns.as_fd().as_raw_fd();
            command.env("CNI_NETNS", format!("/proc/{}/fd/{descriptor}", std::process::id()));
        }
        let mut child = self.netns.enter(|| command.spawn())?;
        let mut input = child.stdin.take().ok_or("no standard input")?;
        match input.write_all(config.to_string().as_bytes()) {
            // Killed before it has read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
        Ok(child)
    }

    /// Calls the plugin and returns its answer; an error is the answer of a call that failed.
    pub(crate) fn call(&self, call: &Call<'_>) -> Result<Result<Value, Value>, Failed> {
        answer(&self.begin(call)?.wait_with_output()?)
    }

    /// Links a pod; its network and its first address.
    pub(crate) fn add(&self, pod: usize) -> Result<(Netns, IpAddr), Failed> {
        let (netns, added) = self.added(pod)?;
        let address = addresses(&added).first().copied();
        Ok((netns, address.ok_or("no address")?))
    }

    /// Links a pod; its network and the plugin's answer.
    pub(crate) fn added(&self, pod: usize) -> Result<(Netns, Value), Failed> {
        let netns = Netns::new()?;
        let container = format!("container-{pod}");
        let call =
            Call { command: "ADD", container: &container, netns: Some(&netns), pod, more: Value::Null };
        let added = self.call(&call)?.map_err(|failure| format!("ADD: {failure}"))?;
        Ok((netns, added))
    }

    /// The links of pods.
    pub(crate) fn pod_links(&self) -> io::Result<Vec<Link>> {
        Ok(view::links(&self.netns)?
            .into_iter()
            .filter(|link| !["lo", "eth0"].contains(&&*link.name))
            .collect())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A test that failed says so itself.
        let _ended = self.kill_agent();
    }
}

/// The addresses in an answer to `ADD`.
pub(crate) fn addresses(added: &Value) -> Vec<IpAddr> {
    let ips = added["ips"].as_array().into_iter().flatten();
    ips.filter_map(|ip| ip["address"].as_str()?.split('/').next()?.parse().ok()).collect()
}

/// What a call that has ended says.
pub(crate) fn answer(output: &Output) -> Result<Result<Value, Value>, Failed> {
    let text = String::from_utf8_lossy(&output.stdout);
    let value = if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? };
    match output.status.code() {
        Some(0) => Ok(Ok(value)),
        Some(_) => Ok(Err(value)),
        None => Err(format!("the plugin was killed: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Ends a process as a runtime does that has no more patience.
pub(crate) fn kill_now(child: &mut Child) -> Result<(), Failed> {
    // One that has ended by itself cannot be killed.
    let _ended = kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGKILL);
    child.wait()?;
    Ok(())
}
