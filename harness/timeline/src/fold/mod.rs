//! The fold over a run's events: `watcher` is the state and its milestones, `signs` reads what the guest
//! says, `pictures` what its display shows, `repair` is what comes before giving a machine up, `own_start` are
//! the starts that belong to that, `ending` decides how a boot ended, `forced_stop` is what the harness makes of one that
//! hangs, `happening` is what a report shows between the boots' milestones.

mod ending;
mod forced_stop;
mod happening;
mod own_start;
mod pictures;
mod repair;
mod signs;
mod watcher;

pub use forced_stop::{ForcedStop, NMI_HARDWARE_FAILURE};
pub use happening::{Happening, What};
pub use own_start::OwnStart;
pub use watcher::{RESET_BURST, Watcher};
