//! The layer `uninstall-update`: what an update, a driver package or a half-done update changed is taken back, as the
//! servicing tools of the recovery environment do it: `dism /image /remove-package`, `/remove-driver` and
//! `/cleanup-image /revertpendingactions` (windows-facts 4, 4.5).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The word for the update that was installed last.
pub const LATEST: &str = "latest";

/// What is taken back from the powered-off disk, once, when the machine would else be given up. One of these at least;
/// in this order, and where one of it cannot be done, nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct UninstallUpdate {
    /// What an update left to be done at the next start is given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending_actions: bool,
    /// An update, by the number of its article (`KB5039302`); `latest` is the one that was installed last, whichever it
    /// is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// A driver package, by the name of its INF as its vendor named it: `lbnet.inf`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
}
