//! The layers that the harness works itself, when the machine would else be given up: a module each.
//!
//! `work` gives a layer its turn. A layer says what came of it ([`Worked`]) and leaves the machine off, with nothing of
//! its own left on the disk; `work` records that and switches the machine on. A layer with a start of its own
//! (`own_start`) is no more than that start, and edits of the disk before and after it. `start_again` proves that a
//! machine that a layer brought back comes up by itself.

mod disk_edits;
mod host_repair;
mod last_known_good;
mod own_start;
mod reboots;
mod restore_point;
mod rollback;
mod safe_mode;
mod start_again;
mod uninstall_update;
mod work;

use work::Worked;
