//! The recovery environment: `ReAgent.xml`, its partition, its image, and the settings of Quick Machine
//! Recovery.

use disk::VolumeRole;
use serde::{Deserialize, Serialize};
use volume::{DiskId, PartitionTable, Volume};
use winfmt::reagent::ReAgent;
use winfmt::recovery_settings::RecoverySettings;

use crate::Known;
use crate::boot::{BootConfiguration, ImagePlace};
use crate::opened_disk::{OpenedDisk, read_file};
use crate::recovery_image;
use crate::system::Build;

/// The recovery environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Recovery {
    /// `ReAgent.xml` on the Windows volume.
    pub reagent: Known<ReAgentFacts>,
    /// Partitions of the type that is kept for it.
    pub partitions: Vec<u32>,
    /// The image that a failed start leads to.
    pub image: Known<RecoveryImage>,
    /// `winre.wim` files that were found, whoever points at them: the partition and the path.
    pub images_found: Vec<(u32, String)>,
    /// Quick Machine Recovery's settings on the volume of the image: the copy that counts
    /// (windows-facts.md 1.6).
    pub quick_machine_recovery: Known<QuickMachineRecovery>,
    /// The copy on the Windows volume.
    pub quick_machine_recovery_copy: Known<QuickMachineRecovery>,
}

/// `ReAgent.xml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReAgentFacts {
    /// `InstallState`.
    pub enabled: Known<bool>,
    /// `WinreBCD`.
    pub loader: Known<String>,
    /// `WinreLocation`: its folder.
    pub folder: Known<String>,
    /// The partition of this disk that the location names. Absent: none of them.
    pub partition: Known<u32>,
    /// `OsBuildVersion`, where it is there.
    pub build: Known<String>,
}

/// The image of the recovery environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RecoveryImage {
    /// Where it is.
    pub place: ImagePlace,
    /// Whether it is on the same volume as Windows.
    pub on_windows_volume: Known<bool>,
    /// The build of Windows that it holds.
    pub build: Known<Build>,
    /// Its instruction set.
    pub architecture: Known<String>,
    /// Bytes that are free on its volume.
    pub free: Known<u64>,
}

/// The settings of Quick Machine Recovery (windows-facts.md 1.4). What the file does not say is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct QuickMachineRecovery {
    /// Asks the update service.
    pub cloud: Known<bool>,
    /// Goes on without a person.
    pub automatic: Known<bool>,
    /// Minutes.
    pub total_wait: Known<u64>,
    /// Minutes.
    pub wait_interval: Known<u64>,
}

const MAX_XML: u64 = 1 << 20;
/// Where an image is, by Windows' own set-up: the recovery folder, and the folder that `reagentc
/// /disable` puts it back to.
const IMAGE: &str = r"Recovery\WindowsRE\Winre.wim";

/// Reads everything about the recovery environment. `boot` says which image counts.
pub(crate) fn read(opened: &mut OpenedDisk<'_>, boot: &Known<BootConfiguration>) -> Recovery {
    let partitions = opened
        .disk
        .volumes()
        .iter()
        .filter(|volume| volume.role == VolumeRole::Recovery)
        .map(|volume| volume.number)
        .collect();
    let image = image(opened, boot);
    let quick_machine_recovery = image.as_ref().and_then(|image| {
        let folder = image.place.path.rsplit_once('\\').map_or("", |(folder, _)| folder);
        let file = format!(r"{folder}\SrSettings.ini");
        image
            .place
            .partition
            .clone()
            .and_then(|number| opened.volume(number))
            .and_then(|mut volume| settings(&mut *volume, file.trim_start_matches('\\')))
    });
    let copy = opened.windows().and_then(|(volume, root)| {
        settings(volume, &format!(r"{root}\System32\Recovery\SrSettings.ini"))
    });
    Recovery {
        reagent: reagent(opened),
        partitions,
        image,
        images_found: images(opened),
        quick_machine_recovery,
        quick_machine_recovery_copy: copy,
    }
}

/// The image of the first entry of the default loader's recovery sequence.
fn image(opened: &OpenedDisk<'_>, boot: &Known<BootConfiguration>) -> Known<RecoveryImage> {
    boot.as_ref()
        .and_then(|boot| boot.bcd().map_or(Known::Absent, Known::Known))
        .and_then(|bcd| bcd.default.as_ref())
        .and_then(|loader| loader.recovery_sequence.as_ref())
        .and_then(|sequence| sequence.first().map_or(Known::Absent, Known::Known))
        .and_then(|entry| entry.image.clone())
        .map(|place| {
            let windows = opened.place.as_ref().map(|(number, _)| *number);
            let on_windows_volume =
                place.partition.clone().and_then(|number| windows.map(|windows| windows == number));
            let (build, architecture) = contents(opened, &place);
            let volume = place.partition.clone().and_then(|number| opened.volume(number));
            let free = volume.and_then(|mut volume| Known::read(volume.free_space().map(Some)));
            RecoveryImage { place, on_windows_volume, build, architecture, free }
        })
}

fn images(opened: &OpenedDisk<'_>) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    for summary in opened.readable() {
        let mut files = vec![IMAGE.to_owned()];
        files.extend(
            summary.system_root.as_ref().map(|root| format!(r"{root}\System32\Recovery\Winre.wim")),
        );
        if let Known::Known(mut volume) = opened.volume(summary.number) {
            files.retain(|file| volume.exists(file).unwrap_or(false));
            found.extend(files.into_iter().map(|file| (summary.number, file)));
        }
    }
    found
}

fn reagent(opened: &mut OpenedDisk<'_>) -> Known<ReAgentFacts> {
    let table = opened.disk.table().clone();
    opened.windows().and_then(|(volume, root)| {
        let file = format!(r"{root}\System32\Recovery\ReAgent.xml");
        read_file(volume, &file, MAX_XML)
            .and_then(|bytes| Known::read(ReAgent::parse(&bytes).map(Some)))
            .map(|agent| facts(&table, agent))
    })
}

fn facts(table: &PartitionTable, agent: ReAgent) -> ReAgentFacts {
    let option = |value: Option<bool>| value.map_or(Known::Absent, Known::Known);
    let location = agent.winre_location.filter(|location| !location.path.is_empty());
    let build = agent.other.iter().find(|(name, _)| name == "OsBuildVersion");
    let build = build.and_then(|(_, attributes)| {
        attributes.iter().find(|(name, _)| name == "path").map(|(_, value)| value.clone())
    });
    let partition = location.as_ref().map_or(Known::Absent, |location| {
        let same_disk = match table.disk {
            DiskId::Guid(id) => id == location.disk,
            DiskId::Signature(signature) => u64::from(signature) == location.disk_id,
            DiskId::None => false,
        };
        table
            .partitions
            .iter()
            .find(|own| same_disk && own.start == location.offset)
            .map_or(Known::Absent, |own| Known::Known(own.number))
    });
    ReAgentFacts {
        enabled: option(agent.installed),
        loader: agent
            .winre_bcd
            .filter(|id| !id.is_zero())
            .map_or(Known::Absent, |id| Known::Known(id.to_string())),
        folder: location.map_or(Known::Absent, |location| Known::Known(location.path)),
        partition,
        build: build.map_or(Known::Absent, Known::Known),
    }
}

fn settings(volume: &mut dyn Volume, file: &str) -> Known<QuickMachineRecovery> {
    read_file(volume, file, MAX_XML)
        .and_then(|bytes| Known::read(RecoverySettings::parse(&bytes).map(Some)))
        .map(|settings| {
            let option = |value: Option<bool>| value.map_or(Known::Absent, Known::Known);
            let minutes = |wait: Option<std::time::Duration>| {
                wait.map_or(Known::Absent, |wait| Known::Known(wait.as_secs() / 60))
            };
            let auto = settings.auto_remediation;
            QuickMachineRecovery {
                cloud: option(settings.cloud_remediation),
                automatic: option(auto.map(|auto| auto.enabled)),
                total_wait: minutes(auto.and_then(|auto| auto.total_wait)),
                wait_interval: minutes(auto.and_then(|auto| auto.wait_interval)),
            }
        })
}

/// The build and the instruction set of the image that boots, by the image's own description.
fn contents(opened: &OpenedDisk<'_>, place: &ImagePlace) -> (Known<Build>, Known<String>) {
    let size = place.size.known().copied();
    let (Known::Known(partition), Some(size)) = (&place.partition, size) else {
        return (Known::Absent, Known::Absent);
    };
    let image = opened.volume(*partition).and_then(|mut volume| {
        let read = recovery_image::RecoveryImage::read(size, |offset, length| {
            let mut bytes = vec![0; length];
            let read = volume.read_at(&place.path, offset, &mut bytes);
            bytes.truncate(read.map_err(|error| error.to_string())?);
            Ok(bytes)
        });
        Known::read(read.map(Some))
    });
    let booted = image.and_then(|image| {
        image.booted().cloned().map_or_else(
            || Known::Unknown("the WIM says of none of its images that it boots".to_owned()),
            Known::Known,
        )
    });
    let build = booted.as_ref().and_then(|booted| match booted.build {
        Some(number) => Known::Known(Build { number, revision: booted.revision }),
        None => Known::Absent,
    });
    let architecture =
        booted.and_then(|booted| booted.architecture.map_or(Known::Absent, Known::Known));
    (build, architecture)
}
