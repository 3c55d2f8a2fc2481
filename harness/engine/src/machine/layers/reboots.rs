//! `reboots`: off and on, and nothing else.

use super::Worked;
use crate::machine::controller::MachineController;

impl MachineController<'_> {
    /// The machine is off already, and comes on again when this is done.
    pub(super) fn reboot(&self) -> Worked {
        Worked::Done("off and on again".to_owned())
    }
}
