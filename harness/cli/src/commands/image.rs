//! `loopbreak image`.

mod boot;
mod bring;
mod show;
mod transfer;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use disk::Store;
use engine::StateDir;
use engine::intake::IntakeError;

use crate::args::Global;
use crate::exit::{Exit, infrastructure, usage};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Lists images: what they are, and whether they can recover at all.
    List {
        /// As JSON lines.
        #[arg(long)]
        json: bool,
    },
    /// Takes a disk (qcow2, raw, VHD, VHDX, VMDK) or a bundle's directory into the store.
    ///
    /// The disk is copied or converted, inspected and qualified; what it comes from is left alone. The
    /// same input gives the same digest.
    Import(ImportArgs),
    /// Shows what is on an image or on a disk file, offline.
    Inspect {
        /// Name, digest, disk file, or bundle's directory.
        #[arg(value_name = "IMAGE|PATH")]
        image: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Says whether an image can recover at all, check by check. Exit code 1 where one fails.
    Qualify(QualifyArgs),
    /// Reads an image whole and compares it with its digests. Exit code 2 where it is damaged.
    Verify {
        /// Name or digest.
        image: String,
    },
    /// Writes an image as a bundle's directory, or its disk in another format.
    Export(ExportArgs),
    /// Prints an image's machine profile, or makes an image with another one.
    Profile {
        /// Name or digest.
        image: String,
        /// The new profile, a TOML file.
        #[arg(long, value_name = "FILE", requires = "name")]
        edit: Option<PathBuf>,
        /// The new image's name.
        #[arg(long, requires = "edit")]
        name: Option<String>,
    },
    /// Removes a name, and the image where it has no other. A digest removes all its names.
    Rm {
        /// Name or digest.
        image: String,
    },
    /// Removes what nobody needs: images without name, checkpoint or run, checkpoints without image,
    /// what imports that were killed left behind.
    Gc {
        /// Only says what would go.
        #[arg(long)]
        dry_run: bool,
        /// As JSON lines.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// A disk file, or the directory of a bundle (disk.qcow2, profile.toml, …).
    path: PathBuf,
    /// Its name in the store.
    #[arg(long, required_unless_present = "dry_run")]
    name: Option<String>,
    /// The machine's firmware, instead of what the disk tells.
    #[arg(long, value_name = "KIND")]
    firmware: Option<FirmwareArg>,
    /// Firmware variables that belong to the disk, instead of fresh ones.
    #[arg(long, value_name = "FILE")]
    vars: Option<PathBuf>,
    /// Directory of the TPM state (swtpm's) that belongs to the disk.
    #[arg(long, value_name = "DIR")]
    tpm: Option<PathBuf>,
    /// A machine profile, instead of the proposed one.
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// Takes nothing in; prints the machine profile that would be proposed.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QualifyArgs {
    /// Name or digest.
    image: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Boots it twice, once with a driver that stops it and once with a harmless one, and says which
    /// detectors saw it: panic event, stop screen, dump, reset, healthy. Exit code 1 where one did not.
    #[arg(long, conflicts_with = "fix")]
    boot: bool,
    /// Makes a new image in which what can be fixed is fixed.
    #[arg(long, requires = "name")]
    fix: bool,
    /// The new image's name.
    #[arg(long, requires = "fix")]
    name: Option<String>,
    /// Fixes only these checks, and those that an image chose (`quick-machine-recovery`) only so.
    #[arg(long, value_name = "CHECK", requires = "fix", value_delimiter = ',')]
    check: Vec<inspect::CheckName>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Name or digest.
    image: String,
    /// The bundle's directory, to be made.
    #[arg(
        short,
        long,
        value_name = "DIR",
        required_unless_present = "disk",
        conflicts_with = "disk"
    )]
    output: Option<PathBuf>,
    /// Only the disk, to this new file.
    #[arg(long, value_name = "FILE", requires = "format")]
    disk: Option<PathBuf>,
    /// The disk's format.
    #[arg(long, requires = "disk")]
    format: Option<FormatArg>,
}

/// Firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FirmwareArg {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
}

/// Format of a disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// The plain bytes.
    Raw,
    /// QEMU's.
    Qcow2,
    /// Virtual PC's, dynamic.
    Vhd,
    /// Hyper-V's, dynamic.
    Vhdx,
    /// VMware's, in one file.
    Vmdk,
}

pub(crate) fn run(global: &Global, command: &ImageCommand) -> anyhow::Result<Exit> {
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let store = Store::open(state.root()).map_err(marked)?;
    match command {
        ImageCommand::List { json } => show::list(&store, *json),
        ImageCommand::Import(args) => bring::import(&store, args),
        ImageCommand::Inspect { image, json } => show::inspect(&store, image, *json),
        ImageCommand::Qualify(args) if args.boot => {
            boot::detectors(global, state, &args.image, args.json)
        }
        ImageCommand::Qualify(args) => match args.name.as_deref() {
            Some(name) => bring::fix(&store, args, name),
            None => show::qualify(&store, &args.image, args.json),
        },
        ImageCommand::Verify { image } => bring::verify(&store, image),
        ImageCommand::Export(args) => bring::export(&store, args),
        ImageCommand::Profile { image, edit, name } => {
            bring::profile(&store, image, edit.as_deref().zip(name.as_deref()))
        }
        ImageCommand::Rm { image } => bring::remove(&store, image),
        ImageCommand::Gc { dry_run, json } => {
            bring::collect_garbage(&state, &store, *dry_run, *json)
        }
    }
}

fn marked(error: disk::StoreError) -> anyhow::Error {
    if error.is_usage() { usage(error) } else { infrastructure(error) }
}

fn intake_marked(error: IntakeError) -> anyhow::Error {
    if error.is_usage() { usage(error) } else { infrastructure(error) }
}

/// A size for people: three digits and a binary unit.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ if value < 10.0 => format!("{value:.1} {}", UNITS[unit]),
        _ => format!("{value:.0} {}", UNITS[unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            (59 << 20, "59 MiB"),
            (20 << 30, "20 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
