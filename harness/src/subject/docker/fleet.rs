//! The containers of one run: the Internet's and one for each node, and the streams to them.

use std::collections::BTreeMap;
use std::future::pending;
#[cfg(feature = "kubernetes")]
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bollard::container::{AttachContainerResults, LogOutput};
use egret_agent::netlink::Mac;
#[cfg(feature = "kubernetes")]
use egret_core::flow::Flow;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use super::engine::Engine;
use super::error::DockerError;
use super::image;
use super::interrupt;
use super::leftovers;
use super::machine;
use super::run::Run;
use super::wire::{Lines, Order, Reply, VERSION, encode};
use crate::subject::SubjectError;
use crate::subject::image::Binary;
use crate::subject::site::failed;

/// How long a container may take from its start to its first word.
const FIRST_WORD: Duration = Duration::from_secs(30);
/// Bytes of a container's last words that are shown.
const LAST_WORDS: usize = 2000;

/// Place of the Internet's container; the node in slot `n` is behind it at `n + 1`.
pub(super) const INTERNET: usize = 0;

/// The containers of a run.
pub(super) struct Fleet {
    engine: Engine,
    run: Run,
    image: String,
    /// The network that others have made, with their nodes on it; the run's own without.
    others: Option<String>,
    /// Why the network between the containers has no IPv6; nothing when it has.
    pub(super) without_ipv6: Option<String>,
    peers: Vec<Peer>,
    inbox: UnboundedReceiver<(usize, Heard)>,
    tell: UnboundedSender<(usize, Heard)>,
}

/// One container.
struct Peer {
    name: String,
    /// The containers of stopped nodes are gone, and keep their places.
    runs: bool,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    address: Mac,
    wall_offset: u64,
}

/// What comes from a container.
enum Heard {
    Reply(Reply),
    /// It is no message.
    Noise(String),
    /// The stream ended; what the container said on standard error.
    End(String),
}

impl Fleet {
    /// Makes the image, the network and the containers of the Internet and of so many nodes.
    ///
    /// # Errors
    /// The engine is not there or refuses, or a container cannot do what it is for.
    pub(super) async fn launch(nodes: usize, binary: Option<&Path>) -> Result<Self, SubjectError> {
        let mut fleet = Self::prepare(None, binary).await?;
        interrupt::watch(fleet.engine.clone(), fleet.run.id())
            .map_err(failed::<std::io::Error>("watch for signals"))?;
        fleet.without_ipv6 = fleet.engine.make_network(&fleet.run).await?;
        fleet.started(nodes).await
    }

    /// Makes the image and the Internet's container alone, on a network with nodes that others have made. Signals are
    /// the caller's to watch for.
    ///
    /// # Errors
    /// As above.
    #[cfg(feature = "kubernetes")]
    pub(super) async fn internet_for_others(
        network: &str,
        binary: Option<&Path>,
    ) -> Result<Self, SubjectError> {
        Self::prepare(Some(network.to_owned()), binary).await?.started(0).await
    }

    /// A fleet without containers.
    async fn prepare(others: Option<String>, binary: Option<&Path>) -> Result<Self, SubjectError> {
        let engine = Engine::connect().await?;
        let binary = Binary::find(binary).map_err(DockerError::from)?;
        let (info, image) = tokio::try_join!(engine.info(), image::ensure(&engine, &binary))?;
        if let Some(confined) = machine::confined(&info) {
            return Err(confined.into());
        }
        // What earlier runs left would only take names and room away; that it cannot be removed is no reason not
        // to run.
        let _left = leftovers::remove(&engine).await;
        let (tell, inbox) = mpsc::unbounded_channel();
        let (run, image, peers) = (Run::new(), image.name, Vec::new());
        Ok(Self { engine, run, image, others, without_ipv6: None, peers, inbox, tell })
    }

    async fn started(mut self, nodes: usize) -> Result<Self, SubjectError> {
        if let Err(error) = self.grow(nodes).await {
            self.end().await;
            return Err(error);
        }
        Ok(self)
    }

    /// Starts containers until there are so many nodes.
    ///
    /// # Errors
    /// As for [`Fleet::launch`].
    pub(super) async fn grow(&mut self, nodes: usize) -> Result<(), SubjectError> {
        self.start((self.peers.len()..=nodes).collect()).await
    }

    /// Starts the containers of these places, which follow on those that are there or belong to stopped nodes.
    ///
    /// # Errors
    /// As for [`Fleet::launch`].
    pub(super) async fn start(&mut self, places: Vec<usize>) -> Result<(), SubjectError> {
        let started = places.iter().map(|place| {
            let name = self.run.container(place.checked_sub(1));
            let (engine, run, image, tell) = (&self.engine, &self.run, &self.image, self.tell.clone());
            let network = self.others.clone().unwrap_or_else(|| run.network());
            async move {
                let streams = engine.start(run, &network, &name, image).await?;
                Ok::<_, DockerError>((*place, name, streams, tell))
            }
        });
        for (place, name, AttachContainerResults { output, input }, tell) in try_join_all(started).await? {
            tokio::spawn(listen(place, output, tell));
            let peer = Peer { name, runs: true, input, address: Mac::default(), wall_offset: 0 };
            match self.peers.get_mut(place) {
                Some(stopped) => *stopped = peer,
                None => self.peers.push(peer),
            }
        }
        for (place, reply) in self.replies(&places, None).await? {
            let Reply::Hello { version, address, wall_offset } = reply else {
                return Err(self.strange(place, "it did not greet").into());
            };
            if version != VERSION {
                let problem = format!("it speaks version {version}, and {VERSION} was expected");
                return Err(self.strange(place, &problem).into());
            }
            if let Some(peer) = self.peers.get_mut(place) {
                (peer.address, peer.wall_offset) = (address, wall_offset);
            }
        }
        self.introduce(&places).await
    }

    /// Tells new containers what they are.
    async fn introduce(&mut self, places: &[usize]) -> Result<(), SubjectError> {
        let address = |place: usize| self.peers.get(place).map(|peer| peer.address).unwrap_or_default();
        let internet = address(INTERNET);
        let links = places.iter().filter_map(|place| Some((place.checked_sub(1)?, address(*place))));
        let links: Vec<(usize, Mac)> = links.collect();
        let wall_offset = self.peers.first().map(|peer| peer.wall_offset).unwrap_or_default();
        let order = |place: usize| match place.checked_sub(1) {
            None if self.others.is_some() => Order::BeInternetForOthers { wall_offset },
            None => Order::BeInternet { wall_offset },
            Some(slot) => Order::BeNode { slot, internet, wall_offset },
        };
        let orders = places.iter().map(|place| (*place, order(*place))).collect();
        self.exchange(orders).await?;
        for (slot, node) in links {
            self.exchange(vec![(INTERNET, Order::Link { slot, node })]).await?;
        }
        Ok(())
    }

    /// Ends the container in a place as a machine ends that loses its power; [`Fleet::start`] makes another.
    ///
    /// # Errors
    /// The engine refused.
    pub(super) async fn stop(&mut self, place: usize) -> Result<(), SubjectError> {
        let Some(peer) = self.peers.get_mut(place).filter(|peer| peer.runs) else { return Ok(()) };
        peer.runs = false;
        self.engine.remove_container(&peer.name).await?;
        // What it said last is not about the container that may come after it.
        let _said = self.last_words(place).await;
        Ok(())
    }

    /// Places of nodes that are stopped.
    pub(super) fn stopped(&self) -> Vec<usize> {
        let peers = self.peers.iter().enumerate();
        peers.filter(|(_, peer)| !peer.runs).map(|(place, _)| place).collect()
    }

    /// Gives the same order to those of these containers that run, and returns their replies by their places.
    ///
    /// # Errors
    /// A container failed or ended.
    pub(super) async fn tell(
        &mut self,
        places: impl IntoIterator<Item = usize>,
        order: &Order,
    ) -> Result<BTreeMap<usize, Reply>, SubjectError> {
        let line = encode(order).map_err(|error| self.strange(INTERNET, &error.to_string()))?;
        let places: Vec<usize> = places.into_iter().filter(|place| self.runs(*place)).collect();
        for place in &places {
            self.write(*place, &line).await?;
        }
        self.replies(&places, None).await
    }

    /// Whether the container in a place is there.
    pub(super) fn runs(&self, place: usize) -> bool {
        self.peers.get(place).is_some_and(|peer| peer.runs)
    }

    /// How many places there are.
    pub(super) const fn len(&self) -> usize {
        self.peers.len()
    }

    /// Gives each of these containers its order; one that is asked alone hears what the others drop meanwhile.
    ///
    /// # Errors
    /// A container failed or ended.
    pub(super) async fn exchange(
        &mut self,
        orders: Vec<(usize, Order)>,
    ) -> Result<BTreeMap<usize, Reply>, SubjectError> {
        let places: Vec<usize> = orders.iter().map(|(place, _)| *place).collect();
        for (place, order) in &orders {
            let line = encode(order).map_err(|error| self.strange(*place, &error.to_string()))?;
            self.write(*place, &line).await?;
        }
        let asked = match orders.as_slice() {
            [(place, Order::Ask { .. })] => Some(*place),
            _ => None,
        };
        self.replies(&places, asked).await
    }

    async fn write(&mut self, place: usize, line: &[u8]) -> Result<(), DockerError> {
        let Some(peer) = self.peers.get_mut(place) else {
            return Err(self.strange(place, "there is no such container"));
        };
        let written = async {
            peer.input.write_all(line).await?;
            peer.input.flush().await
        };
        if let Err(error) = written.await {
            // The container's own words say why.
            let said = self.last_words(place).await.unwrap_or_else(|| format!(": {error}"));
            return Err(DockerError::Ended { name: self.name(place), said });
        }
        Ok(())
    }

    async fn last_words(&mut self, place: usize) -> Option<String> {
        while let Some((from, heard)) = self.inbox.recv().await {
            if let (true, Heard::End(said)) = (from == place, heard) {
                return Some(said);
            }
        }
        None
    }

    /// Waits for one reply from each of these containers. What others drop meanwhile is told to `asked`.
    async fn replies(
        &mut self,
        places: &[usize],
        asked: Option<usize>,
    ) -> Result<BTreeMap<usize, Reply>, SubjectError> {
        let mut replies = BTreeMap::new();
        while replies.len() < places.len() {
            // The sender beside it is held here, so the channel does not end.
            let Some((place, heard)) = self.hear(places, &replies).await? else { continue };
            if interrupt::is_interrupted() {
                // That containers end now is no news.
                pending::<()>().await;
            }
            match heard {
                Heard::Reply(Reply::Drops(drops)) => {
                    if let Some(asked) = asked.filter(|asked| *asked != place) {
                        let line = encode(&Order::Elsewhere { drops })
                            .map_err(|error| self.strange(asked, &error.to_string()))?;
                        self.write(asked, &line).await?;
                    }
                }
                Heard::Reply(Reply::Failed(failure)) => return Err(failure.at(&self.name(place))),
                Heard::Reply(reply) => drop(replies.insert(place, reply)),
                Heard::Noise(problem) => return Err(self.strange(place, &problem).into()),
                Heard::End(said) => {
                    return Err(DockerError::Ended { name: self.name(place), said }.into());
                }
            }
        }
        Ok(replies)
    }

    /// The next thing that comes; a first word is waited for with a limit.
    async fn hear(
        &mut self,
        places: &[usize],
        replies: &BTreeMap<usize, Reply>,
    ) -> Result<Option<(usize, Heard)>, DockerError> {
        let greeting = places.iter().find(|place| {
            !replies.contains_key(place) && self.peers.get(**place).is_some_and(|peer| peer.wall_offset == 0)
        });
        let Some(silent) = greeting else { return Ok(self.inbox.recv().await) };
        match tokio::time::timeout(FIRST_WORD, self.inbox.recv()).await {
            Ok(heard) => Ok(heard),
            Err(_) => {
                Err(self.strange(*silent, &format!("it was silent for {} seconds", FIRST_WORD.as_secs())))
            }
        }
    }

    /// For somebody who sees what the containers do not: tells of drops, which whoever is being asked hears of.
    #[cfg(feature = "kubernetes")]
    pub(super) fn teller(&self) -> impl Fn(Vec<Flow>) + use<> {
        let tell = self.tell.clone();
        // It comes from nowhere among the containers; nobody is there to be told once the fleet is gone.
        move |drops| drop(tell.send((usize::MAX, Heard::Reply(Reply::Drops(drops)))))
    }

    /// The address that the engine gave a container on a network that others have made.
    #[cfg(feature = "kubernetes")]
    pub(super) async fn addresses(&self, place: usize) -> Result<Vec<IpAddr>, DockerError> {
        match &self.others {
            Some(network) => self.engine.addresses(&self.name(place), network).await,
            None => Err(self.strange(place, "it has no address of its own")),
        }
    }

    fn name(&self, place: usize) -> String {
        self.peers.get(place).map(|peer| peer.name.clone()).unwrap_or_default()
    }

    /// Something that no container of this build does.
    pub(super) fn strange(&self, place: usize, problem: &str) -> DockerError {
        DockerError::Language { name: self.name(place), problem: problem.to_owned() }
    }

    /// Removes the containers and the network.
    pub(super) async fn end(&mut self) {
        if !interrupt::is_interrupted() {
            leftovers::remove_run(&self.engine, &self.run.id()).await;
        }
        if interrupt::is_interrupted() {
            // It is being done, and ends the process.
            pending::<()>().await;
        }
        self.peers.clear();
    }
}

/// Reads a container's stream until it ends.
async fn listen(
    place: usize,
    mut output: Pin<Box<dyn futures_util::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>,
    tell: UnboundedSender<(usize, Heard)>,
) {
    let mut lines = Lines::default();
    let mut said = Vec::new();
    // Nobody is there to be told once the fleet is gone.
    let say = |heard| drop(tell.send((place, heard)));
    while let Some(piece) = output.next().await {
        match piece {
            Ok(LogOutput::StdOut { message }) => match lines.take::<Reply>(&message) {
                Ok(replies) => replies.into_iter().for_each(|reply| say(Heard::Reply(reply))),
                Err(error) => say(Heard::Noise(error.to_string())),
            },
            Ok(
                LogOutput::StdErr { message } | LogOutput::Console { message } | LogOutput::StdIn { message },
            ) => {
                said.extend_from_slice(&message);
                said.drain(..said.len().saturating_sub(LAST_WORDS));
            }
            Err(error) => said.extend_from_slice(error.to_string().as_bytes()),
        }
    }
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    say(Heard::End(if said.is_empty() { said } else { format!(": {said}") }));
}
