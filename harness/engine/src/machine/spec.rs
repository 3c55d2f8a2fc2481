//! What a machine of a run is made of. Pure: a plan shows the same as a run does.

use std::path::PathBuf;

use faults::Online;
use hypervisor::MachineSpec;

use crate::preflight::Prepared;

/// Where the files of one machine lie.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// Name of its domain.
    pub(crate) name: String,
    /// What does not outlive the run: disk, variables, TPM.
    pub(crate) work: PathBuf,
    /// Its sockets.
    pub(crate) sockets: PathBuf,
    /// What is kept of it.
    pub(crate) evidence: PathBuf,
}

impl Places {
    /// The name of a run's machine.
    pub(crate) fn name(run: &str, part: &str) -> String {
        format!("loopbreak-{run}-{part}")
    }

    /// The socket on which the harness serves the disk.
    pub(crate) fn disk_socket(spec: &MachineSpec) -> PathBuf {
        spec.sockets.join("disk")
    }
}

impl Prepared {
    /// The machine in these places.
    pub(crate) fn spec(&self, places: Places) -> MachineSpec {
        let Self { plan, profile, image, .. } = self;
        let Places { name, work, sockets, evidence } = places;
        let fw_cfg = profile
            .time_scale
            .iter()
            .map(|scale| (scale.fw_cfg.clone(), plan.time_scale.to_string()))
            .collect();
        MachineSpec {
            name,
            profile: profile.clone(),
            disk: work.join("disk.qcow2"),
            disk_socket: None,
            firmware_code: self.firmware_code.clone(),
            firmware_vars: image.firmware_vars().map(|_| work.join("vars.fd")),
            tpm_state: profile.tpm.map(|_| work.join("tpm")),
            cable: Some(sockets.join("cable")),
            sockets,
            evidence,
            fw_cfg,
            clock: plan.clock_chip,
        }
    }

    /// True where the harness itself has to be the machine's drive.
    pub(crate) fn serves_the_disk(&self) -> bool {
        self.stage.online.iter().any(Online::needs_drive)
    }
}
