//! Disks.

use std::path::Path;

use serde_json::Value;

use crate::unpacked::{case, folder};
use crate::{json, loopbreak, refused, says, text};

fn check<'v>(qualification: &'v Value, name: &str) -> &'v Value {
    let checks = qualification["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap()
}

/// The checks of a case.
fn qualification(state: &Path, disk: &Path) -> Value {
    says(state, &["image", "import", text(disk), "--name", "case"]);
    let output = loopbreak(state, &["image", "qualify", "case", "--json"]);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Of two Windows the one is meant that the boot configuration starts, unless another is named.
#[test]
fn of_two_windows_the_one_that_starts_is_described() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let Some(disk) = case("03-dualboot.raw", state) else { return };
    let found = json(state, &["image", "inspect", text(&disk), "--json"]);
    assert_eq!(found["system"]["partition"]["known"], 4);
    assert_eq!(found["system"]["build"]["known"]["number"], 26100);
    assert_eq!(found["system"]["computer"]["known"], "WIN-TWO");
    let one = json(state, &["image", "inspect", text(&disk), "--windows", "3", "--json"]);
    assert_eq!(one["system"]["computer"]["known"], "WIN-ONE");
    let none = refused(state, &["image", "inspect", text(&disk), "--windows", "2"]);
    assert!(none.contains("has no Windows on partition 2"), "{none}");
    says(state, &["image", "import", text(&disk), "--name", "two"]);
    let profile = says(state, &["image", "profile", "two"]);
    assert!(profile.contains("windows-partition = 4"), "{profile}");
    says(state, &["image", "import", text(&disk), "--name", "one", "--windows", "3"]);
    assert!(says(state, &["image", "profile", "one"]).contains("windows-partition = 3"));
    let stored = json(state, &["image", "inspect", "one", "--json"]);
    assert_eq!(stored["system"]["computer"]["known"], "WIN-ONE");
}

/// An entry that starts nothing is told with the status on the screen.
#[test]
fn a_default_entry_that_does_not_start_is_told() {
    for (name, says) in [
        (
            "24-device-osdevice.raw",
            "which is not a partition of this disk: the boot manager stops with 0xC000000E",
        ),
        (
            "24b-bcd-names-data-volume.raw",
            "on partition 3, and there is no such file: the boot manager stops with 0xC000000F",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let Some(disk) = case(name, folder.path()) else { return };
        let found = qualification(folder.path(), &disk);
        let check = check(&found, "default-entry");
        assert_eq!(check["answer"], "fail");
        assert!(check["evidence"].as_str().unwrap().contains(says), "{check}");
        let diagnosed = json(folder.path(), &["diagnose", text(&disk), "--json"]);
        assert_eq!(diagnosed["condition"], "does-not-start", "{diagnosed}");
        let because = diagnosed["because"].as_array().unwrap();
        let told =
            |own: &serde_json::Value| own["text"].as_str().is_some_and(|text| text.contains(says));
        assert!(because.iter().any(told), "{diagnosed}");
    }
}

/// Of two stores both are told, and neither is changed.
#[test]
fn two_boot_configurations_are_both_told() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let Some(disk) = case("23-two-esps.raw", state) else { return };
    let found = qualification(state, &disk);
    let evidence = check(&found, "default-entry")["evidence"].as_str().unwrap();
    for part in
        ["there are 2 boot configurations", "on partition 1", "on partition 2", "0xC000000E"]
    {
        assert!(evidence.contains(part), "{part}: {evidence}");
    }
}

/// `StartOverride` outweighs `Start`: the machine gets a bus that this Windows starts from.
#[test]
fn a_disk_driver_that_is_overridden_is_not_counted_on() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let Some(disk) = case("21-startoverride.raw", state) else { return };
    let profile = says(state, &["image", "import", text(&disk), "--dry-run"]);
    assert!(profile.contains("disk-bus = \"sata\""), "{profile}");
    assert!(profile.contains("storahci starts with the loader"), "{profile}");
    let found = json(state, &["image", "inspect", text(&disk), "--json"]);
    let buses = found["boot-disk"]["known"]["buses"].as_array().unwrap();
    let starts = |name: &str| &buses.iter().find(|bus| bus["bus"] == name).unwrap()["starts"];
    assert_eq!((starts("virtio"), starts("sata")), (&Value::from(false), &Value::from(true)));
}

/// Hyper-V Server does not call itself Windows, and is no model.
#[test]
fn a_windows_of_another_name_is_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let Some(disk) = case("22-hyperv-server.raw", state) else { return };
    let profile = says(state, &["image", "import", text(&disk), "--dry-run"]);
    assert!(profile.contains("is-model = false"), "{profile}");
    assert!(profile.contains("line = \"windows-server-2019\""), "{profile}");
    let found = json(state, &["image", "inspect", text(&disk), "--json"]);
    assert_eq!(found["system"]["build"]["known"]["number"], 17763);
}

/// An update of the recovery environment would fail here.
#[test]
fn a_recovery_partition_that_is_full_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let Some(disk) = case("25c-winre-full.raw", state) else { return };
    let found = qualification(state, &disk);
    let check = check(&found, "recovery-room");
    assert_eq!(check["answer"], "warn");
    assert!(check["evidence"].as_str().unwrap().contains("needs 250 MiB free"), "{check}");
    let page = says(state, &["image", "inspect", text(&disk)]);
    assert!(page.contains("recovery-room: partition 3"), "{page}");
}

/// A file that ends before its disk does is refused, in one sentence.
#[test]
fn a_disk_that_was_cut_off_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let Some(vmdk) = case("33d-truncated.vmdk", state) else { return };
    let Some(whole) = case("40-base-build-26100.raw", state) else { return };
    let raw = state.join("cut.raw");
    std::fs::write(&raw, &std::fs::read(&whole).unwrap()[..40 << 20]).unwrap();
    let qcow2 = state.join("cut.qcow2");
    let made = std::process::Command::new("qemu-img")
        .args(["convert", "-O", "qcow2", text(&whole), text(&qcow2)])
        .status();
    assert!(made.unwrap().success());
    let bytes = std::fs::read(&qcow2).unwrap();
    std::fs::write(&qcow2, &bytes[..bytes.len() / 2]).unwrap();
    for disk in [&vmdk, &raw, &qcow2] {
        for arguments in [
            &["image", "inspect", text(disk)][..],
            &["image", "import", text(disk), "--name", "cut"],
        ] {
            let error = refused(state, arguments);
            assert!(error.contains("it is cut off"), "{error}");
            assert_eq!(error.trim().lines().count(), 1, "{error}");
        }
    }
}

/// A VHD of the first programs has a footer of 511 bytes.
#[test]
fn a_vhd_of_odd_length_is_refused_for_that() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = case("32-fixed-511.vhd", folder.path()) else { return };
    let error = refused(folder.path(), &["image", "inspect", text(&disk)]);
    assert!(error.contains("no multiple of 512: its footer has 511 bytes"), "{error}");
    // What it says to do helps.
    let file = std::fs::File::options().write(true).open(&disk).unwrap();
    file.set_len(file.metadata().unwrap().len() + 1).unwrap();
    says(folder.path(), &["image", "inspect", text(&disk)]);
}

/// Sectors of 4096 bytes are told, by either table, and what to do.
#[test]
fn sectors_of_4096_bytes_are_refused_with_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = case("02-gpt-4kn.raw", folder.path()) else { return };
    let error = refused(folder.path(), &["image", "inspect", text(&disk)]);
    assert!(
        error.contains("sectors of 4096 bytes") && error.contains("dism /Apply-Image"),
        "{error}"
    );
    assert_eq!(error.matches("sectors of 4096 bytes").count(), 1, "{error}");
}

/// Where Windows is `D:`, `C:` is another volume: a file goes where its path leads.
#[test]
fn drive_letters_are_those_of_the_system() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let Some(disk) = case("37-windows-is-d.raw", state) else { return };
    let found = json(state, &["image", "inspect", text(&disk), "--json"]);
    assert_eq!(found["drives"]["system"], "D");
    assert_eq!(found["drives"]["partitions"]["C"], 3);
    let profile = crate::unpacked::folder().join("profile-with-healthy-marker.toml");
    let import = ["image", "import", text(&disk), "--name", "wind", "--profile", text(&profile)];
    says(state, &import);
    for (path, partition, on_it) in [
        (r"C:\app\fault.sys", "3", "/app/fault.sys"),
        (r"D:\Windows\fault.sys", "2", "/Windows/fault.sys"),
        (r"C:\Windows\fault.sys", "2", "/Windows/fault.sys"),
    ] {
        let staged = staged(state, "37-scenario", r"C:\app\fault.sys", path);
        assert_eq!(read(&staged, partition, on_it), b"bad", "{path}");
    }
}

/// A fault lands in the Windows that starts.
#[test]
fn of_two_windows_the_one_that_starts_takes_the_fault() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let Some(disk) = case("03-dualboot.raw", state) else { return };
    let profile = crate::unpacked::folder().join("profile-with-healthy-marker.toml");
    let import = ["image", "import", text(&disk), "--name", "dual2", "--profile", text(&profile)];
    says(state, &import);
    let staged = staged(state, "03-scenario", "", "");
    let file = "/Windows/System32/drivers/C-00000291-00000000-00000032.sys";
    assert_eq!(read(&staged, "4", file), b"bad");
    assert!(read(&staged, "3", file).is_empty());
}

/// What CompactOS has compressed is read for what it is, moved as that, and written over.
#[test]
fn what_compactos_has_compressed_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    let Some(disk) = case("27-compactos.raw", state) else { return };
    let driver = "/Windows/System32/drivers/viostor.sys";
    let compressed = ["-n", "WofCompressedData"];
    // Its one chunk is stored as it is, so the compressed data is the contents; its unnamed stream is a hole.
    let contents = read_stream(&disk, "2", &compressed, driver);
    assert_eq!(contents.len(), 3000);
    assert_eq!(read(&disk, "2", driver), [0; 3000]);
    let profile = crate::unpacked::folder().join("profile-with-healthy-marker.toml");
    says(
        state,
        &["image", "import", text(&disk), "--name", "compact", "--profile", text(&profile)],
    );
    let stage = |fault: &str| {
        let scenario = format!(
            "format = 1\nname = \"compact\"\ntitle = \"A compressed driver\"\ndescription = \"One.\"\n\
             [machine]\nimage = \"compact\"\nstart = \"cold\"\n[expect]\nverdict = \"unaffected\"\n\
             [[fault]]\nname = \"file\"\nwhen = \"staged\"\n\
             path = 'C:\\Windows\\System32\\drivers\\viostor.sys'\n{fault}\n"
        );
        staged_text(state, &scenario)
    };
    let moved = stage("kind = \"file-loss\"\nquarantine = 'C:\\QUARANTINE'");
    assert_eq!(read(&moved, "2", "/QUARANTINE/viostor.sys"), contents);
    assert!(read(&moved, "2", driver).is_empty());
    let replaced = stage("kind = \"content-file\"\ncontent = { text = \"bad\" }");
    assert_eq!(read(&replaced, "2", driver), b"bad");
    assert!(read_stream(&replaced, "2", &compressed, driver).is_empty());
}

/// The disk of a case's scenario, prepared, as a raw file; its text changed before.
fn staged(state: &Path, scenario: &str, from: &str, to: &str) -> std::path::PathBuf {
    let text_of = std::fs::read_to_string(folder().join(scenario).join("scenario.toml")).unwrap();
    staged_text(state, &if from.is_empty() { text_of } else { text_of.replace(from, to) })
}

/// The disk of a scenario, prepared, as a raw file.
fn staged_text(state: &Path, text_of: &str) -> std::path::PathBuf {
    // A scenario lies in a folder of its name.
    let name = text_of.lines().find_map(|line| line.strip_prefix("name = \"")).unwrap();
    let place = tempfile::tempdir_in(state).unwrap().keep().join(name.trim_end_matches('"'));
    std::fs::create_dir(&place).unwrap();
    let file = place.join("scenario.toml");
    std::fs::write(&file, text_of).unwrap();
    let out = place.join("staged");
    says(state, &["scenario", "stage", text(&file), "--output", text(&out)]);
    let raw = place.join("disk.raw");
    let disk = out.join("disk.qcow2");
    let made = std::process::Command::new("qemu-img")
        .args(["convert", "-O", "raw", text(&disk), text(&raw)])
        .status();
    assert!(made.unwrap().success());
    raw
}

/// A file of a partition, read by ntfs-3g; empty where there is none.
fn read(disk: &Path, partition: &str, file: &str) -> Vec<u8> {
    read_stream(disk, partition, &[], file)
}

/// The same, of the stream that is asked for.
fn read_stream(disk: &Path, partition: &str, stream: &[&str], file: &str) -> Vec<u8> {
    let table = std::process::Command::new("sfdisk").args(["--json", text(disk)]).output().unwrap();
    let table: Value = serde_json::from_slice(&table.stdout).unwrap();
    let number: usize = partition.parse().unwrap();
    let node = format!("{}{number}", text(disk));
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    let found = partitions.iter().find(|one| one["node"] == node.as_str()).unwrap();
    let start = usize::try_from(found["start"].as_u64().unwrap() * 512).unwrap();
    let size = usize::try_from(found["size"].as_u64().unwrap() * 512).unwrap();
    let volume = disk.with_extension("volume");
    std::fs::write(&volume, &std::fs::read(disk).unwrap()[start..start + size]).unwrap();
    let mut ntfscat = std::process::Command::new("ntfscat");
    ntfscat.args(stream).args([text(&volume), file]).output().unwrap().stdout
}
