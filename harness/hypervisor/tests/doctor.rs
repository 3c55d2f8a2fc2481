//! The doctor on the host that runs the tests. A program of its own: it opens an embedded libvirt, of
//! which a process can have one.

use std::process::Command;

use hypervisor::{FindingStatus, examine};

#[tokio::test(flavor = "multi_thread")]
async fn every_part_is_examined() -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("lbd").tempdir()?;
    let findings = examine(&directory.path().join("state/not/there"), directory.path()).await;
    for finding in &findings {
        println!("{finding:?}");
        assert!(!finding.seen.is_empty());
        // What is not right comes with what to do.
        assert_eq!(finding.status == FindingStatus::Ok, finding.advice.is_empty(), "{finding:?}");
    }
    let ids: Vec<&str> = findings.iter().map(|finding| finding.id).collect();
    assert_eq!(
        ids,
        [
            "libvirt",
            "libvirt-embedded",
            "qemu",
            "accelerator",
            "firmware-uefi",
            "firmware-secure-boot",
            "tpm-emulator",
            "qemu-img",
            "disk-export",
            "free-disk",
            "free-memory"
        ]
    );
    // The proof agrees with the plain fact that QEMU is or is not there.
    let qemu = Command::new("qemu-system-x86_64").arg("--version").output().is_ok();
    assert_eq!(findings[2].status == FindingStatus::Ok, qemu);
    assert_eq!(findings[3].status != FindingStatus::Failed, qemu);
    Ok(())
}
