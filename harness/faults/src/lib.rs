//! The fault catalogue: what can be done to a machine, how it lands, how it is undone.
//!
//! A scenario declares faults ([`scenario::Fault`]). [`stage`] turns a whole scenario into a
//! [`StagePlan`]: changes to files and registry hives of the powered-off disk, and files to be written
//! through the guest agent later. The plan is data; the engine has it applied to the machine's disk and
//! reports what was read back. [`kinds`] tells people what there is.
//!
//! - `driver`: synthesises real drivers as PE images; no compiler is needed.
//! - `signing`: a test authority, and signatures that are right or deliberately wrong.
//! - `inf`, `vendor`: drivers, packages and updates that a vendor brings along.
//! - `boot_configuration`, `registry`, `servicing`: damage to what is on the disk.
//! - `content`: the stand-in channel file that the content driver interprets.
//! - `service`: what makes Windows start a driver.
//! - `trust`: the key that a TPM keeps, and what makes it keep it.
//! - `stage`, `plan`: from a scenario to changes, and applying them.
//! - `repair`: what the layer `host-repair` does to a disk, with the same changes.
//! - `ladder`: what the layers with a start of their own do to it, before that start and after it.
//! - `uninstall`: what the layer `uninstall-update` takes back.
//! - `inert`: the same machinery with a harmless payload, which has to boot healthy.
//! - `catalogue`: the kinds as text.

pub mod content;
pub mod driver;
pub mod inf;
pub mod signing;

mod boot_configuration;
mod catalogue;
mod inert;
mod ladder;
mod placing;
mod plan;
mod quality_update;
mod registry;
mod repair;
mod service;
mod servicing;
mod stage;
mod stage_error;
mod trust;
mod uninstall;
mod updater;
mod user_mode;
mod vendor;

pub use catalogue::{
    DefectInfo, Example, ExampleError, KindInfo, defect_infos, explain, explain_defect, kinds,
};
pub use inert::inert_control;
pub use ladder::{
    DISABLED, IntoSafeMode, SafeModeAct, Select, into_last_known_good, into_safe_mode, left_over,
    not_repaired, out_of_last_known_good, out_of_safe_mode, safe_mode_edits, select,
};
pub use placing::on_drive;
pub use plan::{
    Act, Applied, ApplyError, Before, Change, Edit, FileState, HiveName, InterruptedWrite,
    KeyEntries, Offline, OfflineError, Online, OnlineAct, OnlineWrite, Origin, RegistryValue,
    Rewrite, Servicing, StagePlan, StagedEdit, Touched, TpmState, VolumeRole,
};
pub use repair::{RepairError, repair};
pub use stage::{Trust, signs, stage, stage_signed};
pub use stage_error::StageError;
pub use uninstall::{UninstallError, uninstall};
pub use vendor::arch_of;
