//! Settings: what holds where no option says anything. `loopbreak.toml` here is their documentation and their defaults.

mod load;
mod model;
mod size;

pub(crate) use load::{DEFAULTS, SettingsArgs};
pub(crate) use model::{Profile, Update};
pub(crate) use size::Size;
