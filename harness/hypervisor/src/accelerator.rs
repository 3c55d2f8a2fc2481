//! What runs the guest's instructions, proved by running a guest.
//!
//! `/dev/kvm` being there, and even opening, says nothing: nested or partial implementations create a
//! virtual machine and let it die on its first firmware instruction (windows-facts.md section 0).

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::firmware::firmware_files;
use crate::profile::Firmware;

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

/// What the guests run: write 42 to the debug exit port, upon which QEMU ends with 2 * 42 + 1; then halt.
const CODE: [u8; 8] = [0xB0, 42, 0xE6, 0xF4, 0xFA, 0xF4, 0xEB, 0xFC];
const EXIT_CODE: i32 = 85;
/// Software emulation on a busy host.
const LIMIT: Duration = Duration::from_secs(60);
/// A processor that works needs a fraction of a second for the sector; one that is emulated
/// instruction by instruction behind KVM's interface was seen to need ten.
const KVM_LIMIT: Duration = Duration::from_secs(5);
const KVM_UEFI_LIMIT: Duration = Duration::from_secs(20);

/// Finds out which accelerator works. Runs tiny guests the first time (a second or two), and remembers
/// the answer for this process.
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
            match run_sector(Accelerator::Emulation, LIMIT).await {
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
    let run = async {
        // Firmware first: where KVM is broken it fails at once, and a guest that only knows 16 bits
        // may pass where everything else fails.
        run_uefi(Accelerator::Kvm, KVM_UEFI_LIMIT).await?;
        run_sector(Accelerator::Kvm, KVM_LIMIT).await
    };
    run.await.map_err(|why| format!("/dev/kvm opens, but a guest did not run ({why})"))
}

/// Boots a sector and sees whether it reaches its last instruction.
async fn run_sector(accelerator: Accelerator, limit: Duration) -> Result<(), String> {
    let mut sector = [0_u8; 512];
    sector[..CODE.len()].copy_from_slice(&CODE);
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    fs_err::write(directory.path().join("disk"), sector).map_err(|error| error.to_string())?;
    let arguments =
        ["-m", "16", "-machine", "pc", "-drive", "if=ide,format=raw,snapshot=on,file=disk"];
    run(accelerator, &arguments, directory.path(), limit).await
}

/// Boots a program of 1 KiB through UEFI firmware, which uses 32 and 64 bits, paging and flash. Without
/// firmware on this host there is nothing to try, and nothing that could want it.
async fn run_uefi(accelerator: Accelerator, limit: Duration) -> Result<(), String> {
    let Ok(Some(files)) = firmware_files(Firmware::default()) else { return Ok(()) };
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let boot = directory.path().join("esp/EFI/BOOT");
    fs_err::create_dir_all(&boot)
        .and_then(|()| fs_err::write(boot.join("BOOTX64.EFI"), efi_program()))
        .map_err(|error| error.to_string())?;
    let flash = |path: &Path, option: &str| {
        format!("if=pflash,format=raw,{option},file={}", path.display())
    };
    let code = flash(&files.code, "readonly=on");
    let variables = flash(&files.variables, "snapshot=on");
    let disk = "if=virtio,format=raw,readonly=on,file=fat:esp";
    let arguments =
        ["-m", "128", "-machine", "q35", "-drive", &code, "-drive", &variables, "-drive", disk];
    run(accelerator, &arguments, directory.path(), limit).await
}

/// The smallest EFI application: headers as of the PE format specification, one section of code.
fn efi_program() -> Vec<u8> {
    let mut image = vec![0_u8; 0x400];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x00, b"MZ");
    put(0x3C, &0x40_u32.to_le_bytes());
    put(0x40, b"PE\0\0");
    put(0x44, &0x8664_u16.to_le_bytes()); // x86-64
    put(0x46, &1_u16.to_le_bytes()); // sections
    put(0x54, &240_u16.to_le_bytes()); // size of the optional header
    put(0x56, &0x22_u16.to_le_bytes()); // executable, large addresses
    let optional = 0x58;
    put(optional, &0x20B_u16.to_le_bytes()); // PE32+
    put(optional + 4, &0x200_u32.to_le_bytes()); // size of code
    put(optional + 16, &0x1000_u32.to_le_bytes()); // entry point
    put(optional + 20, &0x1000_u32.to_le_bytes()); // base of code
    put(optional + 32, &0x1000_u32.to_le_bytes()); // section alignment
    put(optional + 36, &0x200_u32.to_le_bytes()); // file alignment
    put(optional + 56, &0x2000_u32.to_le_bytes()); // size of image
    put(optional + 60, &0x200_u32.to_le_bytes()); // size of headers
    put(optional + 68, &10_u16.to_le_bytes()); // EFI application
    put(optional + 108, &16_u32.to_le_bytes()); // directories, all empty
    let section = optional + 240;
    put(section, b".text");
    put(section + 8, &0x200_u32.to_le_bytes()); // size in memory
    put(section + 12, &0x1000_u32.to_le_bytes()); // address in memory
    put(section + 16, &0x200_u32.to_le_bytes()); // size in the file
    put(section + 20, &0x200_u32.to_le_bytes()); // place in the file
    put(section + 36, &0x6000_0020_u32.to_le_bytes()); // code, executable, readable
    put(0x200, &CODE);
    image
}

async fn run(
    accelerator: Accelerator,
    arguments: &[&str],
    directory: &Path,
    limit: Duration,
) -> Result<(), String> {
    let mut child = Command::new("qemu-system-x86_64")
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
        .args(["-cpu", "qemu64", "-accel", accelerator.option()])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1"])
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("qemu-system-x86_64 does not start: {error}"))?;
    let stderr = child.stderr.take().ok_or("no standard error")?;
    let watch = async {
        let mut last = String::from("no message");
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            // QEMU stops the guest and waits for somebody to look at it.
            if line.starts_with("KVM internal error") {
                return Err(line);
            }
            last = line;
        }
        let status = child.wait().await.map_err(|error| error.to_string())?;
        if status.code() == Some(EXIT_CODE) { Ok(()) } else { Err(format!("{status}: {last}")) }
    };
    let result = tokio::time::timeout(limit, watch)
        .await
        .unwrap_or_else(|_| Err(format!("it was not through within {} s", limit.as_secs())));
    // Its files go with the directory, so it must be gone before.
    let _ = child.kill().await;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_guest_that_never_gets_there_is_no_proof() {
        if Command::new("qemu-system-x86_64").arg("--version").output().await.is_err() {
            println!("skipped: qemu-system-x86_64 is not installed");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let limit = Duration::from_secs(2);
        // No disk: the firmware waits for ever.
        let why = run(Accelerator::Emulation, &["-m", "16"], directory.path(), limit).await;
        assert!(why.unwrap_err().contains("within 2 s"));
        let why = run(Accelerator::Emulation, &["-nonsense"], directory.path(), LIMIT).await;
        assert!(why.unwrap_err().contains("nonsense"));
    }

    #[tokio::test]
    async fn emulation_runs_both_guests_to_their_last_instruction() {
        if Command::new("qemu-system-x86_64").arg("--version").output().await.is_err() {
            println!("skipped: qemu-system-x86_64 is not installed");
            return;
        }
        run_sector(Accelerator::Emulation, LIMIT).await.unwrap();
        run_uefi(Accelerator::Emulation, LIMIT).await.unwrap();
    }
}
