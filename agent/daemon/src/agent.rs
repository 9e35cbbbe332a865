//! The owner of one node's state: what is desired becomes map entries, records become flows.

mod policy;
mod proxies;
mod state;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use egret_core::flow::Flow;
use egret_core::fqdn::Names;
use egret_core::{Desired, ObjectName};
use egret_shared::Proxy;

use crate::datapath::{Datapath, Events};
use crate::error::AgentError;
use crate::netns::Netns;

use proxies::Proxies;
use state::State;

/// The agent of one node. Dropping it ends its proxies and releases its maps and programs.
pub struct Agent {
    shared: Arc<Shared>,
    events: Events,
    netns: Netns,
    // Held for its drop: the thread that runs the node's proxies.
    _proxies: Proxies,
}

/// What the agent's thread and its proxies' thread both use.
struct Shared {
    state: Mutex<State>,
    /// Flows of the proxies that nobody has taken yet.
    requests: Mutex<Vec<Flow>>,
    /// Whom to tell of each of them.
    heard: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// The first change of the maps that failed where nobody was there to be told.
    failed: Mutex<Option<AgentError>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A poisoned lock means that a thread panicked between two map writes; what is written stays right.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an error for the next call of [`Agent::lost`].
    fn note(&self, result: Result<(), AgentError>) {
        if let Err(error) = result {
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    /// Keeps a proxy's flow until it is taken.
    fn report(&self, flow: Flow) {
        self.requests().push(flow);
        if let Some(tell) = self.heard.get() {
            tell();
        }
    }

    fn requests(&self) -> MutexGuard<'_, Vec<Flow>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    /// Takes over a loaded datapath and starts the proxies of the node whose network is `netns`.
    ///
    /// `wall_offset` is [`crate::clock::wall_offset`], read once for all agents whose flows are put in one order.
    ///
    /// # Errors
    /// When the proxies cannot listen.
    pub fn start(
        netns: &Netns,
        (datapath, events): (Datapath, Events),
        wall_offset: u64,
    ) -> Result<Self, AgentError> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(datapath, wall_offset)),
            requests: Mutex::new(Vec::new()),
            heard: OnceLock::new(),
            failed: Mutex::new(None),
        });
        let inside = netns.try_clone().map_err(AgentError::system("hold the node's network"))?;
        let proxies = Proxies::start(inside, &shared)?;
        shared.state().datapath.maps.set_proxy(Proxy::Dns, proxies.dns_port())?;
        let netns = netns.try_clone().map_err(AgentError::system("hold the node's network"))?;
        Ok(Self { shared, events, netns, _proxies: proxies })
    }

    /// Puts the programs on the node's end of a pod's link.
    ///
    /// # Errors
    /// When the interface is not there.
    pub fn attach(&mut self, interface: &str) -> Result<(), AgentError> {
        self.shared.state().datapath.attach(&self.netns, interface)
    }

    /// Puts the programs in the place of those that an earlier agent left on a link.
    ///
    /// # Errors
    /// When the interface is not there, or has none.
    pub fn replace(&mut self, interface: &str) -> Result<(), AgentError> {
        self.shared.state().datapath.replace(&self.netns, interface)
    }

    /// Lets the programs of the links that are attached or replaced from now on know IPv6 too. `false`: they do
    /// already.
    ///
    /// # Errors
    /// When the kernel refuses a program.
    pub fn add_ipv6(&mut self) -> Result<bool, AgentError> {
        self.shared.state().datapath.add_ipv6()
    }

    /// Begins with names that an earlier agent learned, and tells `keep` what is known whenever that changes, before
    /// the answer that changed it leaves.
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn keep_names(
        &mut self,
        names: Names,
        keep: impl Fn(&Names) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), AgentError> {
        self.shared.state().keep_names(names, Box::new(keep))
    }

    /// Brings a desired state into force and returns its revision: when this returns, the maps hold it.
    ///
    /// `node` is the name of this node in the desired world; `interfaces` gives the index of the node's end of each local pod's link.
    ///
    /// # Errors
    /// When a pod has no interface, or a map cannot be written.
    pub fn apply(
        &mut self,
        node: &str,
        desired: &Desired,
        interfaces: &BTreeMap<ObjectName, u32>,
    ) -> Result<u64, AgentError> {
        self.shared.state().apply(node, desired, interfaces)
    }

    /// Forgets learned names and connections; policies and the world stay as they are.
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn forget(&mut self) -> Result<(), AgentError> {
        self.shared.state().forget()
    }

    /// Moves the node's time forward: connections and learned names age by so many nanoseconds.
    ///
    /// # Errors
    /// When a map cannot be written.
    pub fn advance(&mut self, nanoseconds: u64) -> Result<(), AgentError> {
        self.shared.state().advance(nanoseconds)
    }

    /// How many nanoseconds the node's time was moved forward in all: the next agent begins with it, since deadlines
    /// of connections and names stand in that time.
    #[must_use]
    pub fn advanced(&self) -> u64 {
        self.shared.state().advanced()
    }

    /// Records every packet from now on, or only new and dropped ones.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn set_capture(&mut self, every_packet: bool) -> Result<(), AgentError> {
        self.shared.state().datapath.maps.set_capture(every_packet)
    }

    /// Takes the flows that were observed since the last call, in order of time.
    ///
    /// Numbers in records mean what they mean now: take the flows before the next [`Agent::apply`].
    pub fn drain(&mut self) -> Vec<Flow> {
        let mut flows = std::mem::take(&mut *self.shared.requests());
        let state = self.shared.state();
        while let Some(record) = self.events.next_record() {
            flows.extend(state.flow_of(&record));
        }
        drop(state);
        flows.sort_by_key(|flow| flow.time);
        flows
    }

    /// Tells of each flow of a proxy, from the proxy's thread; the descriptor tells of packets only. Only the first
    /// who asks is told.
    pub fn on_request(&self, tell: impl Fn() + Send + Sync + 'static) {
        let _another_is_told = self.shared.heard.set(Box::new(tell));
    }

    /// Records that the datapath could not hand over, since the agent started.
    ///
    /// # Errors
    /// When the map cannot be read, or a learned name could not be written since the last call.
    pub fn lost(&self) -> Result<u64, AgentError> {
        if let Some(error) = self.shared.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        self.shared.state().datapath.maps.lost()
    }

    /// Number of the last state that came into force.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.shared.state().revision
    }
}

impl AsFd for Agent {
    /// Readable when a packet was judged that somebody may be waiting for.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}
