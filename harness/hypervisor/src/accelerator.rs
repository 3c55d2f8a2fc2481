//! What runs the guest's instructions, proved by running a guest.
//!
//! `/dev/kvm` being there, and even opening, says nothing: nested or partial implementations create a
//! virtual machine and let it die on its first firmware instruction (windows-facts.md section 0).

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// The processor, by KVM.
    Kvm,
    /// QEMU's own software emulation (TCG).
    Emulation,
}

impl Accelerator {
    /// libvirt's domain type.
    pub(crate) fn domain_type(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Emulation => "qemu",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Emulation => "tcg",
        }
    }
}

/// Which accelerator works, and what was seen of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceleratorProof {
    /// The best that ran a guest; `None` where nothing did.
    pub accelerator: Option<Accelerator>,
    /// For people: `KVM: /dev/kvm opens, but a guest did not run (…); using software emulation`.
    pub seen: String,
}

/// A boot sector that writes 42 to the debug exit port: QEMU then ends with 2 * 42 + 1.
const BOOT_CODE: [u8; 7] = [0xB0, 42, 0xE6, 0xF4, 0xFA, 0xF4, 0xEB];
const EXIT_CODE: i32 = 85;
const LIMIT: Duration = Duration::from_secs(20);

/// Finds out which accelerator works. Runs up to two tiny guests the first time (about a second each),
/// and remembers the answer for this process.
pub async fn prove_accelerator() -> &'static AcceleratorProof {
    static PROOF: OnceCell<AcceleratorProof> = OnceCell::const_new();
    PROOF
        .get_or_init(|| async {
            let kvm = kvm_works().await;
            if kvm.is_ok() {
                return AcceleratorProof {
                    accelerator: Some(Accelerator::Kvm),
                    seen: "KVM: a guest ran".to_owned(),
                };
            }
            let without_kvm = kvm.err().unwrap_or_default();
            match run_guest(Accelerator::Emulation).await {
                Ok(()) => AcceleratorProof {
                    accelerator: Some(Accelerator::Emulation),
                    seen: format!("KVM: {without_kvm}; using software emulation"),
                },
                Err(why) => AcceleratorProof {
                    accelerator: None,
                    seen: format!("KVM: {without_kvm}; software emulation: {why}"),
                },
            }
        })
        .await
}

async fn kvm_works() -> Result<(), String> {
    let device = Path::new("/dev/kvm");
    if !device.exists() {
        return Err("/dev/kvm is not there".to_owned());
    }
    fs_err::OpenOptions::new()
        .read(true)
        .write(true)
        .open(device)
        .map_err(|error| format!("/dev/kvm does not open ({})", error.kind()))?;
    run_guest(Accelerator::Kvm)
        .await
        .map_err(|why| format!("/dev/kvm opens, but a guest did not run ({why})"))
}

/// Boots the sector and sees whether it reached its last instruction.
async fn run_guest(accelerator: Accelerator) -> Result<(), String> {
    let mut sector = [0_u8; 512];
    sector[..BOOT_CODE.len()].copy_from_slice(&BOOT_CODE);
    sector[BOOT_CODE.len()] = 0xFC;
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    fs_err::write(file.path(), sector).map_err(|error| error.to_string())?;
    let mut drive = std::ffi::OsString::from("if=ide,format=raw,snapshot=on,file=");
    drive.push(file.path());

    let child = Command::new("qemu-system-x86_64")
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-m", "16"])
        .args(["-machine", "pc", "-cpu", "qemu64", "-accel", accelerator.option()])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-no-reboot", "-drive"])
        .arg(drive)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("qemu-system-x86_64 does not start: {error}"))?;
    let output = tokio::time::timeout(LIMIT, child.wait_with_output())
        .await
        .map_err(|_| format!("no answer within {} s", LIMIT.as_secs()))?
        .map_err(|error| error.to_string())?;
    if output.status.code() == Some(EXIT_CODE) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no message").trim();
    Err(format!("{}: {first}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn emulation_runs_the_sector_to_its_last_instruction() {
        if Command::new("qemu-system-x86_64").arg("--version").output().await.is_err() {
            println!("skipped: qemu-system-x86_64 is not installed");
            return;
        }
        run_guest(Accelerator::Emulation).await.unwrap();
    }
}
