//! The incidents that come with the project, each with one layer and no other.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use scenario::{LAYERS_ALONE, Layer, Scenario, alone};

fn folders() -> Vec<PathBuf> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let mut folders: Vec<PathBuf> = fs_err::read_dir(library)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|folder| folder.join("scenario.toml").is_file())
        .collect();
    folders.sort();
    folders
}

fn of(incident: &str, layer: Layer) -> Result<(Scenario, bool), String> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let variants = Scenario::load_all(&library.join(incident)).unwrap();
    alone(&variants, layer).map(|alone| (alone.scenario, alone.made))
}

/// What is made of an incident is a scenario that somebody could have written: it loads, and means the same.
#[test]
fn what_is_made_could_have_been_written() {
    let mut made = 0;
    for folder in folders() {
        let variants = Scenario::load_all(&folder).unwrap();
        for layer in LAYERS_ALONE {
            let Ok(alone) = alone(&variants, layer) else { continue };
            assert_eq!(alone.scenario.layer_alone(), Some(layer), "{}", alone.scenario.name);
            if !alone.made {
                continue;
            }
            made += 1;
            let home = tempfile::tempdir().unwrap();
            let written = home.path().join("made");
            fs_err::create_dir(&written).unwrap();
            let mut scenario = alone.scenario;
            scenario.name = "made".to_owned();
            for (name, bytes) in &scenario.files {
                let path = written.join(name);
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                fs_err::write(path, bytes).unwrap();
            }
            let text = toml::to_string(&scenario).unwrap();
            fs_err::write(written.join("scenario.toml"), &text).unwrap();
            let loaded = Scenario::load(&written).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(loaded, scenario);
        }
    }
    assert!(made > 50, "only {made}");
}

/// All that is done to a machine that was given up begins in the same way.
#[test]
fn layers_of_one_incident_begin_in_the_same_way() {
    let digest = |layer| of("kb5021233", layer).unwrap().0.until_given_up().unwrap();
    let local = digest(Layer::AutomaticRepair);
    assert_eq!(digest(Layer::HostRepair), local);
    assert_eq!(digest(Layer::Reboots), local);
    assert_eq!(digest(Layer::RestorePoint), local);
    // These have something set before anything goes wrong.
    assert_ne!(digest(Layer::QuickMachineRecovery), local);
    assert_ne!(digest(Layer::LastKnownGood), local);
}

#[test]
fn what_cannot_be_made_says_why() {
    let why = of("kb5021233", Layer::SafeMode).unwrap_err();
    assert!(why.contains("more than deleting files"), "{why}");
    let why = of("kb5021233", Layer::UninstallUpdate).unwrap_err();
    assert!(why.contains("nothing that goes wrong came with an update"), "{why}");
    let why = of("kb5021233", Layer::Rollback).unwrap_err();
    assert!(why.contains("no checkpoint from before"), "{why}");
}

/// What goes wrong says what can be uninstalled.
#[test]
fn what_came_with_an_update_is_uninstalled() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/kb4041676");
    let mut variants = Scenario::load_all(&folder).unwrap();
    variants.retain(|variant| variant.uninstall_update.is_none());
    let alone = alone(&variants, Layer::UninstallUpdate).unwrap();
    assert!(alone.made);
    assert_eq!(alone.scenario.uninstall_update.unwrap().package.as_deref(), Some("latest"));
}

/// Without a repair of its own for the host, what the vendor's remediation deletes is deleted.
#[test]
fn the_remediation_says_what_is_to_be_deleted() {
    let (repaired, made) = of("channel-file-291", Layer::HostRepair).unwrap();
    assert!(made);
    let deleted = serde_json::to_string(&repaired.host_repair).unwrap();
    assert!(deleted.contains("C-00000291*.sys"), "{deleted}");
    let (own, made) = of("channel-file-291", Layer::QuickMachineRecovery).unwrap();
    assert_eq!((own.name.as_str(), made), ("channel-file-291", false));
}
