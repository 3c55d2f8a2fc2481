//! `loopbreak guestfs`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use disk::{Acceleration, Guestfs, GuestfsError, GuestfsVolume};
use hypervisor::{Accelerator, prove_accelerator};
use words::escaped;

use crate::exit::{Exit, infrastructure, usage};
use crate::output::print;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum GuestfsCommand {
    /// List the volumes of a dynamic disk, as `--dynamic` takes them
    Volumes {
        /// The disk file; no machine may be using it
        disk: PathBuf,
    },
    /// List the names in a folder
    List {
        /// The disk file; no machine may be using it
        disk: PathBuf,
        /// The folder, from the root of the volume
        #[arg(default_value = "\\")]
        folder: String,
        #[command(flatten)]
        volume: VolumeArgs,
    },
    /// Copy a file out of the disk
    Read {
        /// The disk file; no machine may be using it
        disk: PathBuf,
        /// The file, from the root of the volume
        path: String,
        /// Where to write it; must not exist yet
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        #[command(flatten)]
        volume: VolumeArgs,
    },
    /// Write a file into the disk
    ///
    /// Its folder must exist; a file of that name is replaced.
    Write {
        /// The disk file; no machine may be using it
        disk: PathBuf,
        /// The file, from the root of the volume
        path: String,
        /// The file to write
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
        #[command(flatten)]
        volume: VolumeArgs,
    },
    /// Remove a file from the disk
    Remove {
        /// The disk file; no machine may be using it
        disk: PathBuf,
        /// The file, from the root of the volume
        path: String,
        #[command(flatten)]
        volume: VolumeArgs,
    },
}

/// Which volume of the disk.
#[derive(Debug, Args)]
pub(crate) struct VolumeArgs {
    /// The number of the partition [default: the whole disk]
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// For a BitLocker volume: a file that holds its password
    ///
    /// Its only line is the password or the recovery password.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A volume of a dynamic disk
    #[arg(long, value_name = "NAME", conflicts_with_all = ["partition", "key"])]
    dynamic: Option<String>,
}

impl VolumeArgs {
    fn volume(&self) -> GuestfsVolume {
        match (&self.dynamic, &self.key, self.partition) {
            (Some(name), _, _) => GuestfsVolume::Dynamic(name.clone()),
            (None, Some(key), partition) => {
                GuestfsVolume::BitLocker { partition: partition.unwrap_or(0), key: key.clone() }
            }
            (None, None, Some(number)) => GuestfsVolume::Partition(number),
            (None, None, None) => GuestfsVolume::Whole,
        }
    }
}

pub(crate) fn run(command: &GuestfsCommand) -> anyhow::Result<Exit> {
    match command {
        GuestfsCommand::Volumes { disk } => {
            print(&listed(&open(disk)?.dynamic_volumes().map_err(failed)?))?;
        }
        GuestfsCommand::List { disk, folder, volume } => {
            print(&listed(&open(disk)?.list(&volume.volume(), folder).map_err(failed)?))?;
        }
        GuestfsCommand::Read { disk, path, output, volume } => {
            let bytes = open(disk)?.read(&volume.volume(), path).map_err(failed)?;
            let mut file = fs_err::File::create_new(output).map_err(usage)?;
            std::io::Write::write_all(&mut file, &bytes).map_err(infrastructure)?;
        }
        GuestfsCommand::Write { disk, path, from, volume } => {
            let bytes = fs_err::read(from).map_err(usage)?;
            open(disk)?.write(&volume.volume(), path, &bytes).map_err(failed)?;
        }
        GuestfsCommand::Remove { disk, path, volume } => {
            open(disk)?.remove(&volume.volume(), path).map_err(failed)?;
        }
    }
    Ok(Exit::AsExpected)
}

fn open(disk: &Path) -> anyhow::Result<Guestfs> {
    let runtime = tokio::runtime::Runtime::new().map_err(infrastructure)?;
    let acceleration = match runtime.block_on(prove_accelerator()).accelerator {
        Some(Accelerator::Kvm) => Acceleration::Kvm,
        _ => Acceleration::Emulation,
    };
    Guestfs::new(disk, acceleration).map_err(failed)
}

fn failed(error: GuestfsError) -> anyhow::Error {
    match error {
        GuestfsError::NoProgram(_) => infrastructure(error),
        _ => usage(error),
    }
}

/// Names, one a line.
fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("{}\n", escaped(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(partition: Option<u32>, key: Option<&str>, dynamic: Option<&str>) -> GuestfsVolume {
        let (key, dynamic) = (key.map(PathBuf::from), dynamic.map(str::to_owned));
        VolumeArgs { partition, key, dynamic }.volume()
    }

    #[test]
    fn a_volume_is_named_by_what_is_known_of_it() {
        assert_eq!(volume(None, None, None), GuestfsVolume::Whole);
        assert_eq!(volume(Some(3), None, None), GuestfsVolume::Partition(3));
        let key = PathBuf::from("key");
        assert_eq!(
            volume(Some(3), Some("key"), None),
            GuestfsVolume::BitLocker { partition: 3, key: key.clone() }
        );
        assert_eq!(volume(None, Some("key"), None), GuestfsVolume::BitLocker { partition: 0, key });
        let dynamic = GuestfsVolume::Dynamic("ldm".to_owned());
        assert_eq!(volume(None, None, Some("ldm")), dynamic);
    }

    #[test]
    fn a_guests_names_stay_on_their_lines() {
        let names = ["a\n\u{1b}[31m".to_owned(), "größe".to_owned()];
        assert_eq!(listed(&names), "a\\x0a\\x1b[31m\ngröße\n");
    }
}
