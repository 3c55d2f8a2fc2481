//! Room for the next recovery image. Pure.

use crate::finding::Finding;
use crate::inspection::Inspection;
use crate::{Answer, Known};

/// What the updates of January 2024 ask for, in bytes (windows-facts.md 5.2).
const NEEDED: u64 = 250 << 20;

/// An update puts the next image beside the one that is in use, and fails with 0x80070643 where that does not fit.
pub(crate) fn check(inspection: &Inspection) -> Finding {
    let image = match &inspection.recovery.image {
        Known::Known(image) => image,
        Known::Absent => return Finding::not_applicable("no recovery image is in use"),
        Known::Unknown(reason) => return Finding::unknown("the recovery image", reason),
    };
    let (number, free) = match (&image.place.partition, &image.free) {
        (Known::Known(number), Known::Known(free)) => (*number, *free),
        (Known::Unknown(reason), _) | (_, Known::Unknown(reason)) => {
            return Finding::unknown("the recovery image's partition", reason);
        }
        _ => return Finding::not_applicable("the recovery image's partition is not on this disk"),
    };
    let Some(partition) = inspection.layout.partition(number) else {
        return Finding::not_applicable("the recovery image's partition is not on this disk");
    };
    let windows = inspection.system.partition.known();
    let windows = windows.and_then(|number| inspection.layout.partition(*number));
    let place = match windows {
        Some(windows) if windows.number == number => "it is the Windows volume itself",
        Some(windows) if windows.start < partition.start => {
            "it lies behind the Windows volume, which can be shrunk for it"
        }
        Some(_) => "it lies before the Windows volume, so nothing can be added to it",
        None => "where the Windows volume lies is not known",
    };
    let evidence = format!(
        "partition {number} of the recovery image has {} MiB, {} MiB of them free; {place}",
        partition.size >> 20,
        free >> 20,
    );
    if free >= NEEDED {
        return Finding::pass(evidence);
    }
    let needed = NEEDED >> 20;
    let warning = format!(
        "{evidence}; an update of the recovery environment needs {needed} MiB free and fails with 0x80070643"
    );
    Finding::new(Answer::Warn, warning).remedy(
        "run `reagentc /disable`, shrink C: and make the recovery partition larger with diskpart, then run \
         `reagentc /enable`",
    )
}
