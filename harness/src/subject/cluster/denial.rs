//! How a plugin says no. Some drop what no policy allows, and some refuse it, as iptables' REJECT does: neither the API nor
//! a case says which. For a client a refusal looks like a server that is not there, so it counts as the plugin's where
//! somebody would answer if there were no policies.

use egret_core::model::Model;
use egret_core::probe::{Observation, Outcome, Probe};
use egret_core::{Desired, World};

/// The case's world without policies.
#[derive(Default)]
pub(super) struct Denial {
    open: Model,
}

impl Denial {
    /// Takes over the world of a case's step.
    pub(super) fn of_world(&mut self, world: &World) {
        self.open.apply(&Desired { world: world.clone(), ..Desired::default() });
    }

    /// What a client saw of a plugin that refuses what it denies, as it would have seen silence.
    pub(super) fn as_silence(&mut self, probe: &Probe, seen: Observation) -> Observation {
        if is_refusal(&seen.client) && self.open.probe(probe).client == Outcome::Ok {
            return Observation { client: Outcome::Timeout, ..seen };
        }
        seen
    }
}

/// Whether a client was told that it cannot have what it asks for: by ICMP, or by a reset.
pub(super) const fn is_refusal(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused | Outcome::Unreachable | Outcome::Reset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use egret_core::probe::{Http, Peer, Port, Request, Source};
    use egret_core::world::{Application, Node, Pod, Serve};
    use egret_core::{ObjectName, Protocol};
    use rstest::rstest;

    #[rstest]
    #[case::refused_though_somebody_serves(80, Outcome::Refused, Outcome::Timeout)]
    #[case::reset_though_somebody_serves(80, Outcome::Reset, Outcome::Timeout)]
    #[case::no_way_though_somebody_serves(80, Outcome::Unreachable, Outcome::Timeout)]
    #[case::refused_where_nobody_serves(81, Outcome::Refused, Outcome::Refused)]
    #[case::an_answer(80, Outcome::Ok, Outcome::Ok)]
    #[case::silence_where_nobody_serves(81, Outcome::Timeout, Outcome::Timeout)]
    #[case::a_wrong_answer(80, Outcome::WrongPeer("x/c".into()), Outcome::WrongPeer("x/c".into()))]
    fn a_refusal_is_the_plugins_where_somebody_serves(
        #[case] port: u16,
        #[case] seen: Outcome,
        #[case] read: Outcome,
    ) {
        let serves =
            Serve { name: None, port: 80, protocol: Protocol::Tcp, application: Application::Identity };
        let pod = |last: u8| Pod {
            addresses: vec![[10, 0, 1, last].into()],
            node: "n".into(),
            serves: vec![serves.clone()],
            ..Pod::default()
        };
        let name = |name: &str| ObjectName::new("x", name);
        let world = World {
            nodes: [("n".to_owned(), Node { addresses: vec![[192, 0, 2, 1].into()], ..Node::default() })]
                .into(),
            namespaces: [("x".to_owned(), Default::default())].into(),
            pods: [(name("a").into(), pod(1)), (name("b").into(), pod(2))].into(),
            ..World::default()
        };
        let mut denial = Denial::default();
        denial.of_world(&world);
        let request = Request::Connect {
            to: Peer::Pod(name("b")),
            port: Port::Number(port),
            protocol: Protocol::Tcp,
            http: Http::default(),
        };
        let probe = Probe { from: Source::Pod(name("a")), request };
        let observed = |client| Observation { client, egress: None, ingress: None, addresses: Vec::new() };
        assert_eq!(denial.as_silence(&probe, observed(seen)), observed(read));
    }
}
