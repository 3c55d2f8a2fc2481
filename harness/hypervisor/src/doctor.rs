//! Whether this host can run machines: what was looked at, what was seen, what to do about it.

use std::path::Path;
use std::process::Stdio;

use serde::Serialize;
use tokio::process::Command;
use virt::connect::Connect;

use crate::accelerator::{Accelerator, prove_accelerator};
use crate::connection::{Address, Connection};
use crate::firmware::firmware_files;
use crate::profile::Firmware;

/// How good a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingStatus {
    /// As it should be.
    Ok,
    /// Machines run, but slower or not all of them.
    Warning,
    /// No machine runs.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable name: `qemu`, `accelerator`.
    pub id: &'static str,
    /// How good it is.
    pub status: FindingStatus,
    /// What was seen.
    pub seen: String,
    /// What to do; empty where there is nothing to do.
    pub advice: String,
}

/// `absolute` clocks (libvirt's release notes of 8.4.0).
const LIBVIRT_NEEDED: (u32, u32) = (8, 4);
/// `-netdev stream` (QEMU's changelog of 7.2).
const QEMU_NEEDED: (u32, u32) = (7, 2);
const GIB: u64 = 1 << 30;

/// Looks at everything that a run needs from this host. `state` is where images and runs are kept;
/// `scratch` is a short directory that libvirt may use for a moment. Never fails itself: whatever goes
/// wrong is a finding.
pub async fn examine(state: &Path, scratch: &Path) -> Vec<Finding> {
    let qemu = program_version("qemu-system-x86_64", "qemu-system-x86").await;
    let mut findings = vec![libvirt_version(), embedded_driver(scratch).await];
    findings.push(match qemu {
        Ok(line) => at_least("qemu", &line, QEMU_NEEDED, "-netdev stream"),
        Err(finding) => finding,
    });
    findings.push(accelerator().await);
    findings.push(firmware("firmware-uefi", false));
    findings.push(firmware("firmware-secure-boot", true));
    findings.push(tool("tpm-emulator", "swtpm", "swtpm", FindingStatus::Warning).await);
    findings.push(tool("qemu-img", "qemu-img", "qemu-utils", FindingStatus::Failed).await);
    findings.push(
        tool("disk-export", "qemu-storage-daemon", "qemu-system-common", FindingStatus::Failed)
            .await,
    );
    findings.push(free_disk(state));
    findings.push(free_memory());
    findings
}

fn finding(id: &'static str, status: FindingStatus, seen: String, advice: &str) -> Finding {
    Finding { id, status, seen, advice: advice.to_owned() }
}

fn libvirt_version() -> Finding {
    match Connect::get_version() {
        Ok(number) => {
            // major * 1,000,000 + minor * 1,000 + release (virGetVersion)
            let (major, minor) = (number / 1_000_000, number / 1000 % 1000);
            let line = format!("libvirt {major}.{minor}.{}", number % 1000);
            at_least("libvirt", &line, LIBVIRT_NEEDED, "an absolute start of the guest's clock")
        }
        Err(error) => finding(
            "libvirt",
            FindingStatus::Failed,
            error.message().to_owned(),
            "install the package `libvirt0`",
        ),
    }
}

async fn embedded_driver(scratch: &Path) -> Finding {
    const ID: &str = "libvirt-embedded";
    let address = Address::Embedded { root: scratch.to_owned() };
    let opened = tokio::task::spawn_blocking(move || Connection::open(&address)).await;
    match opened {
        Ok(Ok(_)) => finding(ID, FindingStatus::Ok, "the embedded driver opens".to_owned(), ""),
        Ok(Err(error)) => finding(
            ID,
            FindingStatus::Failed,
            error.to_string(),
            "install the package `libvirt-daemon-driver-qemu`, or use a daemon by `--connect qemu:///system`",
        ),
        Err(error) => finding(ID, FindingStatus::Failed, error.to_string(), ""),
    }
}

/// Judges the first version number in `line`.
fn at_least(id: &'static str, line: &str, needed: (u32, u32), why: &str) -> Finding {
    match version(line) {
        Some(found) if found >= needed => finding(id, FindingStatus::Ok, line.to_owned(), ""),
        Some(_) => finding(
            id,
            FindingStatus::Failed,
            line.to_owned(),
            &format!("version {}.{} or newer is needed, for {why}", needed.0, needed.1),
        ),
        None => finding(
            id,
            FindingStatus::Warning,
            line.to_owned(),
            &format!("its version is not understood; {}.{} is needed", needed.0, needed.1),
        ),
    }
}

fn version(line: &str) -> Option<(u32, u32)> {
    line.split(|c: char| !(c.is_ascii_digit() || c == '.')).find_map(|word| {
        let mut parts = word.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    })
}

/// The first line of `program --version`.
async fn program_version(program: &'static str, package: &str) -> Result<String, Finding> {
    let failed = |seen: String| {
        let advice = format!("install the package `{package}`");
        finding("qemu", FindingStatus::Failed, seen, &advice)
    };
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| failed(format!("{program} does not start: {error}")))?;
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .next()
        .filter(|_| output.status.success())
        .map(str::to_owned)
        .ok_or_else(|| failed(format!("{program} --version ended with {}", output.status)))
}

async fn tool(
    id: &'static str,
    program: &'static str,
    package: &str,
    missing: FindingStatus,
) -> Finding {
    match program_version(program, package).await {
        Ok(line) => finding(id, FindingStatus::Ok, line, ""),
        Err(absent) => Finding { id, status: missing, ..absent },
    }
}

async fn accelerator() -> Finding {
    const ID: &str = "accelerator";
    let proof = prove_accelerator().await;
    match proof.accelerator {
        Some(Accelerator::Kvm) => finding(ID, FindingStatus::Ok, proof.seen.clone(), ""),
        Some(Accelerator::Emulation) => finding(
            ID,
            FindingStatus::Warning,
            proof.seen.clone(),
            "machines run, several times slower; on a host of one's own, load the module kvm_intel or kvm_amd and give this user access to /dev/kvm",
        ),
        None => finding(
            ID,
            FindingStatus::Failed,
            proof.seen.clone(),
            "install the package `qemu-system-x86`",
        ),
    }
}

fn firmware(id: &'static str, secure_boot: bool) -> Finding {
    match firmware_files(Firmware { secure_boot, ..Firmware::default() }) {
        Ok(Some(files)) => finding(id, FindingStatus::Ok, files.code.display().to_string(), ""),
        Ok(None) => finding(id, FindingStatus::Ok, "none is needed".to_owned(), ""),
        Err(searched) => {
            let list: Vec<String> =
                searched.iter().map(|path| path.display().to_string()).collect();
            let status = if secure_boot { FindingStatus::Warning } else { FindingStatus::Failed };
            finding(
                id,
                status,
                format!("not found at {}", list.join(", ")),
                "install the package `ovmf`",
            )
        }
    }
}

fn free_disk(state: &Path) -> Finding {
    const ID: &str = "free-disk";
    // It need not exist yet.
    let existing = state.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(existing) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            amount(ID, free, 2 * GIB, 5 * GIB, &format!("free at {}", existing.display()))
        }
        Err(error) => finding(
            ID,
            FindingStatus::Warning,
            format!("{}: {error}", existing.display()),
            "choose another state directory by `--state`",
        ),
    }
}

fn free_memory() -> Finding {
    const ID: &str = "free-memory";
    let available = fs_err::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    match available {
        Some(kibibytes) => amount(ID, kibibytes << 10, GIB, 2 * GIB, "of memory available"),
        None => finding(ID, FindingStatus::Warning, "/proc/meminfo does not say".to_owned(), ""),
    }
}

fn amount(id: &'static str, found: u64, least: u64, good: u64, of: &str) -> Finding {
    let seen = format!("{:.1} GiB {of}", found as f64 / GIB as f64);
    if found >= good {
        finding(id, FindingStatus::Ok, seen, "")
    } else if found >= least {
        let advice = format!("enough for one machine; {} GiB are better", good / GIB);
        finding(id, FindingStatus::Warning, seen, &advice)
    } else {
        let advice = format!("at least {} GiB are needed", least / GIB);
        finding(id, FindingStatus::Failed, seen, &advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_judged() {
        let qemu = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)";
        assert_eq!(version(qemu), Some((7, 2)));
        assert_eq!(at_least("qemu", qemu, (7, 2), "x").status, FindingStatus::Ok);
        assert_eq!(at_least("qemu", qemu, (8, 0), "x").status, FindingStatus::Failed);
        assert_eq!(at_least("qemu", "QEMU", (8, 0), "x").status, FindingStatus::Warning);
        assert_eq!(version("libvirt 10.0.0"), Some((10, 0)));
    }

    #[test]
    fn amounts_are_judged() {
        let judge = |found| amount("x", found, GIB, 2 * GIB, "free").status;
        assert_eq!(judge(GIB - 1), FindingStatus::Failed);
        assert_eq!(judge(GIB), FindingStatus::Warning);
        assert_eq!(judge(2 * GIB), FindingStatus::Ok);
        assert_ne!(free_memory().seen, "/proc/meminfo does not say");
    }

    #[tokio::test]
    async fn a_missing_program_is_named_with_its_package() {
        let missing = tool("x", "no-such-program-here", "some-package", FindingStatus::Warning);
        let missing = missing.await;
        assert_eq!((missing.id, missing.status), ("x", FindingStatus::Warning));
        assert!(missing.seen.contains("no-such-program-here"));
        assert!(missing.advice.contains("some-package"));
    }
}
