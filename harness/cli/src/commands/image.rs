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
    /// List images: what they are, and whether they can recover at all
    List {
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Import a disk or a bundle into the store
    ///
    /// A disk (qcow2, raw, VHD, VHDX or VMDK) is copied or converted, inspected and qualified; the original is not
    /// changed. A bundle is a directory, as `image export` writes it. The same input gives the same digest.
    Import(ImportArgs),
    /// Show what is on an image or a disk file, without booting it
    Inspect {
        /// Name, digest, disk file or bundle directory
        #[arg(value_name = "IMAGE|PATH")]
        image: String,
        /// The partition of the Windows that is meant
        #[arg(long, value_name = "PARTITION")]
        windows: Option<u32>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Say whether an image can recover at all, check by check
    ///
    /// Exit code 1 if a check fails.
    Qualify(QualifyArgs),
    /// Read an image in full and compare it with its digests
    ///
    /// Exit code 2 if it is damaged.
    Verify {
        /// Name or digest
        image: String,
    },
    /// Export an image as a bundle directory, or its disk in another format
    Export(ExportArgs),
    /// Print an image's machine profile, or make an image with a different one
    Profile {
        /// Name or digest
        image: String,
        /// The new profile, a TOML file
        #[arg(long, value_name = "FILE", requires = "name")]
        edit: Option<PathBuf>,
        /// The new image's name
        #[arg(long, requires = "edit")]
        name: Option<String>,
    },
    /// Remove a name, and the image if that was its only one
    ///
    /// Given a digest, it removes all names of the image.
    Rm {
        /// Name or digest
        image: String,
    },
    /// Remove what nothing needs any more
    ///
    /// That is: images without a name, a checkpoint or a run; checkpoints whose image is gone; and what interrupted
    /// imports left behind.
    Gc {
        /// Only say what would be removed
        #[arg(long)]
        dry_run: bool,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// A disk file or a bundle directory
    path: PathBuf,
    /// Its name in the store
    #[arg(long, required_unless_present = "dry_run")]
    name: Option<String>,
    /// The machine's firmware, bios or uefi, instead of what the disk suggests
    #[arg(long, value_name = "KIND", hide_possible_values = true)]
    firmware: Option<FirmwareArg>,
    /// The disk's own firmware variables, instead of fresh ones
    #[arg(long, value_name = "FILE")]
    vars: Option<PathBuf>,
    /// The disk's own TPM state, a directory of swtpm
    #[arg(long, value_name = "DIR")]
    tpm: Option<PathBuf>,
    /// A machine profile, instead of the proposed one
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,
    /// The partition of the Windows that is meant
    #[arg(long, value_name = "PARTITION")]
    windows: Option<u32>,
    /// Import nothing; print the machine profile that would be proposed
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QualifyArgs {
    /// Name or digest
    image: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Boot it twice and say which detectors work
    ///
    /// One boot has a driver that stops it, the other a harmless one. The detectors are: panic event, stop screen,
    /// dump, reset, healthy. Exit code 1 if one does not work.
    #[arg(long, conflicts_with = "fix")]
    boot: bool,
    /// Make a new image with everything fixed that can be fixed
    #[arg(long, requires = "name")]
    fix: bool,
    /// The new image's name
    #[arg(long, requires = "fix")]
    name: Option<String>,
    /// Fix only these checks
    ///
    /// What an image has chosen itself (`quick-machine-recovery`) is only changed if it is named here.
    #[arg(long, value_name = "CHECK", requires = "fix", value_delimiter = ',')]
    check: Vec<inspect::CheckName>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Name or digest
    image: String,
    /// New directory for the bundle
    #[arg(
        short,
        long,
        value_name = "DIR",
        required_unless_present = "disk",
        conflicts_with = "disk"
    )]
    output: Option<PathBuf>,
    /// Export only the disk, to this new file
    #[arg(long, value_name = "FILE", requires = "format")]
    disk: Option<PathBuf>,
    /// The disk's format
    #[arg(long, requires = "disk")]
    format: Option<FormatArg>,
}

/// Firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FirmwareArg {
    /// SeaBIOS
    Bios,
    /// OVMF
    Uefi,
}

/// Format of a disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// The plain bytes
    Raw,
    /// QEMU
    Qcow2,
    /// Virtual PC, dynamic
    Vhd,
    /// Hyper-V, dynamic
    Vhdx,
    /// VMware, in one file
    Vmdk,
}

pub(crate) fn run(global: &Global, command: &ImageCommand) -> anyhow::Result<Exit> {
    let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
    let store = Store::open(state.root()).map_err(marked)?;
    match command {
        ImageCommand::List { json } => show::list(&store, *json),
        ImageCommand::Import(args) => bring::import(&store, args),
        ImageCommand::Inspect { image, windows, json } => {
            show::inspect(&store, image, *windows, *json)
        }
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
pub(super) fn size(bytes: u64) -> String {
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
