//! The store, with real disks: taken in, sealed, damaged, brought out, cleaned up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use disk::{
    DiskFormat, DiskSource, GarbageKind, Image, Progress, SourceError, Store, StoreError,
    create_overlay, unwatched,
};

const PROFILE: &str = "format = 1\nis-model = true\nmemory = \"64MiB\"\n";

/// A state directory, and a place for disks.
struct Bench {
    directory: tempfile::TempDir,
    store: Store,
}

impl Bench {
    /// `None` where `qemu-img` is missing.
    fn new() -> Option<Self> {
        if Command::new("qemu-img").arg("--version").output().is_err() {
            println!("skipped: qemu-img is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("state")).unwrap();
        Some(Self { directory, store })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A raw disk of 8 MiB with a boot sector and data here and there; `salt` makes another one.
    fn raw(&self, name: &str, salt: u8) -> PathBuf {
        let path = self.path(name);
        let mut bytes = vec![0; 8 << 20];
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        for (at, byte) in [(70_000, 1), (1 << 20, 2), ((5 << 20) + 123, 3), ((8 << 20) - 1, 4)] {
            bytes[at] = byte + salt;
        }
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn converted(&self, from: &Path, name: &str, options: &[&str]) -> PathBuf {
        let path = self.path(name);
        qemu_img(&[&["convert"], options].concat(), &[from, &path]);
        path
    }

    fn bundle(&self, name: &str, salt: u8) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir(&path).unwrap();
        let raw = self.raw(&format!("{name}.raw"), salt);
        qemu_img(&["convert", "-O", "qcow2"], &[&raw, &path.join("disk.qcow2")]);
        std::fs::write(path.join("profile.toml"), PROFILE).unwrap();
        path
    }

    /// Takes a disk file in, with the profile above.
    fn import(&self, disk: &Path, name: &str) -> Result<Image, StoreError> {
        let mut draft = self.store.draft_of_disk(disk, &unwatched)?;
        draft.set_profile(PROFILE)?;
        self.store.keep(draft, name, &unwatched)
    }

    fn in_images(&self) -> usize {
        std::fs::read_dir(self.path("state/images")).unwrap().count()
    }
}

fn qemu_img(options: &[&str], paths: &[&Path]) {
    let done = Command::new("qemu-img").args(options).args(paths).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Changes a byte of a sealed file as a fault of the medium or a careless hand would.
fn flip(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_same_disk_in_any_format_becomes_the_same_disk() {
    let Some(bench) = Bench::new() else { return };
    let raw = bench.raw("d.raw", 0);
    let vmdk = bench.converted(&raw, "vmdk.bin", &["-O", "vmdk"]);
    let stream =
        bench.converted(&raw, "stream.bin", &["-O", "vmdk", "-o", "subformat=streamOptimized"]);
    let vhdx = bench.converted(&raw, "vhdx.bin", &["-O", "vhdx"]);
    let dynamic = bench.converted(&raw, "dynamic.bin", &["-O", "vpc", "-o", "force_size=on"]);
    let fixed =
        bench.converted(&raw, "fixed.bin", &["-O", "vpc", "-o", "force_size=on,subformat=fixed"]);
    let mut disks = BTreeSet::new();
    for (path, format) in [
        (&raw, DiskFormat::Raw),
        (&vmdk, DiskFormat::Vmdk),
        (&stream, DiskFormat::Vmdk),
        (&vhdx, DiskFormat::Vhdx),
        (&dynamic, DiskFormat::Vhd),
        (&fixed, DiskFormat::Vhd),
    ] {
        let probed = DiskSource::probe(path).unwrap();
        assert_eq!((probed.format, probed.virtual_size), (format, 8 << 20), "{}", path.display());
        let image = bench.import(path, "image").unwrap();
        let again = bench.import(path, "again").unwrap();
        assert_eq!(image.digest, again.digest, "{}", path.display());
        let source = image.manifest().source.as_ref().unwrap();
        assert_eq!(source.format, format.as_str());
        assert_eq!(source.blake3, blake3_of(path));
        qemu_img(&["compare", "-f", "raw", "-F", "qcow2"], &[&raw, &image.disk()]);
        disks.insert(image.manifest().files["disk.qcow2"].blake3.clone());
    }
    assert_eq!(disks.len(), 1, "one disk, whatever it came in");
}

fn blake3_of(path: &Path) -> String {
    blake3::hash(&std::fs::read(path).unwrap()).to_hex().to_string()
}

#[test]
fn a_qcow2_is_taken_as_it_is_unless_it_carries_snapshots() {
    let Some(bench) = Bench::new() else { return };
    let raw = bench.raw("d.raw", 0);
    let qcow2 = bench.converted(&raw, "disk", &["-O", "qcow2", "-c"]);
    let image = bench.import(&qcow2, "plain").unwrap();
    assert_eq!(blake3_of(&image.disk()), blake3_of(&qcow2));
    qemu_img(&["snapshot", "-c", "before"], &[&qcow2]);
    let image = bench.import(&qcow2, "snapshots").unwrap();
    assert_ne!(blake3_of(&image.disk()), blake3_of(&qcow2));
    let listed = Command::new("qemu-img").args(["snapshot", "-l"]).arg(image.disk()).output();
    assert!(listed.unwrap().stdout.is_empty());
}

#[test]
fn a_disk_of_more_than_one_file_is_refused_before_qemu_sees_it() {
    let Some(bench) = Bench::new() else { return };
    let base = bench.converted(&bench.raw("d.raw", 0), "base.qcow2", &["-O", "qcow2"]);
    let overlay = bench.path("overlay.qcow2");
    create_overlay(&overlay, &base).unwrap();
    let external = bench.path("external.qcow2");
    let data = format!("data_file={}", bench.path("data").display());
    qemu_img(&["create", "-q", "-f", "qcow2", "-o", &data, external.to_str().unwrap(), "8M"], &[]);
    let child = bench.path("child.vmdk");
    let parent = bench.converted(&base, "parent.vmdk", &["-O", "vmdk"]);
    qemu_img(&["create", "-q", "-f", "vmdk", "-F", "vmdk", "-b"], &[&parent, &child]);
    let parts = bench.converted(
        &base,
        "parts.vmdk",
        &["-O", "vmdk", "-o", "subformat=twoGbMaxExtentSparse"],
    );
    for (path, part) in [
        (&overlay, "only what changed since `"),
        (&external, "in another file"),
        (&child, "only what changed since `"),
        (&parts, "in other files"),
    ] {
        let error = bench.import(path, "x").unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StoreError::Source(_)) && error.is_usage(), "{text}");
        assert!(text.contains(part), "{text}");
    }
    // The same inside a bundle.
    let bundle = bench.bundle("bundle", 0);
    std::fs::copy(&overlay, bundle.join("disk.qcow2")).unwrap();
    assert!(matches!(
        bench.store.import(&bundle, "x"),
        Err(StoreError::Source(SourceError::Refused { .. }))
    ));
    assert_eq!(bench.in_images(), 0);
}

#[test]
fn what_is_no_disk_is_refused_with_what_it_is() {
    let Some(bench) = Bench::new() else { return };
    let cut = bench.converted(
        &bench.raw("d.raw", 0),
        "cut.vhd",
        &["-O", "vpc", "-o", "force_size=on,subformat=fixed"],
    );
    let bytes = std::fs::read(&cut).unwrap();
    std::fs::write(&cut, [&bytes[..1 << 20], &bytes[bytes.len() - 512..]].concat()).unwrap();
    let text = bench.import(&cut, "x").unwrap_err().to_string();
    assert!(text.contains("is cut off"), "{text}");
    for (contents, part) in
        [(&b""[..], "it is empty"), (b"PK\x03\x04zip", "zip"), (b"hello", "55 AA")]
    {
        let path = bench.path("disk.qcow2");
        std::fs::write(&path, contents).unwrap();
        let text = bench.import(&path, "x").unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    }
    let text = bench.import(&bench.path("none"), "x").unwrap_err().to_string();
    assert!(text.contains("cannot be read"), "{text}");
    assert_eq!(bench.in_images(), 0);
}

#[test]
fn windows_own_fixed_vhd_is_not_taken_for_raw() {
    let Some(path) = artifact("volumes/fixed-win.vhd") else { return };
    let Some(bench) = Bench::new() else { return };
    let probed = DiskSource::probe(&path).unwrap();
    assert_eq!((probed.format, probed.virtual_size), (DiskFormat::Vhd, 3 << 20));
    let image = bench.import(&path, "vhd").unwrap();
    let raw = bench.converted(&image.disk(), "vhd.raw", &["-O", "raw"]);
    let original = std::fs::read(&path).unwrap();
    assert!(std::fs::read(raw).unwrap() == original[..original.len() - 512]);
}

#[test]
fn a_qcow2_from_elsewhere_is_taken_unchanged() {
    let Some(path) = artifact("volumes/windows_volume.qcow2") else { return };
    let Some(bench) = Bench::new() else { return };
    let image = bench.import(&path, "volume").unwrap();
    assert_eq!(blake3_of(&image.disk()), blake3_of(&path));
}

fn artifact(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LOOPBREAK_ARTIFACTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/artifacts"),
        PathBuf::from,
    );
    let path = folder.join(name);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn the_same_bundle_has_the_same_digest_and_another_has_another() {
    let Some(bench) = Bench::new() else { return };
    let one = bench.store.import(&bench.bundle("one", 0), "one").unwrap();
    let same = bench.store.import(&bench.path("one"), "same").unwrap();
    let other = bench.store.import(&bench.bundle("other", 1), "other").unwrap();
    assert_eq!(one.digest, same.digest);
    assert_ne!(one.digest, other.digest);
    assert_eq!(bench.store.image(&other.digest[..8]).unwrap().digest, other.digest);
    let names: Vec<String> =
        bench.store.list().unwrap().into_iter().map(|listed| listed.name).collect();
    assert_eq!(names, ["one", "other", "same"]);
    assert!(one.firmware_vars().is_none() && one.tpm_state().is_none());
    assert!(
        !std::fs::read_to_string(one.disk().with_file_name("manifest.json"))
            .unwrap()
            .contains("time")
    );
    let mode = std::fs::metadata(one.disk()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
}

#[test]
fn all_parts_of_a_bundle_come_in_and_out_again_with_the_same_digest() {
    let Some(bench) = Bench::new() else { return };
    let bundle = bench.bundle("bundle", 0);
    std::fs::write(bundle.join("vars.fd"), b"variables").unwrap();
    std::fs::write(bundle.join("qualification.json"), b"{}\n").unwrap();
    std::fs::create_dir(bundle.join("tpm")).unwrap();
    std::fs::write(bundle.join("tpm/tpm2-00.permall"), b"state").unwrap();
    std::fs::write(bundle.join("tpm/.lock"), b"").unwrap();
    let image = bench.store.import(&bundle, "image").unwrap();
    let files: Vec<&str> = image.manifest().files.keys().map(String::as_str).collect();
    assert_eq!(
        files,
        ["disk.qcow2", "profile.toml", "qualification.json", "tpm/tpm2-00.permall", "vars.fd"]
    );
    let state = std::fs::read(image.tpm_state().unwrap().join("tpm2-00.permall")).unwrap();
    assert_eq!(state, b"state");

    // libvirt keeps the same file one folder deeper.
    let libvirt = bench.path("libvirt/tpm2");
    std::fs::create_dir_all(&libvirt).unwrap();
    std::fs::write(libvirt.join("tpm2-00.permall"), b"state").unwrap();
    let mut draft = bench.store.draft_of_bundle(&bundle, &unwatched).unwrap();
    draft.set_tpm_state(&bench.path("libvirt")).unwrap();
    let same = bench.store.keep(draft, "same", &unwatched).unwrap();
    assert_eq!(same.digest, image.digest);
    let mut draft = bench.store.draft_of_image(&image, &unwatched).unwrap();
    let text = draft.set_tpm_state(bench.directory.path()).unwrap_err().to_string();
    assert!(text.contains("not TPM state") || text.contains("no file of TPM state"), "{text}");

    let out = bench.path("out");
    bench.store.export(&image, &out, &unwatched).unwrap();
    let again = bench.store.export(&image, &out, &unwatched);
    assert!(matches!(again, Err(StoreError::Exists(_))));
    let other = Store::open(&bench.path("other-state")).unwrap();
    assert_eq!(other.import(&out, "image").unwrap().digest, image.digest);
    // What was changed on the way is refused, and so is what a manifest may not name.
    flip(&out.join("vars.fd"));
    let text = other.import(&out, "x").unwrap_err().to_string();
    assert!(text.contains("vars.fd is not what its manifest says"), "{text}");
    let manifest = std::fs::read_to_string(out.join("manifest.json")).unwrap();
    std::fs::write(out.join("manifest.json"), manifest.replace("vars.fd", "../../evil")).unwrap();
    let text = other.import(&out, "x").unwrap_err().to_string();
    assert!(text.contains("`../../evil` is not part of an image"), "{text}");
    let newer = manifest.replace("\"format\": 2", "\"format\": 3");
    std::fs::write(out.join("manifest.json"), newer).unwrap();
    assert!(matches!(other.import(&out, "x"), Err(StoreError::Format { found: 3, .. })));
}

#[test]
fn a_disk_comes_out_in_every_format() {
    let Some(bench) = Bench::new() else { return };
    let raw = bench.raw("d.raw", 0);
    let image = bench.import(&raw, "image").unwrap();
    for format in DiskFormat::ALL {
        let out = bench.path(&format!("out:{}", format.as_str()));
        bench.store.export_disk(&image, &out, format, &unwatched).unwrap();
        let probed = DiskSource::probe(&out).unwrap();
        assert_eq!((probed.format, probed.virtual_size), (format, 8 << 20));
        let back = bench.import(&out, "back").unwrap();
        qemu_img(&["compare", "-f", "raw", "-F", "qcow2"], &[&raw, &back.disk()]);
        let again = bench.store.export_disk(&image, &out, format, &unwatched);
        assert!(matches!(again, Err(StoreError::Exists(_))));
    }
}

#[test]
fn damage_is_found_each_time_and_mended_by_importing_again() {
    let Some(bench) = Bench::new() else { return };
    let bundle = bench.bundle("bundle", 0);
    std::fs::write(bundle.join("vars.fd"), b"variables").unwrap();
    let image = bench.store.import(&bundle, "image").unwrap();
    let directory = image.disk().parent().unwrap().to_path_buf();
    let found = |part: &str| {
        // What a run does before it forks a machine, and what `verify` does.
        let error = bench.store.image("image").unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StoreError::Damaged { .. }) && error.is_usage(), "{text}");
        assert!(text.contains(part) && text.contains("import it again"), "{text}");
        let verified = bench.store.verify(&image, &unwatched).unwrap_err().to_string();
        assert!(verified.contains(part), "{verified}");
        let mended = bench.store.import(&bundle, "image").unwrap();
        assert_eq!(mended.digest, image.digest);
        bench.store.verify(&image, &unwatched).unwrap();
        bench.store.image("image").unwrap();
    };
    // A byte, with the size as it was.
    flip(&image.disk());
    found("the contents of disk.qcow2 were changed");
    flip(&directory.join("vars.fd"));
    found("the contents of vars.fd were changed");
    std::fs::remove_file(directory.join("profile.toml")).unwrap();
    found("profile.toml is missing");
    std::fs::write(directory.join("autorun.inf"), b"").unwrap();
    found("autorun.inf does not belong to it");
    std::fs::write(directory.join("manifest.json.new"), b"").unwrap();
    std::fs::rename(directory.join("manifest.json.new"), directory.join("manifest.json")).unwrap();
    found("its manifest was changed");
    // A copy of the same file in its place is the same image.
    std::fs::copy(image.disk(), bench.path("copy")).unwrap();
    std::fs::rename(bench.path("copy"), image.disk()).unwrap();
    bench.store.image("image").unwrap();
    // Two at once are both named, and the list shows the image as damaged without reading it.
    flip(&directory.join("vars.fd"));
    std::fs::remove_file(image.disk()).unwrap();
    let text = bench.store.image("image").unwrap_err().to_string();
    assert!(text.contains("disk.qcow2 is missing"), "{text}");
    assert!(bench.store.list().unwrap()[0].image.is_err());
    bench.store.remove("image").unwrap();
    assert!(matches!(bench.store.image("image"), Err(StoreError::NoImage { .. })));
}

#[test]
fn a_whole_image_is_not_hashed_again() {
    let Some(bench) = Bench::new() else { return };
    let image = bench.store.import(&bench.bundle("bundle", 0), "image").unwrap();
    let seal = bench.path("state/seals").join(format!("{}.json", image.digest));
    // The first look may come too soon after the write to be believed; from then on nothing is noted anew.
    loop {
        let before = std::fs::read(&seal).unwrap();
        bench.store.image("image").unwrap();
        if std::fs::read(&seal).unwrap() == before {
            break;
        }
    }
    // Without the note it is hashed, and noted again.
    std::fs::remove_file(&seal).unwrap();
    bench.store.image("image").unwrap();
    assert!(seal.exists());
}

#[test]
fn an_image_of_the_first_format_is_still_read() {
    let Some(bench) = Bench::new() else { return };
    let bundle = bench.bundle("bundle", 0);
    let mut files = serde_json::Map::new();
    for file in ["disk.qcow2", "profile.toml"] {
        let path = bundle.join(file);
        let size = std::fs::metadata(&path).unwrap().len();
        files.insert(file.into(), serde_json::json!({ "size": size, "blake3": blake3_of(&path) }));
    }
    let manifest = serde_json::json!({ "format": 1, "files": files }).to_string();
    let digest = blake3::hash(manifest.as_bytes()).to_hex().to_string();
    std::fs::write(bundle.join("manifest.json"), manifest).unwrap();
    std::fs::rename(&bundle, bench.path("state/images").join(&digest)).unwrap();
    std::fs::write(bench.path("state/names/old"), &digest).unwrap();
    let image = bench.store.image("old").unwrap();
    assert_eq!((image.digest.as_str(), image.manifest().format), (digest.as_str(), 1));
    bench.store.verify(&image, &unwatched).unwrap();
}

#[test]
fn names_cannot_leave_the_store() {
    let Some(bench) = Bench::new() else { return };
    let bundle = bench.bundle("bundle", 0);
    for name in ["", "../x", ".x", "-x", "a/b", "A"] {
        let result = bench.store.import(&bundle, name);
        assert!(matches!(result, Err(StoreError::BadName(_))), "{name}");
        assert!(bench.store.image(name).is_err());
        assert!(bench.store.remove(name).is_err());
    }
    std::fs::write(bench.path("state/names/x"), "../../somewhere").unwrap();
    assert!(bench.store.image("x").is_err());
}

#[test]
fn an_interrupted_import_leaves_nothing() {
    let Some(bench) = Bench::new() else { return };
    let raw = bench.raw("d.raw", 0);
    for stage in ["hashing", "converting", "sealing"] {
        let watch = |progress: Progress| match progress.doing == stage {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let result = bench.store.draft_of_disk(&raw, &watch).and_then(|mut draft| {
            draft.set_profile(PROFILE)?;
            bench.store.keep(draft, "x", &watch)
        });
        assert!(matches!(result, Err(StoreError::Interrupted)), "{stage}");
        assert_eq!(bench.in_images(), 0, "{stage}");
    }
    let empty = tempfile::tempdir().unwrap();
    let result = bench.store.import(empty.path(), "x");
    assert!(matches!(result, Err(StoreError::Incomplete { part: "disk.qcow2", .. })));
    assert_eq!(bench.in_images(), 0);
}

#[test]
fn many_imports_of_one_name_at_once_end_with_a_whole_image() {
    let Some(bench) = Bench::new() else { return };
    let bundles: Vec<PathBuf> =
        (0..3).map(|salt| bench.bundle(&format!("b{salt}"), salt)).collect();
    std::thread::scope(|scope| {
        for turn in 0..6 {
            let (bench, bundle) = (&bench, &bundles[turn % 3]);
            scope.spawn(move || bench.store.import(bundle, "image").unwrap());
            // Garbage is collected meanwhile, and takes nothing that is being put together.
            scope.spawn(|| bench.store.collect_garbage(&BTreeSet::new(), false).unwrap());
        }
    });
    let image = bench.store.image("image").unwrap();
    bench.store.verify(&image, &unwatched).unwrap();
    bench.store.collect_garbage(&BTreeSet::new(), false).unwrap();
    assert_eq!(bench.in_images(), 1);
}

#[test]
fn a_name_goes_alone_while_another_holds_the_image() {
    let Some(bench) = Bench::new() else { return };
    let bundle = bench.bundle("bundle", 0);
    let image = bench.store.import(&bundle, "one").unwrap();
    bench.store.import(&bundle, "two").unwrap();
    let removed = bench.store.remove("one").unwrap();
    assert_eq!(removed.kept_for, ["two"]);
    assert!(bench.store.image("one").is_err() && bench.store.image("two").is_ok());
    bench.store.import(&bundle, "three").unwrap();
    let removed = bench.store.remove(&image.digest[..10]).unwrap();
    assert_eq!(removed.names, ["three", "two"]);
    assert_eq!(bench.in_images(), 0);
}

#[test]
fn garbage_is_what_nobody_refers_to_and_nobody_makes() {
    let Some(bench) = Bench::new() else { return };
    let import =
        |name: &str, salt| bench.store.import(&bench.bundle(name, salt), "moving").unwrap();
    // Three images lose their name to the next one: one has a checkpoint, one a run, one nobody.
    let (under, run, nobody) = (import("a", 0), import("b", 1), import("c", 2));
    let named = import("d", 3);
    let checkpoint = |key: &str, image: &Image| {
        let partial = bench.store.new_checkpoint().unwrap();
        create_overlay(&partial.path().join("disk.qcow2"), &image.disk()).unwrap();
        std::fs::write(partial.path().join("facts.json"), b"{}").unwrap();
        bench.store.keep_checkpoint(key, partial).unwrap();
    };
    checkpoint("kept", &under);
    checkpoint("orphan", &nobody);
    std::fs::remove_dir_all(nobody.disk().parent().unwrap()).unwrap();
    let unnamed = import("e", 4);
    bench.store.import(&bench.path("d"), "moving").unwrap();
    // An import that was killed, and one that lives.
    std::fs::create_dir(bench.path("state/images/.import-killed")).unwrap();
    std::fs::write(bench.path("state/images/.import-killed/disk.qcow2"), [1; 9000]).unwrap();
    let living = bench.store.draft_of_disk(&bench.raw("r.raw", 9), &unwatched).unwrap();
    let making = bench.store.new_checkpoint().unwrap();

    let in_use = BTreeSet::from([run.digest.clone()]);
    let shown = bench.store.collect_garbage(&in_use, true).unwrap();
    let removed = bench.store.collect_garbage(&in_use, false).unwrap();
    assert_eq!(shown, removed, "a dry run shows what would go, and removes nothing");
    let mut found: Vec<(GarbageKind, &str)> =
        removed.iter().map(|one| (one.kind, one.name.as_str())).collect();
    found.sort();
    assert_eq!(
        found,
        [
            (GarbageKind::Image, unnamed.digest.as_str()),
            (GarbageKind::Checkpoint, "orphan"),
            (GarbageKind::PartialImport, ".import-killed"),
            (GarbageKind::Seal, nobody.digest.as_str()),
        ]
    );
    assert!(removed.iter().all(|one| one.bytes > 0 && !one.path.exists()));
    for image in [&under, &run, &named] {
        bench.store.image(&image.digest).unwrap();
    }
    assert!(bench.store.checkpoint("kept").is_some() && making.path().exists());
    assert!(living.disk().exists());
    // With its maker gone, what it left is garbage too.
    drop((living, making));
    assert!(bench.store.collect_garbage(&in_use, true).unwrap().is_empty());
}

#[test]
fn a_checkpoint_is_there_when_it_is_complete() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::open(state.path()).unwrap();
    let partial = store.new_checkpoint().unwrap();
    std::fs::write(partial.path().join("ram"), b"ram").unwrap();
    std::fs::write(partial.path().join("facts.json"), b"{}").unwrap();
    assert!(store.checkpoint("key").is_none());
    store.keep_checkpoint("key", partial).unwrap();
    let kept = store.checkpoint("key").unwrap();
    assert_eq!(std::fs::read(kept.ram()).unwrap(), b"ram");
    let second = store.new_checkpoint().unwrap();
    std::fs::write(second.path().join("ram"), b"other").unwrap();
    std::fs::write(second.path().join("facts.json"), b"{}").unwrap();
    store.keep_checkpoint("key", second).unwrap();
    assert_eq!(std::fs::read(kept.ram()).unwrap(), b"ram");
    assert_eq!(std::fs::read_dir(state.path().join("checkpoints")).unwrap().count(), 1);
    store.remove_checkpoint(kept).unwrap();
    assert!(store.checkpoint("key").is_none());
}
