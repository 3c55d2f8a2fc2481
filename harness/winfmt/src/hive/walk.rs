//! All keys of a hive, depth first, parents before children.

use std::collections::HashSet;

use super::error::damaged;
use super::{Hive, HiveError, Key, KeyPath, MAX_DEPTH};

/// Iterator over all keys. See [`Hive::walk`].
pub struct Walk<'h> {
    pending: Vec<Result<WalkedKey<'h>, HiveError>>,
    seen: HashSet<u32>,
}

/// A key and where it is.
#[derive(Debug, Clone)]
pub struct WalkedKey<'h> {
    /// From the root key, which has the empty path.
    pub path: KeyPath,
    /// The key.
    pub key: Key<'h>,
}

impl Hive {
    /// All keys, depth first. What cannot be read comes as an error in its place, and the walk goes on
    /// with the rest; in a hive that [`Hive::open`] took there is no such thing.
    pub fn walk(&self) -> Walk<'_> {
        let root = self.root().map(|key| WalkedKey { path: KeyPath::default(), key });
        Walk { pending: vec![root], seen: HashSet::new() }
    }
}

impl<'h> Iterator for Walk<'h> {
    type Item = Result<WalkedKey<'h>, HiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        let walked = match self.pending.pop()? {
            Ok(walked) => walked,
            Err(error) => return Some(Err(error)),
        };
        let node = &walked.key.node;
        if !self.seen.insert(node.cell) {
            return Some(Err(damaged(node.cell, "a key is reached twice")));
        }
        if walked.path.names().len() >= MAX_DEPTH {
            return Some(Err(damaged(node.cell, "keys are nested too deep")));
        }
        match walked.key.hive.children(node) {
            Ok(children) => {
                for child in children.into_iter().rev() {
                    let next = walked.key.child(child);
                    self.pending.push(
                        next.map(|key| WalkedKey { path: walked.path.join(key.name()), key }),
                    );
                }
            }
            Err(error) => self.pending.push(Err(error)),
        }
        Some(Ok(walked))
    }
}
