//! Paths into a tree: `spec.egress[0].toCIDR[1]`.

use std::fmt;

use super::node::{Node, Value};
use crate::diagnostic::nearest;
use crate::source::Place;

/// Keys and indexes from the root on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(pub Vec<Segment>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Into a mapping.
    Key(String),
    /// Into a sequence.
    Index(usize),
}

// === impl Path ===

impl Path {
    /// Reads a path as it is written; keys with dots stand in brackets: `labels[a.b/c]`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some((inside, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                segments
                    .push(inside.parse().map_or_else(|_| Segment::Key(inside.to_owned()), Segment::Index));
                rest = behind;
            } else {
                // The first character belongs to the key whatever it is, so that every round makes progress.
                let key = rest.strip_prefix('.').unwrap_or(rest);
                let first = key.chars().next().map_or(0, char::len_utf8);
                let end = key[first..].find(['.', '[']).map_or(key.len(), |end| first + end);
                segments.push(Segment::Key(key[..end].to_owned()));
                rest = &key[end..];
            }
        }
        Self(segments)
    }

    /// The path of the whole document.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both lead to the same place, but for a misspelt last key.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let (Some((mine, my_way)), Some((theirs, their_way))) = (self.0.split_last(), other.0.split_last())
        else {
            return false;
        };
        my_way == their_way
            && match (mine, theirs) {
                (Segment::Key(mine), Segment::Key(theirs)) => nearest(theirs, &[mine]).is_some(),
                (mine, theirs) => mine == theirs,
            }
    }

    /// Place of the value at the path, or of the last value on the way to it.
    pub(super) fn place(&self, root: &Node) -> Place {
        self.walk(root).1.at
    }

    /// Place of the value at the path if it is a scalar, else of the key that leads to it.
    pub(super) fn field_place(&self, root: &Node) -> Place {
        let (key, node) = self.walk(root);
        if matches!(node.value, Value::Sequence(_) | Value::Mapping(_)) { key } else { node.at }
    }

    /// The last value on the way, and the place of its key, or its own where an index leads to it.
    pub(super) fn walk<'a>(&self, root: &'a Node) -> (Place, &'a Node) {
        let mut node = root;
        let mut key = root.at;
        for segment in &self.0 {
            let next = match (&node.value, segment) {
                (Value::Mapping(entries), Segment::Key(name)) => {
                    entries.iter().find(|(other, ..)| other == name).map(|(_, at, node)| (*at, node))
                }
                (Value::Sequence(items), Segment::Index(index)) => {
                    items.get(*index).map(|node| (node.at, node))
                }
                _ => None,
            };
            let Some(next) = next else { break };
            (key, node) = next;
        }
        (key, node)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if key.contains(['.', '[']) => write!(f, "[{key}]")?,
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}
