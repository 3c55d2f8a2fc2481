//! Making an image of a disk file, a bundle, or another image.

use std::path::{Path, PathBuf};

use disk::{Access, Draft, Image, OfflineDisk, Starting, Store, Watch};
use hypervisor::{Firmware, FirmwareKind, MachineProfile, ProfileError, firmware_files};
use inspect::{CheckName, Fixed, Inspection, Qualification, Source};

use super::error::IntakeError;
use super::facts::Facts;
use super::look::inspect_disk;
use super::profile::ProposedProfile;

/// What is known about an image besides its disk.
#[derive(Debug, Clone, Default)]
pub struct IntakeOptions {
    /// The firmware, where the disk does not decide it rightly.
    pub firmware: Option<FirmwareKind>,
    /// Firmware variables that belong to the disk.
    pub firmware_vars: Option<PathBuf>,
    /// The directory of the TPM state that belongs to the disk.
    pub tpm_state: Option<PathBuf>,
    /// A machine profile, instead of the proposed one.
    pub profile: Option<PathBuf>,
    /// The partition of the Windows that is meant, where the disk does not decide it rightly.
    pub windows: Option<u32>,
}

/// An image that is ready to be sealed.
#[derive(Debug)]
pub struct Intake {
    draft: Draft,
    /// The text of its profile.
    pub profile: String,
    /// What was found on it.
    pub inspection: Inspection,
    /// What it can do.
    pub qualification: Qualification,
}

impl Intake {
    /// Seals it and gives it `name`.
    pub fn keep(self, store: &Store, name: &str, watch: Watch<'_>) -> Result<Image, IntakeError> {
        Ok(store.keep(self.draft, name, watch)?)
    }
}

/// Takes in `path`: a bundle's directory, or a disk file of any kind that the store takes.
///
/// # Errors
/// [`IntakeError`]; nothing is left in the store then.
pub fn prepare(
    store: &Store,
    path: &Path,
    options: &IntakeOptions,
    watch: Watch<'_>,
) -> Result<Intake, IntakeError> {
    // What can be wrong with a small file is said before a large one is copied.
    let given = options.profile.as_deref().map(read_profile).transpose()?;
    let draft = if path.is_dir() {
        store.draft_of_bundle(path, watch)?
    } else {
        store.draft_of_disk(path, watch)?
    };
    complete(draft, given, options)
}

/// A changed copy of `image` with the profile in the file `profile`.
pub fn with_profile(
    store: &Store,
    image: &Image,
    profile: &Path,
    watch: Watch<'_>,
) -> Result<Intake, IntakeError> {
    let given = read_profile(profile)?;
    let draft = store.draft_of_image(image, watch)?;
    complete(draft, Some(given), &IntakeOptions::default())
}

/// A changed copy of `image` in which what its checks found wrong is put right, as far as that can be done
/// without a person. `wanted` names the checks; `None` takes all that fail or are not known.
///
/// # Errors
/// [`IntakeError::Fix`] where nothing can be fixed, or an edit failed.
pub fn fixed(
    store: &Store,
    image: &Image,
    wanted: Option<&[CheckName]>,
) -> Result<(Intake, Fixed), IntakeError> {
    let draft = store.draft_without_disk(image)?;
    let scratch = tempfile::Builder::new().prefix("lb-").tempdir()?;
    let (vars, tpm) = (image.firmware_vars(), image.tpm_state());
    let fixed = {
        let starting = Starting {
            chosen: MachineProfile::read(&image.profile())?.windows_partition,
            firmware_vars: vars.clone(),
            ..Starting::default()
        };
        let disk = OfflineDisk::open(&image.disk(), Access::ReadOnly, scratch.path())?;
        let disk = disk.starting(starting)?;
        let source = Source { disk: &disk, firmware_vars: vars.as_deref(), tpm: tpm.as_deref() };
        inspect::fix(source, &draft.disk(), wanted, scratch.path())?
    };
    Ok((complete(draft, None, &IntakeOptions::default())?, fixed))
}

fn read_profile(path: &Path) -> Result<String, IntakeError> {
    let text = fs_err::read_to_string(path)
        .map_err(|source| ProfileError::Read { path: path.to_path_buf(), source })?;
    MachineProfile::parse(&text, path)?;
    Ok(text)
}

fn complete(
    mut draft: Draft,
    given: Option<String>,
    options: &IntakeOptions,
) -> Result<Intake, IntakeError> {
    if let Some(vars) = &options.firmware_vars {
        draft.set_firmware_vars(vars)?;
    }
    if let Some(tpm) = &options.tpm_state {
        draft.set_tpm_state(tpm)?;
    }
    let tpm = draft.tpm_state();
    let own = match draft.profile() {
        Some(path) => Some(read_profile(&path)?),
        None => None,
    };
    let given = given.or(own);
    let windows = windows(given.as_deref(), options)?;
    let vars = draft.firmware_vars();
    let (inspection, uncertain) =
        inspect_disk(&draft.disk(), vars.as_deref(), tpm.as_deref(), windows)?;
    if let Some(uncertain) = uncertain {
        return Err(uncertain.into());
    }
    let text = match given {
        Some(text) => text,
        None => ProposedProfile::new(&Facts::of(&inspection), options.firmware).to_toml(),
    };
    let profile = MachineProfile::parse(&text, Path::new("profile.toml"))?;
    if let Some(kind) = options.firmware.filter(|kind| *kind != profile.firmware.kind) {
        let word = match kind {
            FirmwareKind::Uefi => "uefi",
            FirmwareKind::Bios => "bios",
        };
        return Err(IntakeError::Contradiction(format!(
            "--firmware {word} contradicts the profile's `[firmware] kind`; change one of them"
        )));
    }
    fit_firmware(&mut draft, profile.firmware, options)?;
    draft.set_profile(&text)?;
    let qualification = inspect::qualify(&inspection);
    // What came with an exported bundle is kept while it still says the same thing: then the bundle comes
    // in with its old digest.
    let mut json = serde_json::to_string_pretty(&qualification).map_err(std::io::Error::from)?;
    json.push('\n');
    if !stored(&draft).is_some_and(|there| there == qualification) {
        draft.set_qualification(&json)?;
    }
    Ok(Intake { draft, profile: text, inspection, qualification })
}

/// The partition of the Windows that is meant, as the profile or an option names it.
fn windows(profile: Option<&str>, options: &IntakeOptions) -> Result<Option<u32>, IntakeError> {
    let Some(profile) = profile else { return Ok(options.windows) };
    let own = MachineProfile::parse(profile, Path::new("profile.toml"))?.windows_partition;
    match options.windows {
        Some(wanted) if own != Some(wanted) => Err(IntakeError::Contradiction(format!(
            "--windows {wanted} contradicts the profile; say `windows-partition = {wanted}` in it"
        ))),
        _ => Ok(own),
    }
}

fn stored(draft: &Draft) -> Option<Qualification> {
    serde_json::from_slice(&fs_err::read(draft.qualification()?).ok()?).ok()
}

/// Gives a UEFI machine its variables, and takes those of a BIOS machine away.
fn fit_firmware(
    draft: &mut Draft,
    firmware: Firmware,
    options: &IntakeOptions,
) -> Result<(), IntakeError> {
    if firmware.kind == FirmwareKind::Bios {
        if options.firmware_vars.is_some() {
            return Err(IntakeError::Contradiction(
                "--vars is given and the machine has a BIOS, which has no variables; leave it out, or say --firmware uefi".to_owned(),
            ));
        }
        return Ok(draft.remove_firmware_vars()?);
    }
    let files = firmware_files(firmware);
    match (draft.firmware_vars(), files) {
        (Some(vars), Ok(Some(files))) => {
            let size = fs_err::metadata(&vars)?.len();
            let expected = fs_err::metadata(&files.variables)?.len();
            if size != expected {
                let path = options.firmware_vars.clone().unwrap_or(vars);
                return Err(IntakeError::WrongVariables { path, size, expected });
            }
            Ok(())
        }
        // Whether they fit is seen on the host that runs it.
        (Some(_), _) => Ok(()),
        (None, Ok(Some(files))) => Ok(draft.set_firmware_vars(&files.variables)?),
        (None, Ok(None)) => Ok(()),
        (None, Err(looked)) => {
            let looked: Vec<String> =
                looked.iter().map(|path| path.display().to_string()).collect();
            Err(IntakeError::NoFirmware { looked: looked.join(", ") })
        }
    }
}
