//! Who decided a verdict, as the number of a list of authors: the same rules decide many flows.

use egret_core::identity::LabelSet;
use egret_core::judge::{Claims, Cluster, End, SideJudged};
use egret_core::{Author, Protocol};
use egret_shared::{Direction, Identity};
use hashbrown::HashMap;

/// Flows that are remembered; beyond, all are forgotten, so that memory stays bounded.
const REMEMBERED: usize = 1 << 20;

/// The lists.
pub(super) struct Deciding<'a> {
    cluster: &'a Cluster,
    /// Rules by party and direction.
    claims: HashMap<(usize, Direction), Claims<'a>>,
    labels: HashMap<(usize, Identity), LabelSet>,
    lists: HashMap<Vec<Author>, u32>,
    known: HashMap<Key, u32>,
}

/// What a list depends on.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    own: usize,
    direction: Direction,
    peer: Identity,
    /// A service's or pod's port names count, so that pods of one identity are no different.
    traffic: (Protocol, u16),
}

/// One side of a flow.
pub(super) struct Asked<'a> {
    /// Whose policies were asked, and its number.
    pub(super) own: (usize, &'a End),
    pub(super) other: &'a End,
    pub(super) direction: Direction,
    pub(super) traffic: (Protocol, u16),
}

impl<'a> Deciding<'a> {
    /// Nothing is known yet.
    pub(super) fn new(cluster: &'a Cluster) -> Self {
        Self {
            cluster,
            claims: HashMap::new(),
            labels: HashMap::new(),
            lists: HashMap::new(),
            known: HashMap::new(),
        }
    }

    /// The number of the list of those who decided; 0 where no policy was asked.
    pub(super) fn list(&mut self, asked: &Asked<'_>, side: &SideJudged) -> u32 {
        if side.policy == 0 {
            return 0;
        }
        let Asked { own: (own, _), direction, traffic, .. } = *asked;
        let key = Key { own, direction, peer: side.peer, traffic };
        if let Some(list) = self.known.get(&key) {
            return *list;
        }
        let authors = self.authors(asked, side);
        // Numbers begin at 1.
        let next = u32::try_from(self.lists.len() + 1).unwrap_or(u32::MAX);
        let list = *self.lists.entry(authors).or_insert(next);
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(key, list);
        list
    }

    fn authors(&mut self, asked: &Asked<'_>, side: &SideJudged) -> Vec<Author> {
        let Asked { own: (place, own), other, direction, traffic } = *asked;
        let cluster = self.cluster;
        let node = cluster.node_of(own, other);
        let (Some(decided), Some(node)) = (cluster.author(own, other, side), node) else { return Vec::new() };
        if !side.is_explicit() {
            return vec![decided];
        }
        let claims =
            self.claims.entry((place, direction)).or_insert_with(|| cluster.claims(own, other, direction));
        let peer = self.labels.entry((node, side.peer)).or_insert_with(|| cluster.labels(node, side.peer));
        cluster.deciding(claims, decided, (other, peer), traffic)
    }
}
