//! What the layers above may ask of a hypervisor: the trait pair [`Hypervisor`] and [`Machine`].

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use timeline::{ResetBy, Sink};

use crate::agent::GuestAgent;
use crate::error::HypervisorError;
use crate::profile::MachineProfile;

/// Everything that a machine is made of, besides its profile. All paths are absolute.
#[derive(Debug, Clone)]
pub struct MachineSpec {
    /// Domain name, scoped to the run (`loopbreak-<run>-<machine>`).
    pub name: String,
    /// Hardware.
    pub profile: MachineProfile,
    /// The machine's own disk: a qcow2 overlay that nobody else writes to.
    pub disk: PathBuf,
    /// The Unix socket on which the harness serves that disk over NBD, where it has to be the drive itself;
    /// `None`: QEMU opens the file.
    pub disk_socket: Option<PathBuf>,
    /// Firmware code other than the distribution's, where the firmware is UEFI; see [`crate::own_code`].
    pub firmware_code: Option<PathBuf>,
    /// The machine's own copy of the firmware variables, where the firmware is UEFI.
    pub firmware_vars: Option<PathBuf>,
    /// The machine's own TPM state directory, where it has a TPM.
    pub tpm_state: Option<PathBuf>,
    /// The Unix socket on which the harness's network waits for the machine's cable; `None`: a cable
    /// that ends nowhere.
    pub cable: Option<PathBuf>,
    /// Short directory for sockets of this machine (Unix socket paths end at 107 bytes).
    pub sockets: PathBuf,
    /// Run directory of this machine: serial logs, frames.
    pub evidence: PathBuf,
    /// Items handed to the guest through fw_cfg: (`opt/org.loopbreak/time-scale`, `60`).
    pub fw_cfg: Vec<(String, String)>,
    /// Where the guest's clock starts; `None`: the host's time.
    pub clock: Option<u64>,
}

/// Disk, firmware variables, TPM state and RAM, frozen together. `Checkpoint` only names the files; the
/// engine decides where they lie and how long they live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// RAM and device state in libvirt's save format.
    pub ram: PathBuf,
    /// The disk at that moment, to be used as a backing file only.
    pub disk: PathBuf,
    /// Firmware variables at that moment.
    pub firmware_vars: Option<PathBuf>,
    /// TPM state at that moment.
    pub tpm_state: Option<PathBuf>,
}

/// A connection to a hypervisor.
#[async_trait]
pub trait Hypervisor: Send + Sync {
    /// False where what [`Machine::save`] writes cannot be read afterwards: machines start from power-on there.
    fn keeps_checkpoints(&self) -> bool {
        true
    }

    /// Powers a machine on. Its events flow into `sink` until it is destroyed.
    async fn start(
        &self,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, HypervisorError>;

    /// Restores a machine from RAM onto the disk, variables and TPM state that `spec` names (fresh
    /// overlays and copies of the checkpoint's).
    async fn restore(
        &self,
        ram: &Path,
        spec: &MachineSpec,
        sink: Sink,
    ) -> Result<Box<dyn Machine>, HypervisorError>;
}

/// One running machine.
#[async_trait]
pub trait Machine: Send + Sync {
    /// The process id of its emulator, for the ledger; `None` on a remote hypervisor.
    fn emulator_pid(&self) -> Option<u32>;

    /// Presses the reset button for the harness.
    async fn reset(&self) -> Result<(), HypervisorError> {
        self.reset_by(ResetBy::Harness).await
    }

    /// Presses the reset button for `by` (the harness or a scenario's operator). The `reset` event that
    /// follows names it.
    async fn reset_by(&self, by: ResetBy) -> Result<(), HypervisorError>;

    /// Presses the power button (ACPI).
    async fn shutdown(&self) -> Result<(), HypervisorError>;

    /// Sends a non-maskable interrupt.
    async fn inject_nmi(&self) -> Result<(), HypervisorError>;

    /// Takes a picture now; emits a `frame` event if it differs from the last, and returns its file.
    async fn screenshot(&self, why: &str) -> Result<Option<PathBuf>, HypervisorError>;

    /// The guest agent's channel.
    fn agent(&self) -> &dyn GuestAgent;

    /// Writes RAM and device state to `ram` and powers the machine off. Its disk, variables and TPM
    /// state are then consistent with that file.
    async fn save(self: Box<Self>, ram: &Path) -> Result<(), HypervisorError>;

    /// Cuts the power: the emulator is killed at once, and nobody asks it to write anything. The
    /// `machine-stopped` event that follows has the reason `power-cut`.
    async fn cut_power(&self) -> Result<(), HypervisorError>;

    /// Switches off and forgets the machine. Idempotent.
    async fn destroy(&self) -> Result<(), HypervisorError>;
}
