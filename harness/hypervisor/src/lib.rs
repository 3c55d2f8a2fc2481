//! Machines: started, watched, frozen, forked and destroyed, through libvirt.
//!
//! The engine sees only the trait pair [`Hypervisor`] and [`Machine`], and hands over a [`MachineSpec`]:
//! a [`MachineProfile`] (what the hardware is, read from the image's `profile.toml`) and the files that
//! belong to this one machine. Everything that the machine does comes back as observations in the
//! engine's sink.
//!
//! [`Libvirt`] is the real one, by default libvirt's own driver inside this process. A start goes
//! through these modules: `domain` writes the definition, `connection` routes libvirt's events (from
//! `ffi`, the only unsafe code) to the machine, `events` translates them, `serial` and `screen` listen
//! and look, `agent` talks to the guest, `tpm` gives it a TPM. `checkpoint` lets any number of machines
//! be restored from one frozen one. `orphans` collects emulators that end; whoever looks for those that
//! outlived a killed harness ends them with [`end_process`]. [`examine`] is the doctor; [`FakeHypervisor`]
//! plays a script instead.

mod accelerator;
mod agent;
mod api;
mod checkpoint;
mod claim;
mod connection;
mod daemon;
mod definition;
mod doctor;
mod domain;
mod error;
mod events;
mod fake;
mod ffi;
mod firmware;
mod kept_waiting;
mod machine;
mod options;
mod orphans;
mod process;
mod profile;
mod screen;
mod serial;
mod tpm;

pub use accelerator::{Accelerator, AcceleratorProof, prove_accelerator};
pub use agent::{AgentError, AgentInfo, ExecResult, GuestAgent, OsInfo, ShutdownMode, WriteProof};
pub use api::{Checkpoint, Hypervisor, Machine, MachineSpec};
pub use connection::Address;
pub use definition::definition;
pub use doctor::{Finding, FindingStatus, examine};
pub use domain::{ByHand, MAC_ADDRESS, command_line};
pub use error::HypervisorError;
pub use fake::{FakeHypervisor, Trigger};
pub use firmware::{FirmwareFiles, firmware_files, own_code};
pub use kept_waiting::KeptWaiting;
pub use machine::Libvirt;
pub use options::Options;
pub use orphans::adopt_emulators;
pub use process::{Ended, end_process};
pub use profile::{
    Architecture, ClockBase, DiskBus, Display, EvidencePaths, Firmware, FirmwareKind, Hang,
    KernelExports, MachineProfile, MemorySize, NetworkModel, PROFILE_FORMAT, PanicDevice,
    ProfileError, TimeScale, TpmVersion,
};
