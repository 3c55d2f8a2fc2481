//! What is known of an image before anything starts: read from its disk, once for all runs of a command.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use disk::Image;
use hypervisor::{Architecture, MachineProfile};
use inspect::{DriveLetters, Inspection, Known, Qualification};
use scenario::Arch;
use words::ImageLine;

use crate::error::RunError;
use crate::intake::{Facts, inspect_image, line_of};

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageFacts {
    /// Which line of systems it is of.
    pub(crate) line: ImageLine,
    /// What it can do.
    pub(crate) qualification: Qualification,
    /// The processor that its system is made for, where that is known.
    pub(crate) arch: Option<Arch>,
    /// What its boot entry says of signatures; `None` where that is not known, or no Windows starts from it.
    pub(crate) signatures: Option<SignatureSettings>,
    /// The build of its system.
    pub(crate) build: Option<u32>,
    /// The partition of the Windows that starts.
    pub(crate) windows: Option<u32>,
    /// Its drive letters.
    pub(crate) drives: DriveLetters,
    /// Why nothing can be written to its Windows volume from outside, where nothing can.
    pub(crate) sealed: Option<String>,
}

/// What the image's Windows makes of signatures, apart from its firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SignatureSettings {
    pub(crate) test_signing: bool,
    pub(crate) no_integrity_checks: bool,
}

impl ImageFacts {
    fn of(image: &Image, profile: &MachineProfile, inspection: &Inspection) -> Self {
        let line = profile.line.clone();
        Self {
            line: line.unwrap_or_else(|| line_of(&Facts::of(inspection), &image.name)),
            qualification: inspect::qualify(inspection),
            arch: arch(inspection, profile),
            signatures: signatures(inspection),
            build: inspection.system.build.known().map(|build| build.number),
            windows: inspection.system.partition.known().copied(),
            drives: inspection.drives.clone(),
            sealed: sealed(inspection),
        }
    }
}

/// What the system says; else a machine that has no other processor decides.
fn arch(inspection: &Inspection, profile: &MachineProfile) -> Option<Arch> {
    match inspection.system.architecture.known().map(String::as_str) {
        Some("x86-64") => Some(Arch::X86_64),
        Some("x86") => Some(Arch::X86),
        Some(_) => None,
        None => (profile.architecture == Architecture::I686).then_some(Arch::X86),
    }
}

fn signatures(inspection: &Inspection) -> Option<SignatureSettings> {
    let entry = inspection.boot.known()?.bcd()?.default.known()?;
    // Absent means no.
    let on = |setting: &Known<bool>| setting.known().copied().unwrap_or(false);
    Some(SignatureSettings {
        test_signing: on(&entry.test_signing),
        no_integrity_checks: on(&entry.no_integrity_checks),
    })
}

/// An encrypted volume hides the system on it; of several, it may not be certain which one starts; another one may say
/// itself why it is not written to.
fn sealed(inspection: &Inspection) -> Option<String> {
    let partitions = &inspection.layout.partitions;
    let Some(number) = inspection.system.partition.known() else {
        if partitions.iter().any(|partition| partition.role == "windows") {
            return inspection.system.partition.reason().map(str::to_owned);
        }
        let encrypted = partitions.iter().find(|partition| partition.encrypted)?;
        let number = encrypted.number;
        let why = encrypted.unreadable.as_deref().unwrap_or("it is encrypted by BitLocker");
        return Some(format!("no Windows is found, and partition {number} cannot be read: {why}"));
    };
    inspection.layout.partition(*number)?.not_writable.clone()
}

/// The facts of the images that were looked at. An image never changes, so looking once is enough.
#[derive(Debug, Default)]
pub(crate) struct KnownImages(Mutex<HashMap<String, Arc<ImageFacts>>>);

impl KnownImages {
    /// What is known of this image; it may take some seconds to find out.
    pub(crate) fn facts(
        &self,
        image: &Image,
        profile: &MachineProfile,
    ) -> Result<Arc<ImageFacts>, RunError> {
        // One name has one profile, but an image that says nothing of itself goes by its name.
        let key = format!("{} {}", image.digest, image.name);
        // Whoever else wants to know it waits for the one look.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = known.get(&key) {
            return Ok(Arc::clone(facts));
        }
        let inspection = inspect_image(image, None).map_err(Box::new)?;
        let facts = Arc::new(ImageFacts::of(image, profile, &inspection));
        known.insert(key, Arc::clone(&facts));
        Ok(facts)
    }
}
