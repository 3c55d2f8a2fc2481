//! A cell that has a verdict, as the journal keeps it.

use std::collections::BTreeMap;

use report::{Cell, ImageSummary, Measured};
use scenario::Layer;
use serde::{Deserialize, Serialize};

/// One cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {
    pub(super) incident: String,
    pub(super) layer: Layer,
    pub(super) image: ImageSummary,
    pub(super) cell: Cell,
    pub(super) measured: Option<Measured>,
}

impl Done {
    /// With what it is found by.
    pub(super) fn with_key(self) -> ((String, Layer), Self) {
        ((self.incident.clone(), self.layer), self)
    }
}

/// What was done before.
pub(super) type Before = BTreeMap<(String, Layer), Done>;
