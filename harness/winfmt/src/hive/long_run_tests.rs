//! Ten thousand edits in a row against the model, on a hive that was made here and on one that Windows
//! wrote; at the end libhivex reads both.

use std::collections::BTreeMap;
use std::process::Command;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::check::check;
use super::model_tests::{Edit, Model, apply, contents, edits, empty, hivexml, place, verify};
use super::{Hive, KeyPath, Version};

const EDITS: usize = 10_000;

/// What a run of edits left behind.
#[derive(Debug)]
struct Figures {
    size_before: usize,
    size_after: usize,
    /// The most bytes that were in use at any time.
    peak: usize,
    /// Edits that changed something, by kind.
    done: BTreeMap<&'static str, usize>,
}

/// What the edits so far have touched, so that later ones come back to it.
struct Known {
    keys: Vec<String>,
    values: Vec<(String, String)>,
}

impl Known {
    /// Puts an edit under another key or, half of the time, where something is already; and makes its
    /// data what `hivexml` can print.
    fn aim(&self, edit: Edit, again: bool, pick: &Index) -> Edit {
        let above = pick.get(&self.keys);
        let below = |own: String| if above.is_empty() { own } else { format!("{above}\\{own}") };
        let value = (again && !self.values.is_empty()).then(|| pick.get(&self.values).clone());
        match edit {
            Edit::CreateKey(own) => Edit::CreateKey(below(own)),
            Edit::DeleteKey(_) if again && !above.is_empty() => Edit::DeleteKey(above.clone()),
            Edit::DeleteKey(own) => Edit::DeleteKey(below(own)),
            Edit::SetValue(own, name, mut data) => {
                data.bytes = b"x\0".iter().copied().cycle().take(data.bytes.len()).collect();
                let (path, name) = value.unwrap_or_else(|| (below(own), name));
                Edit::SetValue(path, name, data)
            }
            Edit::DeleteValue(own, name) => {
                let (path, name) = value.unwrap_or_else(|| (below(own), name));
                Edit::DeleteValue(path, name)
            }
        }
    }

    fn learn(&mut self, edit: &Edit) {
        match edit {
            Edit::CreateKey(path) => self.keys.push(path.clone()),
            Edit::SetValue(path, name, _) => self.values.push((path.clone(), name.clone())),
            Edit::DeleteKey(_) | Edit::DeleteValue(..) => {}
        }
    }
}

/// Whether an edit changes something, and what kind it is.
fn kind(edit: &Edit, model: &Model) -> Option<&'static str> {
    let exists = |path: &str| model.contains_key(&place(path));
    let has = |path: &str, name: &str| {
        let name = super::Name::from(name);
        model
            .get(&place(path))
            .is_some_and(|(_, values)| values.iter().any(|(own, _)| own.same(&name)))
    };
    match edit {
        Edit::CreateKey(path) => (!exists(path)).then_some("keys made"),
        Edit::DeleteKey(path) => exists(path).then_some("keys deleted"),
        Edit::SetValue(path, name, _) if has(path, name) => Some("values replaced"),
        Edit::SetValue(..) => Some("values made"),
        Edit::DeleteValue(path, name) => has(path, name).then_some("values deleted"),
    }
}

/// Paths that grow with every edit would reach the limit of the registry.
fn too_deep(edit: &Edit) -> bool {
    let (Edit::CreateKey(path)
    | Edit::DeleteKey(path)
    | Edit::SetValue(path, ..)
    | Edit::DeleteValue(path, _)) = edit;
    path.matches('\\').count() > 40
}

fn run(hive: &mut Hive, model: &mut Model, places: &[String]) -> Figures {
    let mut runner = TestRunner::deterministic();
    let in_use = |hive: &Hive| hive.size() - usize::try_from(hive.free_bytes()).unwrap();
    let mut figures = Figures {
        size_before: hive.size(),
        size_after: 0,
        peak: in_use(hive),
        done: BTreeMap::new(),
    };
    let mut known = Known { keys: places.to_vec(), values: Vec::new() };
    let strategy = (edits(), any::<bool>(), any::<Index>());
    let mut number = 0;
    while number < EDITS {
        let (edit, again, pick) = strategy.new_tree(&mut runner).unwrap().current();
        let edit = known.aim(edit, again, &pick);
        if too_deep(&edit) {
            continue;
        }
        number += 1;
        if let Some(kind) = kind(&edit, model) {
            *figures.done.entry(kind).or_default() += 1;
        }
        apply(hive, model, &edit);
        known.learn(&edit);
        figures.peak = figures.peak.max(in_use(hive));
        if number % 2500 == 1000 {
            *hive = Hive::open(hive.to_bytes().unwrap()).unwrap();
        }
    }
    figures.size_after = hive.size();
    figures
}

/// `hivexml` counts the same keys and values, and `hivexsh` lists the same subkeys of sampled keys.
fn libhivex_agrees(bytes: &[u8], model: &Model) {
    let Some(xml) = hivexml(bytes) else { return };
    assert_eq!(xml.matches("<node ").count(), model.len(), "keys by hivexml");
    let values: usize = model.values().map(|(_, values)| values.len()).sum();
    assert_eq!(xml.matches("<value ").count(), values, "values by hivexml");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    std::fs::write(&path, bytes).unwrap();
    let hive = Hive::open(bytes.to_vec()).unwrap();
    let (mut script, mut wanted) = (String::new(), String::new());
    let step = (model.len() / 500).max(1);
    for walked in hive.walk().step_by(step) {
        let walked = walked.unwrap();
        script += &format!("cd \\{}\nls\n", walked.path);
        for name in walked.key.subkey_names().unwrap() {
            wanted += &format!("{name}\n");
        }
    }
    let file = folder.path().join("script");
    std::fs::write(&file, script).unwrap();
    let mut command = Command::new("hivexsh");
    command.env("LC_ALL", "C.UTF-8").arg("-f").arg(&file).arg(&path);
    let Ok(output) = command.output() else {
        println!("skipped: `hivexsh` is not installed (Debian package libhivex-bin)");
        return;
    };
    assert!(output.status.success(), "hivexsh: {}", String::from_utf8_lossy(&output.stderr));
    // It lists in an order of its own.
    let listed = String::from_utf8_lossy(&output.stdout);
    let (mut theirs, mut ours): (Vec<_>, Vec<_>) =
        (listed.lines().collect(), wanted.lines().collect());
    theirs.sort_unstable();
    ours.sort_unstable();
    let other = theirs.iter().zip(&ours).find(|(theirs, ours)| theirs != ours);
    assert_eq!(other, None, "hivexsh and we list another subkey");
    assert_eq!(theirs.len(), ours.len());
    println!(
        "hivexml: {} keys, {values} values; hivexsh: {} names",
        model.len(),
        wanted.lines().count()
    );
}

#[test]
fn ten_thousand_edits_of_a_new_hive() {
    for version in [Version::V1_3, Version::V1_5] {
        let (mut hive, mut model) = empty(version);
        let figures = run(&mut hive, &mut model, &[String::new()]);
        println!("version {version}: {figures:?}");
        verify(&hive, &model);
        // Free cells that are too small for what comes next cost some room, but not more with time.
        let bound = figures.peak + figures.peak / 4 + 64 * 1024;
        assert!(figures.size_after <= bound, "{figures:?}");
        assert!(figures.done.values().sum::<usize>() > EDITS / 2, "{figures:?}");
        libhivex_agrees(&hive.to_bytes().unwrap(), &model);
    }
}

#[test]
fn ten_thousand_edits_of_a_hive_that_windows_wrote() {
    let Some(bytes) = crate::artifacts::read("hives/system-win7sp1-x86.SYSTEM.xz") else { return };
    let mut hive = Hive::open(bytes).unwrap();
    let mut model = contents(&hive);
    let lost = hive.cells.allocated_count() - check(&hive).unwrap().used.len();
    // Keys of Windows in the middle of the tree: services with their subkeys, classes, devices.
    let places: Vec<String> = hive
        .walk()
        .map(|walked| walked.unwrap().path)
        .filter(|path| path.names().len() >= 3 && path.to_string().starts_with("ControlSet001"))
        .step_by(40)
        .map(|path: KeyPath| path.to_string())
        .collect();
    assert!(places.len() > 100, "{} places", places.len());
    let figures = run(&mut hive, &mut model, &places);
    println!("SYSTEM of Windows 7, {} places: {figures:?}", places.len());
    let bytes = hive.to_bytes().unwrap();
    let again = Hive::open(bytes.clone()).unwrap();
    assert!(contents(&again) == model, "not as the model");
    let audit = check(&again).unwrap();
    assert_eq!(again.cells.allocated_count() - audit.used.len(), lost, "cells lost");
    for (&cell, &users) in &audit.users {
        assert_eq!(again.security_count(cell).unwrap(), users, "users of a descriptor");
    }
    let bound = figures.peak + figures.peak / 4 + 64 * 1024;
    assert!(figures.size_after <= bound.max(figures.size_before), "{figures:?}");
    assert!(figures.done["keys deleted"] > 300, "{figures:?}");
    libhivex_agrees(&bytes, &model);
}
