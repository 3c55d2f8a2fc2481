//! Images in and out of the store, checked and removed.

use std::collections::BTreeSet;
use std::path::Path;

use disk::{DiskFormat, Store};
use engine::intake::{self, Facts, IntakeOptions, ProposedProfile};
use engine::{RunDir, StateDir};
use hypervisor::FirmwareKind;
use inspect::Qualification;
use winfmt::escaped;

use super::show::answer;
use super::transfer::Transfer;
use super::{
    ExportArgs, FirmwareArg, FormatArg, ImportArgs, QualifyArgs, intake_marked, marked, size,
};
use crate::exit::{Exit, infrastructure, usage};
use crate::output::{print, print_json, tell};

pub(super) fn import(store: &Store, args: &ImportArgs) -> anyhow::Result<Exit> {
    let options = IntakeOptions {
        firmware: args.firmware.map(|kind| match kind {
            FirmwareArg::Bios => FirmwareKind::Bios,
            FirmwareArg::Uefi => FirmwareKind::Uefi,
        }),
        firmware_vars: args.vars.clone(),
        tpm_state: args.tpm.clone(),
        profile: args.profile.clone(),
        windows: args.windows,
    };
    if args.dry_run {
        let found = intake::inspect_file(&args.path, args.windows).map_err(intake_marked)?;
        let proposed = ProposedProfile::new(&Facts::of(&found), options.firmware);
        print(&proposed.to_toml())?;
        return Ok(Exit::AsExpected);
    }
    let Some(name) = args.name.as_deref() else { anyhow::bail!("no name was given") };
    // Said before a large disk is converted.
    Store::check_name(name).map_err(marked)?;
    let transfer = Transfer::new()?;
    let intake = transfer
        .watch(|watch| intake::prepare(store, &args.path, &options, watch))
        .map_err(intake_marked)?;
    let qualification = intake.qualification.clone();
    let image = transfer.watch(|watch| intake.keep(store, name, watch)).map_err(intake_marked)?;
    transfer.done();
    print(&format!("{} {}\n", image.name, image.digest))?;
    tell_failing(name, &qualification);
    Ok(Exit::AsExpected)
}

fn tell_failing(name: &str, qualification: &Qualification) {
    let failing: Vec<&str> = qualification.failing().map(|check| check.name.as_str()).collect();
    if !failing.is_empty() {
        tell(format!(
            "{name} fails {} of {} checks: {}; `loopbreak image qualify {name}` says what to do",
            failing.len(),
            qualification.checks.len(),
            failing.join(", ")
        ));
    }
}

pub(super) fn verify(store: &Store, image: &str) -> anyhow::Result<Exit> {
    // Not by `image`, which would hash a suspect before this does.
    let image = store.find(image).map_err(marked)?;
    let transfer = Transfer::new()?;
    transfer.watch(|watch| store.verify(&image, watch)).map_err(marked)?;
    transfer.done();
    let files = image.manifest().files.len();
    print(&format!(
        "{} {}: intact ({files} files, {})\n",
        image.name,
        image.digest,
        size(image.size())
    ))?;
    Ok(Exit::AsExpected)
}

pub(super) fn export(store: &Store, args: &ExportArgs) -> anyhow::Result<Exit> {
    let image = store.image(&args.image).map_err(marked)?;
    let transfer = Transfer::new()?;
    if let (Some(file), Some(format)) = (&args.disk, args.format) {
        let format = match format {
            FormatArg::Raw => DiskFormat::Raw,
            FormatArg::Qcow2 => DiskFormat::Qcow2,
            FormatArg::Vhd => DiskFormat::Vhd,
            FormatArg::Vhdx => DiskFormat::Vhdx,
            FormatArg::Vmdk => DiskFormat::Vmdk,
        };
        transfer.watch(|watch| store.export_disk(&image, file, format, watch)).map_err(marked)?;
        transfer.done();
        print(&format!("{}\n", file.display()))?;
    } else if let Some(directory) = &args.output {
        transfer.watch(|watch| store.export(&image, directory, watch)).map_err(marked)?;
        transfer.done();
        print(&format!("{}\n", directory.display()))?;
    }
    Ok(Exit::AsExpected)
}

pub(super) fn profile(
    store: &Store,
    image: &str,
    edit: Option<(&Path, &str)>,
) -> anyhow::Result<Exit> {
    let image = store.image(image).map_err(marked)?;
    let Some((file, name)) = edit else {
        let profile = fs_err::read_to_string(image.profile()).map_err(infrastructure)?;
        print(&profile.replace("\r\n", "\n"))?;
        return Ok(Exit::AsExpected);
    };
    Store::check_name(name).map_err(marked)?;
    let transfer = Transfer::new()?;
    let intake = transfer
        .watch(|watch| intake::with_profile(store, &image, file, watch))
        .map_err(intake_marked)?;
    let image = transfer.watch(|watch| intake.keep(store, name, watch)).map_err(intake_marked)?;
    transfer.done();
    print(&format!("{} {}\n", image.name, image.digest))?;
    Ok(Exit::AsExpected)
}

pub(super) fn fix(store: &Store, args: &QualifyArgs, name: &str) -> anyhow::Result<Exit> {
    Store::check_name(name).map_err(marked)?;
    let image = store.image(&args.image).map_err(marked)?;
    let wanted = (!args.check.is_empty()).then_some(args.check.as_slice());
    let transfer = Transfer::new()?;
    let (intake, fixed) = intake::fixed(store, &image, wanted).map_err(intake_marked)?;
    let qualification = intake.qualification.clone();
    let image = transfer.watch(|watch| intake.keep(store, name, watch)).map_err(intake_marked)?;
    transfer.done();
    for line in &fixed.replayed {
        tell(escaped(line));
    }
    for edit in &fixed.edits {
        tell(format!("{}: {}", edit.check, escaped(&edit.what)));
    }
    tell(format!("{} {}", image.name, image.digest));
    answer(&qualification, args.json)
}

pub(super) fn remove(store: &Store, image: &str) -> anyhow::Result<Exit> {
    let removed = store.remove(image).map_err(marked)?;
    for name in &removed.names {
        print(&format!("removed the name {name}\n"))?;
    }
    if removed.kept_for.is_empty() {
        print(&format!("removed the image {:.12}\n", removed.digest))?;
    } else {
        let names = removed.kept_for.join(", ");
        print(&format!("kept the image {:.12}: it is also named {names}\n", removed.digest))?;
    }
    Ok(Exit::AsExpected)
}

pub(super) fn collect_garbage(
    state: &StateDir,
    store: &Store,
    dry_run: bool,
    json: bool,
) -> anyhow::Result<Exit> {
    let mut in_use = BTreeSet::new();
    for run in RunDir::list(&state.runs()).map_err(infrastructure)? {
        match run.record() {
            Ok(record) => {
                in_use.insert(record.image_digest);
            }
            // What it refers to is not known, so nothing may go.
            Err(error) => {
                let run = run.path().display();
                return Err(usage(anyhow::anyhow!(
                    "{error}; it is not known which image this run needs, so nothing was removed; remove {run} first"
                )));
            }
        }
    }
    let found = store.collect_garbage(&in_use, dry_run).map_err(marked)?;
    let mut text = String::new();
    let print = if json { print_json } else { print };
    for one in &found {
        if json {
            text += &format!("{}\n", serde_json::to_string(one)?);
        } else {
            let verb = if dry_run { "would remove" } else { "removed" };
            let (kind, bytes) = (one.kind.as_str(), size(one.bytes));
            text += &format!("{verb} {kind} {:.20} ({bytes}): {}\n", one.name, one.why);
        }
    }
    if !json {
        let bytes: u64 = found.iter().map(|one| one.bytes).sum();
        text += &match (found.is_empty(), dry_run) {
            (true, _) => "nothing to remove\n".to_owned(),
            (false, true) => format!("{} would be freed; nothing was removed\n", size(bytes)),
            (false, false) => format!("{} freed\n", size(bytes)),
        };
    }
    print(&text)?;
    Ok(Exit::AsExpected)
}
