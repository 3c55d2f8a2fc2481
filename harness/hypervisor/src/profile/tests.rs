use super::*;

const FULL: &str = r#"
format = 1
is-model = true
line = "windows-11-24h2"
architecture = "x86_64"
machine = "pc-q35-7.2"
memory = "512MiB"
vcpus = 1
cpu = "qemu64"
disk-bus = "virtio"
network = "virtio"
display = "vga"
panic = "isa"
tpm = "2.0"
clock = "utc"
expected-resets = 1
noise = ['C:\Windows\Logs\**']

[firmware]
kind = "uefi"
secure-boot = false

[time-scale]
fw-cfg = "opt/org.loopbreak/time-scale"

[evidence]
dumps = ['C:\Windows\MEMORY.DMP']
recovery-logs = ['C:\Windows\System32\LogFiles\Srt\*']

[hang]
nmi = true

[[kernel-exports]]
modules = ["ntoskrnl.exe", "hal.dll"]
names = ["DbgPrint", "KeBugCheckEx"]

[[markers]]
source = "serial"
starts_with = "[bootmgr]"
phase = "boot-manager"

[[witnesses]]
line = '^\[bootmgr\] stopped: 0x(?<status>[0-9a-f]{8})'
tells = "boot-error"
"#;

fn parse(text: &str) -> Result<MachineProfile, ProfileError> {
    MachineProfile::parse(text, Path::new("profile.toml"))
}

#[test]
fn a_full_profile_survives_a_round_trip() {
    let profile = parse(FULL).unwrap();
    assert_eq!(profile.memory.bytes(), 512 << 20);
    assert_eq!(profile.markers.len(), 1);
    assert!(profile.hang.nmi);
    let again = parse(&toml::to_string(&profile).unwrap()).unwrap();
    assert_eq!(profile, again);
}

#[test]
fn three_keys_are_enough() {
    let profile = parse("format = 1\nis-model = false\nmemory = \"4GiB\"\n").unwrap();
    assert_eq!(profile.cpu, "qemu64");
    assert_eq!(profile.firmware.kind, FirmwareKind::Uefi);
    assert_eq!(profile.memory.to_string(), "4GiB");
    // What it does not say is not in its digest either.
    assert!(!profile.hang.nmi && !toml::to_string(&profile).unwrap().contains("hang"));
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    let error = parse("format = 1\nis-model = true\nmemory = \"1GiB\"\n  speed = 3\n").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("profile.toml:4:3: unknown field `speed`"), "{text}");
}

#[test]
fn bad_values_are_refused() {
    for (change, part) in [
        ("memory = \"1GiB\"\nline = \"a/b\"", "cannot be the line of an image"),
        ("memory = \"512\"", "not an amount of memory"),
        ("memory = \"0MiB\"", "out of range"),
        ("memory = \"99999999GiB\"", "out of range"),
        ("memory = \"1GiB\"\ncpu = \"host-passthrough\"", "differs from host to host"),
        ("memory = \"1GiB\"\nvcpus = 0", "out of range"),
        ("memory = \"1GiB\"\nmachine = \"q35,accel=kvm\"", "not a machine type"),
        ("memory = \"1GiB\"\nmachine = \"pc\"", "not possible with UEFI"),
        ("memory = \"1GiB\"\ndisk-bus = \"ide\"", "no IDE"),
        ("memory = \"1GiB\"\n[[kernel-exports]]\nmodules = []\nnames = []", "name the modules"),
        ("memory = \"1GiB\"\n[time-scale]\nfw-cfg = \"etc/x\"", "starts with `opt/`"),
        (
            "memory = \"1GiB\"\n[[witnesses]]\nline = 'stopped'\ntells = \"boot-error\"",
            "has no group `status`",
        ),
        ("memory = \"1GiB\"\n[[witnesses]]\nline = '('\ntells = \"boot-error\"", "not a pattern"),
        ("memory = \"1GiB\"\n[firmware]\nkind = \"bios\"\nsecure-boot = true", "no secure boot"),
    ] {
        let text =
            parse(&format!("format = 1\nis-model = true\n{change}\n")).unwrap_err().to_string();
        assert!(text.contains(part), "{change}: {text}");
    }
}
