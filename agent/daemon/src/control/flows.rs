//! The newest flows of a node, each with the revision under which it was observed.

use std::collections::VecDeque;
use std::sync::Arc;

use egret_core::flow::Flow;

/// Flows that are kept; older ones make room.
const KEPT: usize = 65_536;

/// The kept flows, in the order in which they came.
#[derive(Debug, Default)]
pub struct FlowLog {
    /// How many came before the first that is kept.
    dropped: u64,
    flows: VecDeque<(u64, Arc<Flow>)>,
}

impl FlowLog {
    /// Adds flows that were observed under a revision.
    pub fn extend(&mut self, revision: u64, flows: Vec<Flow>) {
        self.flows.extend(flows.into_iter().map(|flow| (revision, Arc::new(flow))));
        while self.flows.len() > KEPT {
            self.flows.pop_front();
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// The place of the first kept flow that was observed under this revision or a later one.
    #[must_use]
    pub fn since(&self, revision: u64) -> u64 {
        let before = self.flows.partition_point(|(observed, _)| *observed < revision);
        self.dropped.saturating_add(u64::try_from(before).unwrap_or(u64::MAX))
    }

    /// Flows from a place on, and the place behind them.
    #[must_use]
    pub fn from(&self, place: u64) -> (Vec<Arc<Flow>>, u64) {
        let skipped = usize::try_from(place.saturating_sub(self.dropped)).unwrap_or(usize::MAX);
        let flows: Vec<_> = self.flows.iter().skip(skipped).map(|(_, flow)| Arc::clone(flow)).collect();
        let end = self.dropped.saturating_add(u64::try_from(self.flows.len()).unwrap_or(u64::MAX));
        (flows, end)
    }
}

#[cfg(test)]
mod tests {
    use egret_core::Protocol;
    use egret_core::flow::{Dns, Event, Side};
    use egret_shared::{Direction, Identity, MatchType, Verdict};

    use super::*;

    fn flow(time: u64) -> Flow {
        let side = || Side {
            address: [0, 0, 0, 0].into(),
            port: 0,
            identity: Identity::WORLD,
            labels: Vec::new(),
            pod: None,
            names: Vec::new(),
        };
        Flow {
            time,
            node: String::new(),
            endpoint: None,
            direction: Direction::Egress,
            source: side(),
            destination: side(),
            service: None,
            protocol: Protocol::Tcp,
            verdict: Verdict::Forwarded,
            enforced: false,
            match_type: MatchType::None,
            by: None,
            event: Event::Dns(Dns { query: String::new(), qtype: String::new(), answer: None }),
        }
    }

    #[test]
    fn flows_are_found_by_revision_and_make_room() {
        let mut log = FlowLog::default();
        log.extend(1, vec![flow(1), flow(2)]);
        log.extend(3, vec![flow(3)]);
        let times = |log: &FlowLog, revision| {
            log.from(log.since(revision)).0.iter().map(|flow| flow.time).collect::<Vec<_>>()
        };
        assert_eq!(times(&log, 0), [1, 2, 3]);
        assert_eq!(times(&log, 2), [3]);
        assert!(times(&log, 4).is_empty());
        let (_, end) = log.from(0);
        log.extend(4, (0..KEPT as u64).map(|number| flow(100 + number)).collect());
        assert_eq!(log.from(end).0.len(), KEPT);
        assert_eq!(log.from(0).0.first().map(|flow| flow.time), Some(100));
    }
}
