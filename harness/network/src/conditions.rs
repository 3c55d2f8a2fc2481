//! What is wrong with a network, as the scenario wants it.

use std::collections::BTreeSet;

/// The state of a machine's network. The default is a network that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    /// False: no frame passes in either direction, as with the cable pulled out behind the switch
    /// (the network card itself still sees a link).
    pub link: bool,
    /// Names of services that do not answer; the DNS still knows them.
    pub down: BTreeSet<String>,
}

impl Default for Conditions {
    fn default() -> Self {
        Self { link: true, down: BTreeSet::new() }
    }
}
