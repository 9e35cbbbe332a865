//! The Internet alone in a container, on a network with a cluster's nodes that others have made.

use std::net::IpAddr;
use std::path::Path;

use egret_core::World;
use egret_core::flow::Flow;
use egret_probe::Report;

use super::engine::Engine;
use super::error::DockerError;
use super::fleet::{Fleet, INTERNET};
use super::machine;
use super::wire::{Order, Settle};
use crate::subject::SubjectError;
use crate::subject::image::Binary;
use crate::subject::question::Question;

/// The Internet's container. It ends with this process; [`Outside::end`] removes it at once.
pub(in crate::subject) struct Outside {
    fleet: Fleet,
    addresses: Vec<IpAddr>,
}

impl Outside {
    /// Whether there can be one beside these nodes; nothing is made. `binary` is the image's content, else what the
    /// environment names, else this program.
    ///
    /// # Errors
    /// There is no engine, no static binary, or the nodes are not on this network of the engine's.
    pub(in crate::subject) async fn possible(
        network: &str,
        binary: Option<&Path>,
        nodes: &[IpAddr],
    ) -> Result<(), SubjectError> {
        Engine::is_there()?;
        Binary::find(binary).map_err(DockerError::from)?;
        let engine = Engine::connect().await?;
        if let Some(confined) = machine::confined(&engine.info().await?) {
            return Err(confined.into());
        }
        let prefixes = engine.prefixes(network).await?;
        let missing = |problem: String| DockerError::Elsewhere { network: network.to_owned(), problem };
        let prefixes = prefixes.ok_or_else(|| missing("there is no such network".into()))?;
        let is_on_it = |node: &&IpAddr| prefixes.iter().any(|prefix| prefix.contains(*node));
        match nodes.iter().find(|node| !is_on_it(node)) {
            Some(node) => Err(missing(format!("the node at {node} is not on it")).into()),
            None => Ok(()),
        }
    }

    /// Makes the container.
    ///
    /// # Errors
    /// The engine refuses, or the container cannot do what it is for.
    pub(in crate::subject) async fn launch(
        network: &str,
        binary: Option<&Path>,
    ) -> Result<Self, SubjectError> {
        let mut fleet = Fleet::internet_for_others(network, binary).await?;
        match fleet.addresses(INTERNET).await {
            Ok(addresses) => Ok(Self { fleet, addresses }),
            Err(error) => {
                fleet.end().await;
                Err(error.into())
            }
        }
    }

    /// Its addresses on the nodes' network, one of each family that this has.
    pub(in crate::subject) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Has these hosts and names from now on, and knows the way to these nodes and their pods.
    ///
    /// # Errors
    /// The container could not do it.
    pub(in crate::subject) async fn show(&mut self, world: World) -> Result<(), SubjectError> {
        self.fleet.tell([INTERNET], &Order::Begin { world }).await.map(drop)
    }

    /// Asks clients that are hosts of the Internet, one after the other.
    ///
    /// # Errors
    /// A client could not run.
    pub(in crate::subject) async fn ask(
        &mut self,
        questions: Vec<Question>,
        patient: bool,
    ) -> Result<Vec<Report>, SubjectError> {
        let count = questions.len();
        let questions = questions.into_iter().map(|question| (INTERNET, question)).collect();
        let (decided, _no_flows) = super::ask(&mut self.fleet, 0..0, questions, Settle { patient }).await?;
        let reports: Vec<Report> = decided.into_iter().filter_map(|decided| decided.report).collect();
        if reports.len() == count {
            Ok(reports)
        } else {
            Err(self.fleet.strange(INTERNET, "it did not report on every client").into())
        }
    }

    /// Tells a client that is being asked of drops on the nodes.
    pub(in crate::subject) fn teller(&self) -> Box<dyn Fn(Vec<Flow>)> {
        Box::new(self.fleet.teller())
    }

    /// Removes the container.
    pub(in crate::subject) async fn end(&mut self) {
        self.fleet.end().await;
    }
}
