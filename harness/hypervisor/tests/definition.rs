//! What libvirt is given is what libvirt's own schema (`domain.rng`) allows, by libvirt's own tool, for every kind of
//! machine that a profile can ask for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use hypervisor::{Accelerator, MachineProfile, MachineSpec, definition};

const PROFILES: [&str; 5] = [
    "panic = \"isa\"\ntpm = \"2.0\"\nhyperv = true\n",
    "disk-bus = \"sata\"\nnetwork = \"e1000e\"\npanic = \"pvpanic-pci\"\ndisplay = \"virtio\"\n",
    "disk-bus = \"scsi\"\nclock = \"localtime\"\n[firmware]\nkind = \"bios\"\n",
    "architecture = \"i686\"\nmachine = \"pc\"\ncpu = \"pentium3\"\ndisk-bus = \"ide\"\nnetwork = \"rtl8139\"\n\
     [firmware]\nkind = \"bios\"\n",
    "[firmware]\nsecure-boot = true\n",
];

fn spec(extra: &str, served: bool) -> MachineSpec {
    let text = format!("format = 1\nis-model = true\nmemory = \"512MiB\"\n{extra}");
    MachineSpec {
        name: "loopbreak-RUN-m".to_owned(),
        profile: MachineProfile::parse(&text, Path::new("profile.toml")).unwrap(),
        disk: "/state/m/disk.qcow2".into(),
        disk_socket: served.then(|| "/tmp/s/disk".into()),
        firmware_code: None,
        firmware_vars: Some("/state/m/vars.fd".into()),
        tpm_state: Some("/state/m/tpm".into()),
        cable: Some("/tmp/s/cable".into()),
        sockets: "/tmp/s".into(),
        evidence: "/state/run & more".into(),
        fw_cfg: vec![("opt/org.loopbreak/time-scale".to_owned(), "60".to_owned())],
        clock: served.then_some(1_721_362_140),
    }
}

/// `None` where the tool or libvirt's schemas are missing.
fn problems(xml: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("domain.xml");
    std::fs::write(&file, xml).unwrap();
    let output = Command::new("virt-xml-validate").arg(&file).arg("domain").output().ok()?;
    let said =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    Some(if output.status.success() { String::new() } else { said.concat() })
}

#[test]
fn every_definition_is_valid_by_the_schema_of_libvirt() {
    match problems("<domain/>") {
        None => {
            println!(
                "skipped: virt-xml-validate is not installed (libvirt-clients, libxml2-utils)"
            );
            return;
        }
        Some(said) => {
            assert!(!said.is_empty(), "the tool finds nothing wrong with an empty domain")
        }
    }
    for extra in PROFILES {
        for (accelerator, served) in [(Accelerator::Emulation, false), (Accelerator::Kvm, true)] {
            let xml = definition(&spec(extra, served), accelerator).unwrap();
            let found = problems(&xml).unwrap();
            assert_eq!(found, "", "{extra}: {found}\n{xml}");
        }
    }
}
