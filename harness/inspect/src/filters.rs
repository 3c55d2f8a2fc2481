//! What stands between drivers: class filters and file-system minifilters, in order.

use serde::{Deserialize, Serialize};

/// All filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Filters {
    /// Of device classes, by class.
    pub classes: Vec<ClassFilters>,
    /// Of file systems, from the highest altitude (nearest to programs) down.
    pub minifilters: Vec<Minifilter>,
}

/// The filters of a device class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClassFilters {
    /// The class, a GUID.
    pub class: String,
    /// Its name, such as `DiskDrive`.
    pub name: Option<String>,
    /// `UpperFilters`, in order: the last is nearest to programs.
    pub upper: Vec<String>,
    /// `LowerFilters`, in order.
    pub lower: Vec<String>,
}

/// One instance of a minifilter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Minifilter {
    /// Its service.
    pub service: String,
    /// The instance's name.
    pub instance: String,
    /// Where it stands, as stored: a decimal number that may have a fraction.
    pub altitude: String,
    /// Whether it is the service's default instance.
    pub default: bool,
}
