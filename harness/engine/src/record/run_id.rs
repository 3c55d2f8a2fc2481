//! Identities of a run.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Names a run: the second in which it began (UTC) and six letters that keep two of the same second
/// apart. Sorts by time, is a file name, and is part of every domain name of the run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// A new identity.
    pub fn new() -> Self {
        let now = Timestamp::now();
        let nanos =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&nanos.to_le_bytes());
        hasher.update(&std::process::id().to_le_bytes());
        hasher.update(&next_number().to_le_bytes());
        let letters: String = hasher.finalize().as_bytes()[..6]
            .iter()
            .map(|byte| char::from(b'a' + byte % 26))
            .collect();
        Self(format!("{}-{letters}", now.strftime("%Y%m%d-%H%M%S")))
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn next_number() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_of_one_moment_differ() {
        let ids: std::collections::BTreeSet<_> = (0..200).map(|_| RunId::new()).collect();
        assert_eq!(ids.len(), 200);
    }

    #[test]
    fn an_identity_is_short_enough_for_a_socket_path() {
        assert_eq!(RunId::new().as_str().len(), "20240719-040900-abcdef".len());
    }
}
