//! The Internet's container where this program was built without a container engine's client: there is none.

use std::net::IpAddr;
use std::path::Path;

use egret_core::World;
use egret_core::flow::Flow;
use egret_probe::Report;

use crate::subject::SubjectError;
use crate::subject::question::Question;

/// No value of this type exists.
pub(super) enum Container {}

fn absent() -> SubjectError {
    SubjectError::Environment {
        subject: "kind",
        problem: "this program was built without the feature `docker`".into(),
        advice:
            "build it with `cargo build --release --features docker,kubernetes`, or take a release's binary"
                .into(),
    }
}

impl Container {
    #[expect(clippy::unused_async, reason = "as where there is an engine")]
    pub(super) async fn possible(
        _network: &str,
        _binary: Option<&Path>,
        _nodes: &[IpAddr],
    ) -> Result<(), SubjectError> {
        Err(absent())
    }

    #[expect(clippy::unused_async, reason = "as above")]
    pub(super) async fn launch(_network: &str, _binary: Option<&Path>) -> Result<Self, SubjectError> {
        Err(absent())
    }

    pub(super) const fn addresses(&self) -> &[IpAddr] {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "as above")]
    pub(super) async fn show(&mut self, _world: World) -> Result<(), SubjectError> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "as above")]
    pub(super) async fn ask(
        &mut self,
        _: Vec<Question>,
        _patient: bool,
    ) -> Result<Vec<Report>, SubjectError> {
        match *self {}
    }

    pub(super) fn teller(&self) -> Box<dyn Fn(Vec<Flow>)> {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "as above")]
    pub(super) async fn end(&mut self) {
        match *self {}
    }
}
