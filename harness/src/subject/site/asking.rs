//! Probes, each started when the one before is decided, ended when the datapath says that nothing will come back.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use egret_agent::{Agent, Netns};
use egret_core::flow::Flow;
use egret_core::probe::{Observation, Peer, Port, Probe, Request, Source};
use egret_core::world::{DNS_AUTHORITY, TargetPort, World};
use egret_core::{ObjectName, Protocol};
use egret_probe::{Attempt, Client, Exchange, Limits, ProbeError, Report, Resolver, Target, run};
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::LabError;
use super::join;
use super::serving::Inside;
use super::topology::Topology;

/// How long the dropped probes of a step wait together for an answer that must not come.
const GRACE: Duration = Duration::from_millis(10);

/// Tells when an agent has news.
pub(super) type Ring = AsyncFd<OwnedFd>;

/// Registers an agent with the calling thread's runtime.
///
/// # Errors
/// When the process has no descriptors left.
pub(super) fn ring(agent: &Agent) -> io::Result<Ring> {
    #![expect(unsafe_code, reason = "tokio cannot know that a descriptor stays the same")]
    let descriptor = agent.as_fd().try_clone_to_owned()?;
    // SAFETY: the descriptor is owned by the registration and is the same as long as that lives.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}

/// What a probe needs beside the client's place in the network.
pub(super) struct Plan {
    netns: Netns,
    addresses: Vec<IpAddr>,
    resolver: Option<Resolver>,
    exchange: Exchange,
    /// The client's pod, if it has an endpoint.
    endpoint: Option<ObjectName>,
}

/// A probe that is under way.
struct Running {
    attempts: Rc<RefCell<Vec<Attempt>>>,
    give_up: oneshot::Sender<()>,
    report: JoinHandle<Result<Report, ProbeError>>,
}

/// Turns a probe into addresses and sockets' places.
pub(super) fn plan(probe: &Probe, world: &World, topology: &Topology) -> Result<Plan, LabError> {
    let missing = |what: &str, name: &dyn std::fmt::Display| LabError::Missing(format!("{what} `{name}`"));
    let outside = || Some(Resolver { server: DNS_AUTHORITY, search: Vec::new(), ndots: 1 });
    let (netns, addresses, resolver, endpoint) = match &probe.from {
        Source::Pod(name) => {
            let pod = world.pods.get(name).ok_or_else(|| missing("pod", name))?;
            let netns = topology.pod(world, name).ok_or_else(|| missing("pod", name))?;
            let resolver = resolver_of(world, &name.namespace);
            (netns, pod.addresses.clone(), resolver, (!pod.host_network).then(|| name.clone()))
        }
        Source::Node(name) => {
            let node = world.nodes.get(name).ok_or_else(|| missing("node", name))?;
            let netns = topology.node(name).ok_or_else(|| missing("node", name))?;
            (netns, node.addresses.clone(), outside(), None)
        }
        Source::Address(address) => (&topology.internet, vec![*address], outside(), None),
    };
    let netns = netns.try_clone()?;
    Ok(Plan { netns, addresses, resolver, exchange: exchange(&probe.request, world)?, endpoint })
}

/// The resolver of the pods of a namespace: the cluster's DNS service, if there is one.
pub(super) fn resolver_of(world: &World, namespace: &str) -> Option<Resolver> {
    let service = world.services.get(&ObjectName::new("kube-system", "kube-dns"))?;
    Some(Resolver {
        server: SocketAddr::new(*service.cluster_ips.first()?, 53),
        search: vec![
            format!("{namespace}.svc.cluster.local"),
            "svc.cluster.local".into(),
            "cluster.local".into(),
        ],
        ndots: 5,
    })
}

fn exchange(request: &Request, world: &World) -> Result<Exchange, LabError> {
    Ok(match request {
        Request::Dns { name, record } => Exchange::Dns { name: name.clone(), record: *record },
        Request::Ping { to } => Exchange::Ping { to: target(to, world)? },
        Request::Connect { to, port, protocol, http } => {
            let expect_peer = identity(to, world);
            let port = number(to, port, *protocol, world)?;
            let to = target(to, world)?;
            match protocol {
                Protocol::Tcp => Exchange::Tcp { to, port, http: http.clone(), expect_peer },
                Protocol::Udp => Exchange::Udp { to, port, expect_peer },
                Protocol::Sctp => Exchange::Sctp { to, port },
                Protocol::Icmp | Protocol::Icmpv6 | Protocol::Other(_) => {
                    return Err(LabError::Missing(format!("port of protocol {protocol}")));
                }
            }
        }
    })
}

fn target(peer: &Peer, world: &World) -> Result<Target, LabError> {
    let first = |addresses: Option<&Vec<IpAddr>>| addresses.and_then(|list| list.first()).copied();
    let address = match peer {
        Peer::Name(name) => return Ok(Target::Name(name.clone())),
        Peer::Address(address) => Some(*address),
        Peer::Pod(name) => first(world.pods.get(name).map(|pod| &pod.addresses)),
        Peer::Service(name) => first(world.services.get(name).map(|service| &service.cluster_ips)),
        Peer::Node(name) => first(world.nodes.get(name).map(|node| &node.addresses)),
    };
    address.map(Target::Address).ok_or_else(|| LabError::Missing(format!("{peer:?}")))
}

/// The identity that must answer; `None` where several may, or nobody known has the address.
fn identity(peer: &Peer, world: &World) -> Option<String> {
    match peer {
        Peer::Pod(name) => world.pods.get(name).map(|_| name.to_string()),
        Peer::Address(address) => join::identity_at(world, *address),
        Peer::Node(_) | Peer::Service(_) => None,
        Peer::Name(name) => {
            let mut name = name.trim_end_matches('.').to_lowercase();
            // A chain of canonical names ends after as many steps as there are names.
            for _ in 0..=world.internet.names.len() {
                let zone = world.internet.names.get(&name)?;
                match &zone.cname {
                    Some(target) => name.clone_from(target),
                    None => return join::identity_at(world, *zone.addresses.first()?),
                }
            }
            None
        }
    }
}

/// The number of a port; a name is looked up where the peer has it.
fn number(peer: &Peer, port: &Port, protocol: Protocol, world: &World) -> Result<u16, LabError> {
    let name = match port {
        Port::Number(number) => return Ok(*number),
        Port::Name(name) => name,
    };
    let found = match peer {
        Peer::Pod(pod) => world
            .pods
            .get(pod)
            .and_then(|pod| {
                let mut serves = pod.serves.iter();
                serves.find(|serve| serve.protocol == protocol && serve.name.as_ref() == Some(name))
            })
            .map(|serve| serve.port),
        Peer::Service(service) => world.services.get(service).and_then(|service| {
            let mut ports = service.ports.iter();
            ports.find(|port| port.protocol == protocol && port.name.as_ref() == Some(name)).map(|port| {
                let (TargetPort::Number(_) | TargetPort::Name(_)) = port.target;
                port.port
            })
        }),
        Peer::Node(_) | Peer::Address(_) | Peer::Name(_) => None,
    };
    found.ok_or_else(|| LabError::Missing(format!("port named `{name}` at {peer:?}")))
}

/// Makes the probes of a step. `drain` takes the flows that the agents have seen since it was last asked.
///
/// Must run inside a `LocalSet`. Patient clients wait out their own time limits.
pub(super) async fn probe(
    plans: Vec<Plan>,
    rings: &[Ring],
    patient: bool,
    mut drain: impl FnMut() -> Vec<Flow>,
) -> Result<(Vec<Observation>, Vec<Flow>), LabError> {
    let mut flows = Vec::new();
    let mut reports: BTreeMap<usize, Report> = BTreeMap::new();
    // Each probe's client, and the flows that were seen while it was being decided: those are its own.
    let mut watched = Vec::new();
    let mut dropped: Vec<(usize, Running)> = Vec::new();
    for (index, plan) in plans.into_iter().enumerate() {
        let endpoint = plan.endpoint.clone();
        let seen_before = flows.len();
        let mut running = start(plan);
        match decide(&mut running, rings, &mut flows, &mut drain).await? {
            Some(report) => drop(reports.insert(index, report)),
            None => dropped.push((index, running)),
        }
        flows.extend(drain());
        watched.push((endpoint, seen_before..flows.len()));
    }
    if !patient && !dropped.is_empty() {
        // Everybody is decided; whoever was dropped has the same short time to prove the datapath wrong.
        let first_answer = Box::pin(first(dropped.iter_mut().map(|(_, running)| &mut running.report)));
        if let Ok((position, report)) = tokio::time::timeout(GRACE, first_answer).await {
            let (index, _) = dropped.swap_remove(position);
            reports.insert(index, ended(report)?);
        }
    }
    for (index, running) in dropped {
        if !patient {
            // The client is gone if it has answered in the meantime.
            let _gone = running.give_up.send(());
        }
        reports.insert(index, ended(running.report.await)?);
    }
    flows.extend(drain());
    let observations = reports
        .values()
        .zip(watched)
        .map(|(report, (endpoint, own))| {
            join::observe(endpoint.as_ref(), report, flows.get(own).unwrap_or_default())
        })
        .collect();
    flows.sort_by_key(|flow| flow.time);
    Ok((observations, flows))
}

fn start(plan: Plan) -> Running {
    let attempts = Rc::new(RefCell::new(Vec::new()));
    let (give_up, given_up) = oneshot::channel::<()>();
    let log = Rc::clone(&attempts);
    let report = tokio::task::spawn_local(async move {
        let network = Inside(plan.netns);
        let client = Client {
            network: &network,
            addresses: plan.addresses,
            resolver: plan.resolver,
            limits: Limits::default(),
        };
        let mut started = |attempt: &Attempt| log.borrow_mut().push(*attempt);
        let give_up = async {
            if given_up.await.is_err() {
                // Nobody is left who could tell: the client's own limits hold.
                pending::<()>().await;
            }
        };
        run(&client, &plan.exchange, &mut started, give_up).await
    });
    Running { attempts, give_up, report }
}

/// Waits until a probe has its outcome (`Some`), or its current packets were dropped (`None`).
async fn decide(
    running: &mut Running,
    rings: &[Ring],
    flows: &mut Vec<Flow>,
    drain: &mut impl FnMut() -> Vec<Flow>,
) -> Result<Option<Report>, LabError> {
    loop {
        tokio::select! {
            biased;
            report = &mut running.report => return ended(report).map(Some),
            () = readable(rings) => {
                let news = drain();
                let current = running.attempts.borrow().last().copied();
                let dropped = current.is_some_and(|attempt| news.iter().any(|flow| join::was_dropped(&attempt, flow)));
                flows.extend(news);
                if dropped {
                    return Ok(None);
                }
            }
        }
    }
}

/// Returns when a ring buffer has news.
pub(super) async fn readable(rings: &[Ring]) {
    let waits = rings.iter().map(|ring| {
        let wait: Pin<Box<dyn Future<Output = ()>>> = Box::pin(async {
            if let Ok(mut guard) = ring.readable().await {
                // Before the records are read, so that one that comes meanwhile wakes us again.
                guard.clear_ready();
            }
        });
        wait
    });
    first(waits).await;
}

/// The first future to end, with its position; pending for none.
async fn first<F: Future + Unpin>(futures: impl Iterator<Item = F>) -> (usize, F::Output) {
    let mut futures: Vec<F> = futures.collect();
    std::future::poll_fn(move |context| {
        for (position, future) in futures.iter_mut().enumerate() {
            if let std::task::Poll::Ready(output) = Pin::new(future).poll(context) {
                return std::task::Poll::Ready((position, output));
            }
        }
        std::task::Poll::Pending
    })
    .await
}

/// A probe's report from its task.
fn ended(report: Result<Result<Report, ProbeError>, tokio::task::JoinError>) -> Result<Report, LabError> {
    Ok(report??)
}
