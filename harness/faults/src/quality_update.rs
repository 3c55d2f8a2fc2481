//! An update as a package that is installed: what it brought is recorded as the servicing stack does it, and what was
//! there before is kept, so that it can be uninstalled (windows-facts 4.5).

use jiff::Timestamp;
use scenario::QualityUpdate;
use winfmt::servicing::{Identity, Package};

use crate::plan::{
    Change, Edit, HiveName, Origin, Servicing, StagePlan, StagedEdit, Touched, VolumeRole,
};
use crate::stage_error::StageError;

/// The publisher of packages that are made here: `loopbrea` in ASCII. Microsoft's own are 31bf3856ad364e35.
const TOKEN: &str = "6c6f6f7062726561";
/// The versions of what was there and of what the update brought.
const EARLIER: [u16; 4] = [10, 0, 26100, 1];
const NEWER: [u16; 4] = [10, 0, 26100, 2];
/// The version of the package.
const REVISION: [u16; 4] = [26100, 1, 1, 0];

/// Records the update in a plan that has all that it brings. `of` makes the origin of a fault's changes.
pub(crate) fn record(
    plan: &mut StagePlan,
    update: &QualityUpdate,
    of: fn(String) -> Origin,
    modified: Option<Timestamp>,
) -> Result<(), StageError> {
    let origin = of(update.name.clone());
    let brings = if update.inert { &[][..] } else { &update.brings };
    if brings.is_empty() {
        let text = format!("This came with {}. Nothing reads it.\r\n", update.kb);
        let edit = Edit::WriteFile {
            volume: VolumeRole::Windows,
            path: format!("Windows\\Temp\\{}.txt", update.name),
            bytes: text.into_bytes(),
            modified,
        };
        plan.staged.push(StagedEdit { origin: origin.clone(), change: edit.into() });
    }
    let is_brought = |staged: &StagedEdit| match brings {
        [] => staged.origin == origin,
        brings => brings.iter().any(|name| staged.origin == of(name.clone())),
    };
    let places: Vec<usize> =
        (0..plan.staged.len()).filter(|at| is_brought(&plan.staged[*at])).collect();
    let mut touched = Vec::new();
    for at in &places {
        let change = &plan.staged[*at].change;
        let object = touched_by(change).ok_or_else(|| StageError::NoPackage {
            fault: update.name.clone(),
            object: change.object(),
        })?;
        if !touched.contains(&object) {
            touched.push(object);
        }
    }
    let component = |version| identity(&format!("loopbreak-{}", update.name), version);
    let package = Package {
        identity: identity(&format!("Package_for_{}", update.kb), REVISION),
        identifier: update.kb.clone(),
        release_type: "Update".to_owned(),
        components: vec![component(NEWER)],
    };
    let (Some(first), Some(last)) = (places.first(), places.last()) else { return Ok(()) };
    let snapshot =
        |version| Servicing::Component { identity: component(version), touched: touched.clone() };
    let after = [snapshot(NEWER), Servicing::Installed { package, when: modified }];
    let staged =
        |servicing| StagedEdit { origin: origin.clone(), change: Change::Servicing(servicing) };
    plan.staged.splice(last + 1..last + 1, after.map(staged));
    plan.staged.insert(*first, staged(snapshot(EARLIER)));
    Ok(())
}

fn identity(name: &str, version: [u16; 4]) -> Identity {
    Identity {
        name: name.to_owned(),
        version,
        architecture: "amd64".to_owned(),
        language: "neutral".to_owned(),
        token: TOKEN.to_owned(),
    }
}

/// What of a component's a change is about; `None` where it is nothing that a component has.
fn touched_by(change: &Change) -> Option<Touched> {
    let file = |volume: VolumeRole, path: &str| {
        let on_c = volume == VolumeRole::Windows && path.as_bytes().get(1) != Some(&b':');
        let is_hive = [HiveName::System, HiveName::Software, HiveName::Components]
            .iter()
            .any(|hive| path.eq_ignore_ascii_case(hive.file()));
        (on_c && !is_hive).then(|| Touched::File(path.to_owned()))
    };
    match change {
        Change::Edit(Edit::WriteFile { volume, path, .. } | Edit::RemoveFile { volume, path })
        | Change::Rewrite { volume, path, .. }
        | Change::Copy { volume, to: path, .. }
        | Change::Version { volume, path, .. } => file(*volume, path),
        Change::Edit(
            Edit::SetValue { hive, key, name, .. } | Edit::RemoveValue { hive, key, name },
        )
        | Change::AddTexts { hive, key, name, .. }
        | Change::Keep { hive, key, name } => {
            Some(Touched::Value(*hive, key.clone(), name.clone()))
        }
        _ => None,
    }
}
