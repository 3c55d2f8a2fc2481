//! Images that cannot recover: each is told by the check that fails, refused by `run` before anything boots,
//! and put right by `--fix` where that can be done without a person.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use disk::{Access, OfflineDisk};
use serde_json::Value;
use tests::Loopbreak;
use winfmt::bcd::{BcdStore, Device, DeviceKind, ElementId, ElementValue};
use winfmt::hive::{Data, Hive};

const STORE: &str = r"EFI\Microsoft\Boot\BCD";
const SYSTEM: &str = r"Windows\System32\config\SYSTEM";
const WIM: &str = r"Recovery\WindowsRE\Winre.wim";

type Break = fn(&OfflineDisk) -> anyhow::Result<()>;

/// What is wrong, the checks that must say so, and whether `--fix` can put it right.
const BROKEN: [(&str, Break, &[&str], bool); 5] = [
    ("recovery-off", recovery_off, &["recovery-enabled"], true),
    ("ignores-failures", ignores_failures, &["boot-status-policy"], true),
    ("no-restart", no_restart, &["automatic-restart"], true),
    ("no-wim", no_wim, &["recovery-image"], false),
    ("recovery-on-c", recovery_on_c, &["recovery-partition"], false),
];

#[test]
fn an_image_that_cannot_recover_is_named_refused_and_fixed() -> anyhow::Result<()> {
    let built = Loopbreak::built()?;
    let work = tempfile::tempdir()?;
    let sound = built.json(0, &["image", "qualify", "understudy", "--json"])?;
    anyhow::ensure!(failing(&sound).is_empty(), "the understudy itself fails: {sound}");

    for (name, change, checks, fixable) in BROKEN {
        import_changed(&built, work.path(), name, |bundle| {
            edit(&bundle.join("disk.qcow2"), work.path(), change)
        })?;

        let answer = built.json(1, &["image", "qualify", name, "--json"])?;
        let failed = failing(&answer);
        println!("{name}: fails {failed:?}");
        for check in checks {
            anyhow::ensure!(failed.iter().any(|one| one == check), "{name}: {answer}");
        }

        let scenario = scenario_on(work.path(), name)?;
        let run = built.run(&["run", &scenario])?;
        let said = String::from_utf8_lossy(&run.stderr);
        anyhow::ensure!(run.status.code() == Some(2), "{name}: {:?} {said}", run.status);
        for check in checks {
            anyhow::ensure!(said.contains(check), "{name}: {said}");
        }

        let fixed = format!("{name}-fixed");
        if fixable {
            built.expect(0, &["image", "qualify", name, "--fix", "--name", &fixed])?;
            let answer = built.json(0, &["image", "qualify", &fixed, "--json"])?;
            anyhow::ensure!(failing(&answer).is_empty(), "{fixed}: {answer}");
            // The broken one is as it was.
            built.json(1, &["image", "qualify", name, "--json"])?;
            built.expect(0, &["image", "verify", name])?;
            built.expect(0, &["image", "rm", &fixed])?;
        } else {
            let output = built.run(&["image", "qualify", name, "--fix", "--name", &fixed])?;
            let said = String::from_utf8_lossy(&output.stderr);
            anyhow::ensure!(output.status.code() == Some(2), "{name}: {:?} {said}", output.status);
            println!("{name}: {}", said.trim());
        }
        built.expect(0, &["image", "rm", name])?;
    }
    Ok(())
}

/// What makes an image unfit for the main scenario's faults, and what the refusal says.
const UNFIT: [(&str, Spoil, &[&str]); 3] = [
    ("signatures", checks_signatures, &["`csagent.sys`", "0xC0000428", "`nointegritychecks`"]),
    ("secure-boot", secure_boot, &["Secure Boot ignores it", "image's profile"]),
    ("encrypted", encrypted, &["encrypted by BitLocker", "manage-bde -off", "given its key"]),
];

type Spoil = fn(&Path, &Path) -> anyhow::Result<()>;

#[test]
fn what_an_image_cannot_take_is_refused_before_anything_starts() -> anyhow::Result<()> {
    let built = Loopbreak::built()?;
    let work = tempfile::tempdir()?;
    for (name, spoil, says) in UNFIT {
        import_changed(&built, work.path(), name, |bundle| spoil(bundle, work.path()))?;
        let scenario = scenario_on(work.path(), name)?;
        let run = built.run(&["run", &scenario])?;
        let said = String::from_utf8_lossy(&run.stderr);
        println!("{name}: {}", said.trim());
        anyhow::ensure!(run.status.code() == Some(2), "{name}: {:?} {said}", run.status);
        for part in says.iter().chain(&["nothing was started"]) {
            anyhow::ensure!(said.contains(part), "{name}: no `{part}` in {said}");
        }
        anyhow::ensure!(!said.contains("starting the machine"), "{name}: {said}");
        built.expect(0, &["image", "rm", name])?;
    }
    Ok(())
}

/// The understudy with a change to its bundle, as an image of this name.
fn import_changed(
    built: &Loopbreak,
    work: &Path,
    name: &str,
    change: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let bundle = work.join(name);
    let target = bundle.to_str().context("a path")?;
    built.expect(0, &["image", "export", "understudy", "-o", target])?;
    // A bundle that someone has edited has no manifest any more, and is no longer what was qualified.
    std::fs::remove_file(bundle.join("manifest.json"))?;
    std::fs::remove_file(bundle.join("qualification.json"))?;
    change(&bundle).with_context(|| name.to_owned())?;
    built.expect(0, &["image", "import", target, "--name", name])?;
    Ok(())
}

fn checks_signatures(bundle: &Path, scratch: &Path) -> anyhow::Result<()> {
    edit(&bundle.join("disk.qcow2"), scratch, |disk| {
        edit_store(disk, |store| {
            let id = loader(store)?;
            Ok(store.set(id, ElementId::NO_INTEGRITY_CHECKS, &ElementValue::Boolean(false))?)
        })
    })
}

fn secure_boot(bundle: &Path, _scratch: &Path) -> anyhow::Result<()> {
    let path = bundle.join("profile.toml");
    let profile = std::fs::read_to_string(&path)?;
    let on = profile.replace("secure-boot = false", "secure-boot = true");
    anyhow::ensure!(on != profile, "the profile says `secure-boot = false`");
    Ok(std::fs::write(path, on)?)
}

/// The signature of BitLocker over that of NTFS: what is behind it is as unreadable as with a key that nobody
/// has.
fn encrypted(bundle: &Path, scratch: &Path) -> anyhow::Result<()> {
    let (disk, raw) = (bundle.join("disk.qcow2"), scratch.join("raw"));
    let convert = |from: &Path, to: &Path, format: &str| -> anyhow::Result<()> {
        let mut command = Command::new("qemu-img");
        let done = command.args(["convert", "-O", format]).args([from, to]).status()?;
        anyhow::ensure!(done.success(), "{command:?}");
        Ok(())
    };
    convert(&disk, &raw, "raw")?;
    let listed = Command::new("sfdisk").arg("-J").arg(&raw).output()?;
    let listed: Value = serde_json::from_slice(&listed.stdout)?;
    let partitions = listed["partitiontable"]["partitions"].as_array().context("partitions")?;
    let windows = partitions
        .iter()
        .find(|partition| partition["name"] == "Basic data partition")
        .and_then(|partition| partition["start"].as_u64())
        .context("the Windows partition")?;
    let file = std::fs::File::options().write(true).open(&raw)?;
    file.write_all_at(b"-FVE-FS-", windows * 512 + 3)?;
    convert(&raw, &disk, "qcow2")
}

fn failing(answer: &Value) -> Vec<String> {
    let checks = answer["checks"].as_array().cloned().unwrap_or_default();
    checks
        .iter()
        .filter(|check| check["answer"] == "fail")
        .filter_map(|check| check["name"].as_str().map(str::to_owned))
        .collect()
}

/// The main scenario, on another image.
fn scenario_on(work: &Path, image: &str) -> anyhow::Result<String> {
    let folder = work.join("scenarios").join("channel-file-291");
    std::fs::create_dir_all(&folder)?;
    let from = tests::workspace().join("harness/scenario/tests/channel-file-291.toml");
    let text = std::fs::read_to_string(from)?;
    let path = folder.join("scenario.toml");
    let line = format!("image = \"{image}\"");
    anyhow::ensure!(text.contains("image = \"understudy\""), "the scenario names its image");
    std::fs::write(&path, text.replace("image = \"understudy\"", &line))?;
    Ok(path.to_str().context("a path")?.to_owned())
}

fn edit(disk: &Path, scratch: &Path, change: Break) -> anyhow::Result<()> {
    let opened = OfflineDisk::open(disk, Access::ReadWrite, scratch)?;
    change(&opened)?;
    Ok(opened.close()?)
}

fn edit_store(
    disk: &OfflineDisk,
    change: impl FnOnce(&mut BcdStore) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut volume = disk.efi_volume()?;
    let mut store = BcdStore::open(volume.read(STORE)?)?;
    change(&mut store)?;
    volume.write(STORE, &store.to_bytes()?)?;
    Ok(volume.flush()?)
}

fn loader(store: &BcdStore) -> anyhow::Result<winfmt::Guid> {
    Ok(store.default_loader()?.context("a default loader")?.id)
}

fn recovery_off(disk: &OfflineDisk) -> anyhow::Result<()> {
    edit_store(disk, |store| {
        let loader = loader(store)?;
        Ok(store.set(loader, ElementId::RECOVERY_ENABLED, &ElementValue::Boolean(false))?)
    })
}

fn ignores_failures(disk: &OfflineDisk) -> anyhow::Result<()> {
    edit_store(disk, |store| {
        let loader = loader(store)?;
        Ok(store.set(loader, ElementId::BOOT_STATUS_POLICY, &ElementValue::Integer(1))?)
    })
}

fn no_restart(disk: &OfflineDisk) -> anyhow::Result<()> {
    let mut volume = disk.windows_volume()?;
    let mut hive = Hive::open(volume.read(SYSTEM)?)?;
    hive.set_value(r"ControlSet001\Control\CrashControl", "AutoReboot", &Data::dword(0))?;
    volume.write(SYSTEM, &hive.to_bytes()?)?;
    Ok(volume.flush()?)
}

fn no_wim(disk: &OfflineDisk) -> anyhow::Result<()> {
    let mut volume = disk.recovery_volume()?;
    volume.remove_file(WIM)?;
    Ok(volume.flush()?)
}

/// The recovery environment lies on C:, and the boot configuration looks for it there, as some recipes for
/// images leave it.
fn recovery_on_c(disk: &OfflineDisk) -> anyhow::Result<()> {
    let mut recovery = disk.recovery_volume()?;
    let mut windows = disk.windows_volume()?;
    windows.create_dir_all(r"Recovery\WindowsRE")?;
    for entry in recovery.list(r"Recovery\WindowsRE")? {
        let path = format!(r"Recovery\WindowsRE\{}", entry.name);
        windows.write(&path, &recovery.read(&path)?)?;
    }
    recovery.remove_dir_all("Recovery")?;
    recovery.flush()?;
    windows.flush()?;
    edit_store(disk, |store| {
        let loader = loader(store)?;
        let Some(ElementValue::Device(windows)) = store.get(loader, ElementId::OS_DEVICE)? else {
            anyhow::bail!("the loader has no osdevice");
        };
        let DeviceKind::Gpt { disk, partition } = windows.kind() else {
            anyhow::bail!("{:?}", windows.kind());
        };
        let environment = store.recovery_sequence(loader)?[0];
        let Some(ElementValue::Device(own)) = store.get(environment, ElementId::DEVICE)? else {
            anyhow::bail!("the recovery environment has no device");
        };
        let options = own.options().context("options of the RAM disk")?;
        let device = Device::ramdisk(options, disk, partition, r"\Recovery\WindowsRE\Winre.wim");
        let device = ElementValue::Device(device);
        store.set(environment, ElementId::DEVICE, &device)?;
        store.set(environment, ElementId::OS_DEVICE, &device)?;
        Ok(())
    })
}
