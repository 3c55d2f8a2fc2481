//! Real virtual machines with the smallest guest there is: one boot sector. It says what it does on the
//! serial port, panics and resets as it is told by a byte that the test writes on its disk.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use hypervisor::{Hypervisor as _, Machine, MachineProfile, MachineSpec};
use timeline::{Body, ResetBy, StartedFrom};

use crate::support::{Seen, libvirt, line, overlay, qemu_img, text, tools_are_here};

/// 16-bit code, by hand-made assembler: small enough to be read, and no assembler is needed to build.
struct Sector(Vec<u8>);

impl Sector {
    fn new() -> Self {
        // cli; xor ax,ax; mov ds,ax; mov ss,ax; mov sp,7C00
        Self(vec![0xFA, 0x31, 0xC0, 0x8E, 0xD8, 0x8E, 0xD0, 0xBC, 0x00, 0x7C])
    }

    /// Writes to a port.
    fn out(mut self, port: u16, value: u8) -> Self {
        let [low, high] = port.to_le_bytes();
        self.0.extend([0xBA, low, high, 0xB0, value, 0xEE]);
        self
    }

    /// Says a line on COM1.
    fn say(mut self, text: &str) -> Self {
        for byte in text.bytes().chain(*b"\r\n") {
            self = self.out(0x3F8, byte);
        }
        self
    }

    /// Draws one character in the upper left corner of the text screen.
    fn draw(mut self, character: u8) -> Self {
        // mov ax,B800; mov es,ax; mov word es:[0],1F00+character (white on blue)
        self.0.extend([0xB8, 0x00, 0xB8, 0x8E, 0xC0, 0x26, 0xC7, 0x06, 0, 0, character, 0x1F]);
        self
    }

    /// Waits for a character on COM1 and throws it away.
    fn pause_for_ticks(mut self, ticks: u8) -> Self {
        // sti; mov cl,ticks; loop: hlt; dec cl; jnz loop; cli
        self.0.extend([0xFB, 0xB1, ticks, 0xF4, 0xFE, 0xC9, 0x75, 0xFB, 0xFA]);
        self
    }

    /// Counts timer ticks for ever and says a dot for each.
    fn tick_for_ever(mut self) -> Self {
        // sti; loop: hlt; mov dx,3F8; mov al,'.'; out dx,al; mov al,10; out dx,al; jmp loop
        self.0.extend([0xFB, 0xF4, 0xBA, 0xF8, 0x03, 0xB0, b'.', 0xEE, 0xB0, 10, 0xEE, 0xEB, 0xF4]);
        self
    }

    fn halt(mut self) -> Self {
        self.0.extend([0xFA, 0xF4, 0xEB, 0xFC]);
        self
    }

    fn disk(mut self, directory: &Path, name: &str) -> Result<PathBuf> {
        ensure!(self.0.len() <= 510, "the sector has {} bytes", self.0.len());
        self.0.resize(510, 0);
        self.0.extend([0x55, 0xAA]);
        self.0.resize(1 << 20, 0);
        let raw = directory.join(format!("{name}.raw"));
        std::fs::write(&raw, &self.0)?;
        let disk = directory.join(format!("{name}.qcow2"));
        qemu_img(&["convert", "-f", "raw", "-O", "qcow2", text(&raw), text(&disk)])?;
        Ok(disk)
    }
}

const PROFILE: &str = r#"
format = 1
is-model = true
memory = "64MiB"
panic = "isa"
[firmware]
kind = "bios"
"#;

fn spec(directory: &Path, name: &str, disk: PathBuf, profile: &str) -> MachineSpec {
    MachineSpec {
        name: format!("loopbreak-test{}-{name}", std::process::id()),
        profile: MachineProfile::parse(profile, Path::new("profile.toml"))
            .expect("the profiles of these tests are right"),
        disk,
        disk_socket: None,
        firmware_code: None,
        firmware_vars: None,
        tpm_state: None,
        cable: None,
        sockets: directory.join(format!("s-{name}")),
        evidence: directory.join(format!("e-{name}")),
        fw_cfg: vec![("opt/org.loopbreak/time-scale".to_owned(), "60".to_owned())],
        clock: Some(1_721_362_140),
    }
}

fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_panics_shows_it_and_resets_itself() -> Result<()> {
    if !tools_are_here() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let disk = Sector::new()
        .say("[bootmgr] begin")
        .pause_for_ticks(9)
        .draw(b'X')
        .out(0x505, 1)
        .pause_for_ticks(18)
        .say("dump written")
        .out(0x64, 0xFE)
        .halt()
        .disk(directory.path(), "panic")?;
    let seen = Seen::default();
    let spec = spec(directory.path(), "panic", disk, PROFILE);
    let machine = libvirt().await?.start(&spec, seen.sink()).await?;
    let pid = machine.emulator_pid().context("no emulator pid")?;
    assert!(alive(pid));

    // Panic, then the guest goes on by itself, then its own reset; and all of it again.
    seen.wait(2, "a second boot", line("[bootmgr] begin")).await?;
    seen.wait(2, "a second panic", |body| matches!(body, Body::Panicked { .. })).await?;
    seen.wait(2, "a second reset", |body| matches!(body, Body::Reset { .. })).await?;
    let picture = machine.screenshot("step").await?;
    machine.destroy().await?;
    machine.destroy().await?;
    assert!(!alive(pid));

    let bodies = seen.bodies();
    let at = |is: &dyn Fn(&Body) -> bool| bodies.iter().position(is).unwrap();
    let started = at(&|body| *body == Body::MachineStarted { from: StartedFrom::Cold });
    let begun = at(&line("[bootmgr] begin"));
    let panicked =
        at(&|body| *body == Body::Panicked { action: "run".to_owned(), bug_check: None });
    let written = at(&line("dump written"));
    let reset =
        at(&|body| *body == Body::Reset { by: ResetBy::Guest, reason: "guest-reset".to_owned() });
    assert_eq!(started, 0);
    assert!(begun < panicked && panicked < written && panicked < reset, "{bodies:#?}");
    let stopped: Vec<&Body> =
        bodies.iter().filter(|body| matches!(body, Body::MachineStopped { .. })).collect();
    assert_eq!(stopped, [&Body::MachineStopped { reason: "destroyed".to_owned() }]);

    // The stop screen was caught, and every frame is a file.
    let frames: Vec<(String, String)> = bodies
        .iter()
        .filter_map(|body| match body {
            Body::Frame { file, why, .. } => Some((file.clone(), why.clone())),
            _ => None,
        })
        .collect();
    assert!(frames.iter().any(|(_, why)| why == "panic"), "{frames:?}");
    for (file, _) in &frames {
        assert!(spec.evidence.join(file).is_file(), "{file}");
    }
    assert!(picture.is_some_and(|picture| picture.is_file()));
    let log = std::fs::read_to_string(spec.evidence.join("serial-0.log"))?;
    assert!(log.contains("dump written"));
    // Nothing is left in the socket directory.
    assert_eq!(std::fs::read_dir(&spec.sockets)?.count(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reset_it_is_told_apart() -> Result<()> {
    if !tools_are_here() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let disk = Sector::new().say("up").halt().disk(directory.path(), "reset")?;
    let seen = Seen::default();
    let spec = spec(directory.path(), "reset", disk, PROFILE);
    let machine = libvirt().await?.start(&spec, seen.sink()).await?;
    seen.wait(1, "the first boot", line("up")).await?;
    machine.reset().await?;
    seen.wait(2, "the second boot", line("up")).await?;
    machine.reset_by(ResetBy::Operator).await?;
    seen.wait(3, "the third boot", line("up")).await?;
    machine.inject_nmi().await?;
    machine.destroy().await?;
    let by: Vec<ResetBy> = seen
        .bodies()
        .iter()
        .filter_map(|body| match body {
            Body::Reset { by, .. } => Some(*by),
            _ => None,
        })
        .collect();
    assert_eq!(by, [ResetBy::Harness, ResetBy::Operator]);
    assert!(machine.reset().await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_forks_of_one_checkpoint_run_at_once() -> Result<()> {
    if !tools_are_here() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let base = Sector::new().say("cold boot").tick_for_ever().disk(directory.path(), "base")?;
    let seen = Seen::default();
    let first =
        spec(directory.path(), "first", overlay(&base, directory.path(), "first")?, PROFILE);
    let hypervisor = libvirt().await?;
    let machine = hypervisor.start(&first, seen.sink()).await?;
    seen.wait(3, "ticks", line(".")).await?;
    let ram = directory.path().join("ram");
    let begun = Instant::now();
    machine.save(&ram).await?;
    println!("save: {:?}, {} KiB", begun.elapsed(), std::fs::metadata(&ram)?.len() >> 10);
    assert_eq!(seen.count(|body| *body == Body::MachineStopped { reason: "saved".to_owned() }), 1);

    let fork = async |name: &str| -> Result<(Box<dyn Machine>, Seen)> {
        let seen = Seen::default();
        let disk = overlay(&first.disk, directory.path(), name)?;
        let begun = Instant::now();
        let spec = spec(directory.path(), name, disk, PROFILE);
        let machine = hypervisor.restore(&ram, &spec, seen.sink()).await?;
        println!("restore of {name}: {:?}", begun.elapsed());
        Ok((machine, seen))
    };
    let (one, two) = tokio::join!(fork("one"), fork("two"));
    let ((one, one_seen), (two, two_seen)) = (one?, two?);
    for seen in [&one_seen, &two_seen] {
        seen.wait(3, "ticks after the restore", line(".")).await?;
        assert_eq!(seen.count(line("cold boot")), 0, "it started anew");
        assert_eq!(
            seen.count(|body| *body == Body::MachineStarted { from: StartedFrom::Checkpoint }),
            1
        );
    }
    let pids = [one.emulator_pid().context("pid")?, two.emulator_pid().context("pid")?];
    assert!(pids[0] != pids[1] && pids.iter().all(|pid| alive(*pid)));

    // A fork is a machine like any other: its disk is its own and it boots from it.
    one.reset().await?;
    one_seen.wait(1, "a boot after the restore", line("cold boot")).await?;
    assert_eq!(two_seen.count(|body| matches!(body, Body::Reset { .. })), 0);
    tokio::try_join!(one.destroy(), two.destroy())?;
    assert!(pids.iter().all(|pid| !alive(*pid)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn uefi_with_a_tpm_survives_a_checkpoint() -> Result<()> {
    let variables = Path::new("/usr/share/OVMF/OVMF_VARS_4M.fd");
    if !tools_are_here()
        || !variables.is_file()
        || Command::new("swtpm").arg("-v").output().is_err()
    {
        println!("skipped: OVMF or swtpm is not installed");
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let disk = Sector::new().halt().disk(directory.path(), "uefi")?;
    let profile = "format = 1\nis-model = true\nmemory = \"256MiB\"\ntpm = \"2.0\"\n";
    let prepare = |name: &str, disk: PathBuf, from: Option<&MachineSpec>| -> Result<MachineSpec> {
        let mut spec = spec(directory.path(), name, disk, profile);
        let own = directory.path().join(format!("{name}.vars"));
        let tpm = directory.path().join(format!("{name}.tpm"));
        std::fs::create_dir(&tpm)?;
        match from {
            None => std::fs::copy(variables, &own)?,
            Some(from) => {
                for entry in std::fs::read_dir(from.tpm_state.as_ref().unwrap())? {
                    let entry = entry?;
                    std::fs::copy(entry.path(), tpm.join(entry.file_name()))?;
                }
                std::fs::copy(from.firmware_vars.as_ref().unwrap(), &own)?
            }
        };
        spec.firmware_vars = Some(own);
        spec.tpm_state = Some(tpm);
        Ok(spec)
    };
    let hypervisor = libvirt().await?;
    let seen = Seen::default();
    let first = prepare("uefi", disk, None)?;
    let machine = hypervisor.start(&first, seen.sink()).await?;
    // OVMF's first picture, at the latest its shell or its complaint that nothing boots.
    seen.wait(1, "a picture", |body| matches!(body, Body::Frame { .. })).await?;
    let ram = directory.path().join("ram");
    machine.save(&ram).await?;
    let disk = overlay(&first.disk, directory.path(), "uefi-fork")?;
    let second = prepare("uefi-fork", disk, Some(&first))?;
    let again = Seen::default();
    let machine = hypervisor.restore(&ram, &second, again.sink()).await?;
    again.wait(1, "a picture of the fork", |body| matches!(body, Body::Frame { .. })).await?;
    machine.destroy().await?;
    let swtpm = Command::new("pgrep").args(["-f", text(&second.tpm_state.unwrap())]).output()?;
    assert!(swtpm.stdout.is_empty(), "swtpm is still there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_machine_does_not_run_on() -> Result<()> {
    if !tools_are_here() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let disk = Sector::new().say("up").halt().disk(directory.path(), "drop")?;
    let seen = Seen::default();
    let spec = spec(directory.path(), "drop", disk, PROFILE);
    let machine = libvirt().await?.start(&spec, seen.sink()).await?;
    let pid = machine.emulator_pid().context("pid")?;
    drop(machine);
    assert!(!alive(pid) || zombie(pid));
    Ok(())
}

fn zombie(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_given_up_leaves_no_emulator() -> Result<()> {
    if !tools_are_here() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let disk = Sector::new().say("up").halt().disk(directory.path(), "given-up")?;
    let seen = Seen::default();
    let spec = spec(directory.path(), "given-up", disk, PROFILE);
    let hypervisor = libvirt().await?;
    let begun = |body: &Body| matches!(body, Body::MachineStarted { .. });
    {
        let start = hypervisor.start(&spec, seen.sink());
        tokio::select! {
            started = start => {
                started?.destroy().await?;
                anyhow::bail!("it was through before it could be given up");
            }
            waited = seen.wait(1, "the start", begun) => waited?,
        }
    }
    // libvirt holds the name until nothing is left of the first; QEMU holds the lock on the disk.
    let again = async {
        loop {
            match hypervisor.start(&spec, seen.sink()).await {
                Ok(machine) => return machine,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let machine = tokio::time::timeout(std::time::Duration::from_secs(60), again).await?;
    machine.destroy().await?;
    let name = format!("guest={},", spec.name);
    let left = Command::new("pgrep").args(["-f", &name]).output()?;
    assert!(left.stdout.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_cannot_start_says_why_and_leaves_nothing() -> Result<()> {
    if !tools_are_here() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let seen = Seen::default();
    let spec = spec(directory.path(), "none", directory.path().join("missing.qcow2"), PROFILE);
    let error = libvirt().await?.start(&spec, seen.sink()).await.err().context("it started")?;
    assert!(error.to_string().contains("missing.qcow2"), "{error}");
    assert_eq!(std::fs::read_dir(&spec.sockets)?.count(), 0);
    Ok(())
}
