//! Machines: started, watched, frozen, forked and destroyed, through libvirt.
//!
//! The engine sees only the trait pair [`Hypervisor`] and [`Machine`], and hands over a [`MachineSpec`]:
//! a [`MachineProfile`] (what the hardware is, read from the image's `profile.toml`) and the files that
//! belong to this one machine. Everything that the machine does comes back as observations in the
//! engine's sink.
mod agent;
mod api;
mod error;
mod profile;

pub use agent::{AgentError, AgentInfo, ExecResult, GuestAgent, OsInfo, ShutdownMode, WriteProof};
pub use api::{Checkpoint, Hypervisor, Machine, MachineSpec};
pub use error::HypervisorError;
pub use profile::{
    Architecture, ClockBase, DiskBus, Display, EvidencePaths, Firmware, FirmwareKind,
    MachineProfile, MemorySize, NetworkModel, PROFILE_FORMAT, PanicDevice, ProfileError, TimeScale,
    TpmVersion,
};
