//! The container engine: a connection to it, and the network and containers of one run.

use std::collections::HashMap;
#[cfg(feature = "kubernetes")]
use std::net::IpAddr;
use std::net::Ipv4Addr;

use bollard::Docker as Api;
use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, Ipam, IpamConfig, NetworkCreateRequest, SystemInfo,
};
use bollard::query_parameters::{
    AttachContainerOptions, CreateContainerOptions, RemoveContainerOptions, StartContainerOptions,
};
#[cfg(feature = "kubernetes")]
use ipnet::IpNet;

use super::error::DockerError;
use super::run::Run;

/// Oldest API that was tried: Docker 20.10.
const OLDEST: (usize, usize) = (1, 41);

/// What a container may do, each with its reason; everything else is taken away. `--privileged` would also give
/// it the machine's devices.
///
/// SYS_ADMIN holds what BPF and PERFMON would give, which not every engine knows by name.
const CAPABILITIES: [(&str, &str); 4] = [
    ("NET_ADMIN", "to make links, addresses and routes, to attach programs, to proxy transparently"),
    ("SYS_ADMIN", "to make and enter the pods' network namespaces, and to load the datapath"),
    ("NET_RAW", "to send echo requests"),
    ("NET_BIND_SERVICE", "to serve ports below 1024"),
];

/// Networks for the links between containers are cut out of 198.18.0.0/15, which RFC 2544 sets aside for testing
/// and nobody routes. No packet of a case carries such an address.
const NETWORKS: u32 = 512;
/// How many of them are tried; each that is taken belongs to another run, or to somebody who tests a network.
const TRIES: u32 = 16;

/// A connection to an engine.
#[derive(Clone)]
pub(super) struct Engine {
    pub(super) api: Api,
}

impl Engine {
    /// Connects to the engine that DOCKER_HOST names, else to the one of this machine.
    ///
    /// # Errors
    /// Nobody answers there, or it is too old.
    pub(super) async fn connect() -> Result<Self, DockerError> {
        let host = host();
        let unreachable =
            |error: Error| DockerError::Unreachable { host: host.clone(), problem: causes(&error) };
        let api = Api::connect_with_host(&host).map_err(unreachable)?;
        let api = api.negotiate_version().await.map_err(unreachable)?;
        let version = api.client_version();
        if (version.major_version, version.minor_version) < OLDEST {
            return Err(DockerError::TooOld {
                found: version.to_string(),
                needed: format!("{}.{}", OLDEST.0, OLDEST.1),
            });
        }
        Ok(Self { api })
    }

    /// Whether there is something to connect to, as far as that can be seen without connecting.
    ///
    /// # Errors
    /// The engine's socket is not there.
    pub(super) fn is_there() -> Result<(), DockerError> {
        let host = host();
        match host.strip_prefix("unix://").map(std::fs::metadata) {
            Some(Err(error)) => Err(DockerError::Unreachable { problem: error.to_string(), host }),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// What the engine says of itself.
    ///
    /// # Errors
    /// The engine refused.
    pub(super) async fn info(&self) -> Result<SystemInfo, DockerError> {
        self.api.info().await.map_err(DockerError::refused("describe itself"))
    }

    /// Makes the network of a run, with IPv6 where the engine can; else gives the engine's words why it cannot.
    ///
    /// # Errors
    /// The engine refused.
    pub(super) async fn make_network(&self, run: &Run) -> Result<Option<String>, DockerError> {
        let mut refusal = None;
        for attempt in 0..TRIES {
            let number = run.number().wrapping_add(attempt);
            let mut created = self.api.create_network(network(run, number, true)).await;
            let without =
                created.as_ref().err().filter(|error| is_about_ipv6(error)).map(ToString::to_string);
            if without.is_some() {
                created = self.api.create_network(network(run, number, false)).await;
            }
            match created {
                Ok(_) => return Ok(without),
                Err(error) if error.to_string().to_lowercase().contains("overlap") => refusal = Some(error),
                Err(error) => return Err(DockerError::refused("make a network")(error)),
            }
        }
        Err(DockerError::Refused {
            what: "make a network".into(),
            problem: refusal.map(|error| error.to_string()).unwrap_or_default(),
        })
    }

    /// Makes a container of a run on a network and starts it; gives its streams.
    ///
    /// # Errors
    /// The engine refused.
    pub(super) async fn start(
        &self,
        run: &Run,
        network: &str,
        name: &str,
        image: &str,
    ) -> Result<AttachContainerResults, DockerError> {
        let what = |action: &str| format!("{action} the container `{name}`");
        let body = ContainerCreateBody {
            image: Some(image.into()),
            cmd: Some(vec!["node".into(), "serve".into()]),
            hostname: Some(name.into()),
            labels: Some(run.labels()),
            open_stdin: Some(true),
            // The stream's end is the container's end.
            stdin_once: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            host_config: Some(host_config(network)),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptions { name: Some(name.into()), ..CreateContainerOptions::default() };
        self.api.create_container(Some(options), body).await.map_err(DockerError::refused(what("make")))?;
        let options = AttachContainerOptions {
            stdin: true,
            stdout: true,
            stderr: true,
            stream: true,
            ..AttachContainerOptions::default()
        };
        let streams = self.api.attach_container(name, Some(options));
        let streams = streams.await.map_err(DockerError::refused(what("attach to")))?;
        self.api
            .start_container(name, None::<StartContainerOptions>)
            .await
            .map_err(DockerError::refused(what("start")))?;
        Ok(streams)
    }

    /// The prefixes of a network; `None` when there is no such network.
    ///
    /// # Errors
    /// The engine refused.
    #[cfg(feature = "kubernetes")]
    pub(super) async fn prefixes(&self, network: &str) -> Result<Option<Vec<IpNet>>, DockerError> {
        match self.api.inspect_network(network, None).await {
            Ok(found) => {
                let configs = found.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
                let subnets = configs.into_iter().filter_map(|config| config.subnet?.parse().ok());
                Ok(Some(subnets.collect()))
            }
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(DockerError::refused(format!("describe the network `{network}`"))(error)),
        }
    }

    /// A container's addresses on a network: an IPv4 address, an IPv6 address, or both.
    ///
    /// # Errors
    /// The engine refused, or the container has none there.
    #[cfg(feature = "kubernetes")]
    pub(super) async fn addresses(&self, name: &str, network: &str) -> Result<Vec<IpAddr>, DockerError> {
        let what = || format!("say the addresses of the container `{name}` on the network `{network}`");
        let found = self.api.inspect_container(name, None).await.map_err(DockerError::refused(what()))?;
        let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let at = networks.get(network);
        let texts = at.map(|at| [at.ip_address.as_ref(), at.global_ipv6_address.as_ref()]);
        let addresses = texts.into_iter().flatten().flatten().filter_map(|text| text.parse().ok());
        let addresses: Vec<IpAddr> = addresses.collect();
        if addresses.is_empty() {
            return Err(DockerError::Refused { what: what(), problem: "it has none".into() });
        }
        Ok(addresses)
    }

    /// Removes a container, running or not. One that is going or gone is as good as removed.
    ///
    /// # Errors
    /// The engine refused.
    pub(super) async fn remove_container(&self, name: &str) -> Result<(), DockerError> {
        let options = RemoveContainerOptions { force: true, v: true, ..RemoveContainerOptions::default() };
        match self.api.remove_container(name, Some(options)).await {
            Ok(()) => Ok(()),
            Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
            Err(error) => Err(DockerError::refused(format!("remove the container `{name}`"))(error)),
        }
    }

    /// Removes a network; one that is gone is as good as removed.
    ///
    /// # Errors
    /// The engine refused.
    pub(super) async fn remove_network(&self, name: &str) -> Result<(), DockerError> {
        match self.api.remove_network(name).await {
            Ok(()) => Ok(()),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            Err(error) => Err(DockerError::refused(format!("remove the network `{name}`"))(error)),
        }
    }
}

/// Where the engine is: what DOCKER_HOST says, else this machine.
fn host() -> String {
    std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".into())
}

/// An error with its causes: the first line of a client's error says only that a request failed.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let mut said: Vec<String> = chain.map(ToString::to_string).collect();
    said.dedup();
    said.join(": ")
}

/// What the engine is asked for: a bridge of its own for the run.
fn network(run: &Run, number: u32, ipv6: bool) -> NetworkCreateRequest {
    let prefix = |subnet| IpamConfig { subnet: Some(subnet), ..IpamConfig::default() };
    let v6 = ipv6.then(|| prefix(subnet_v6(number)));
    NetworkCreateRequest {
        name: run.network(),
        driver: Some("bridge".into()),
        labels: Some(run.labels()),
        enable_ipv6: Some(ipv6),
        ipam: Some(Ipam {
            config: Some([prefix(subnet(number))].into_iter().chain(v6).collect()),
            ..Ipam::default()
        }),
        // Nobody leaves this network, so nobody needs the machine's address. An `internal` network would
        // drop every packet with an address of a case.
        options: Some(HashMap::from([(
            "com.docker.network.bridge.enable_ip_masquerade".into(),
            "false".into(),
        )])),
        ..NetworkCreateRequest::default()
    }
}

/// Whether the engine refuses IPv6: for want of it in the machine's kernel or firewall, or of a setting of its own.
fn is_about_ipv6(error: &Error) -> bool {
    let text = error.to_string().to_lowercase();
    ["ipv6", "ip6"].iter().any(|word| text.contains(word))
}

/// The network's prefix over IPv6, of those that are for whoever wants one (RFC 4193): nobody else has it.
fn subnet_v6(number: u32) -> String {
    format!("fd65:6772:{:x}:{:x}::/64", number >> 16, number & 0xffff)
}

/// One of the networks that runs may use.
fn subnet(number: u32) -> String {
    let first = u32::from(Ipv4Addr::new(198, 18, 0, 0));
    format!("{}/24", Ipv4Addr::from(first.wrapping_add((number % NETWORKS) << 8)))
}

fn host_config(network: &str) -> HostConfig {
    let words = |capabilities: &[(&str, &str)]| {
        capabilities.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<String>>()
    };
    HostConfig {
        network_mode: Some(network.to_owned()),
        auto_remove: Some(true),
        cap_drop: Some(vec!["ALL".into()]),
        cap_add: Some(words(&CAPABILITIES)),
        // Docker's profile for AppArmor forbids to write /proc/sys/net whatever the capabilities; its filter of
        // system calls stays on, and lets pass what the capabilities allow. Where there is no AppArmor, the
        // engine takes no notice.
        security_opt: Some(vec!["apparmor=unconfined".into(), "no-new-privileges".into()]),
        // The settings of the pods' networks are written through /proc/sys.
        readonly_paths: Some(Vec::new()),
        readonly_rootfs: Some(true),
        // Standard output is the harness' stream: no copy of it on the engine's disk.
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        ..HostConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_stay_in_their_range() {
        assert_eq!(subnet(0), "198.18.0.0/24");
        assert_eq!(subnet(511), "198.19.255.0/24");
        assert_eq!(subnet(512), "198.18.0.0/24");
    }
}
