//! Drivers and updates as faults: what is made here or brought along, as changes to a disk.

use scenario::{
    Arch, Defect, DriverFile, DriverPackage, DriverSignature, FaultyDriver, RunsIn, Scenario,
    Service, Trigger, Update, WindowsPath,
};
use winfmt::certificates::{self, Store};

use crate::driver::{self, DriverKind, FaultyDriverOptions};
use crate::inf::{self, Inf, Target};
use crate::plan::{Change, Edit, HiveName, RegistryValue, Servicing};
use crate::service::DriverService;
use crate::signing::{Authority, Signing, sign};
use crate::stage_error::StageError;

/// A driver with a defect: its file, its signature's root, its service.
pub(crate) fn driver(
    fault: &FaultyDriver,
    scenario: &Scenario,
    authority: Option<&Authority>,
) -> Result<Vec<Edit>, StageError> {
    let failed = |source| StageError::Driver { fault: fault.name.clone(), source };
    let options = FaultyDriverOptions {
        file_name: fault.driver.clone(),
        version: driver::parse_version(&fault.version).map_err(failed)?,
        arch: fault.arch,
        defect: fault.defect.clone(),
        trigger: fault.trigger,
        only_on_boot: fault.only_on_boot,
        chance: fault.chance,
        inert: fault.inert,
    };
    let mut edits = Vec::new();
    let image = if fault.defect == Defect::MissingFile && !fault.inert {
        None
    } else {
        let image = driver::build(&DriverKind::Faulty(options)).map_err(failed)?;
        let Some(signing) = Signing::of(fault.signature) else {
            return Ok(installed(&fault.driver, &fault.service, Some(image), scenario));
        };
        let authority =
            authority.ok_or_else(|| StageError::NoAuthority { fault: fault.name.clone() })?;
        let source = |source| StageError::Sign { fault: fault.name.clone(), source };
        if fault.signature != DriverSignature::Untrusted {
            edits.extend(trust(authority));
        }
        Some(sign(&image, authority, signing).map_err(source)?)
    };
    edits.extend(installed(&fault.driver, &fault.service, image, scenario));
    Ok(edits)
}

/// The authority's root and signer in the machine's stores.
fn trust(authority: &Authority) -> Vec<Edit> {
    [(Store::Root, authority.root()), (Store::TrustedPublisher, authority.signer())]
        .into_iter()
        .map(|(store, der)| Edit::SetValue {
            hive: HiveName::Software,
            key: store.certificate_key(der),
            name: "Blob".to_owned(),
            value: RegistryValue::Binary(certificates::encode(der)),
        })
        .collect()
}

fn installed(
    file_name: &str,
    service: &Service,
    image: Option<Vec<u8>>,
    scenario: &Scenario,
) -> Vec<Edit> {
    DriverService {
        name: service.name.as_deref(),
        file_name,
        runs_in: RunsIn::Kernel,
        start: service.start,
        error_control: service.error_control,
        group: service.group.as_deref(),
        modified: scenario.machine.clock,
        parameters: Vec::new(),
    }
    .install(image)
}

/// A driver that does nothing, in place of one that was brought along.
pub(crate) fn inert(fault: &str, file_name: &str, arch: Arch) -> Result<Vec<u8>, StageError> {
    // What is made here is named plainly; the file keeps its name.
    let stem = file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let stem: String = stem.chars().take(32).map(plain).collect();
    let options = FaultyDriverOptions {
        file_name: format!("{stem}.sys"),
        arch,
        trigger: Trigger::Entry,
        inert: true,
        ..FaultyDriverOptions::new(Defect::NullRead)
    };
    driver::build(&DriverKind::Faulty(options))
        .map_err(|source| StageError::Driver { fault: fault.to_owned(), source })
}

/// A driver that was brought along.
pub(crate) fn driver_file(
    fault: &DriverFile,
    scenario: &Scenario,
) -> Result<Vec<Edit>, StageError> {
    let name = fault.file.rsplit('/').next().unwrap_or_default();
    let bytes = loaded(scenario, &fault.name, &fault.file)?;
    let image =
        if fault.inert { inert(&fault.name, name, arch_of(bytes))? } else { bytes.to_vec() };
    Ok(installed(name, &fault.service, Some(image), scenario))
}

/// The processor that a driver is made for, by the machine in its header; a file that has none is taken for
/// 64 bits.
pub fn arch_of(image: &[u8]) -> Arch {
    let machine = image
        .get(0x3c..0x40)
        .and_then(|at| at.try_into().ok())
        .map(u32::from_le_bytes)
        .and_then(|at| image.get((at as usize).checked_add(4)?..)?.get(..2));
    match machine {
        Some([0x4c, 0x01]) => Arch::X86,
        _ => Arch::X86_64,
    }
}

/// A package: what its INF says, and which of it is added to a list that is there.
pub(crate) fn driver_package(
    fault: &DriverPackage,
    scenario: &Scenario,
    build: Option<u32>,
) -> Result<Vec<Change>, StageError> {
    let failed = |source| StageError::Package { fault: fault.name.clone(), source };
    let text = loaded(scenario, &fault.name, &fault.inf)?;
    let parsed = Inf::parse(&fault.inf, text).map_err(failed)?;
    let beside = fault.inf.rsplit_once('/').map_or("", |(beside, _)| beside);
    let installation =
        inf::installation(&parsed, fault.section.as_deref(), Target { arch: fault.arch, build })
            .map_err(failed)?;
    let mut package = vec![(parsed.file_name().to_owned(), text.to_vec())];
    let mut changes = inf::edits(&installation, scenario.machine.clock, |name| {
        let wanted = format!("{beside}/{name}");
        let found = scenario
            .files
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(&wanted))
            .map(|(_, bytes)| bytes.clone());
        let bytes = found.ok_or_else(|| StageError::NotInPackage {
            fault: fault.name.clone(),
            inf: fault.inf.clone(),
            file: name.to_owned(),
        })?;
        let is_driver = name.to_ascii_lowercase().ends_with(".sys");
        let bytes = match fault.inert && is_driver {
            true => inert(&fault.name, name, fault.arch)?,
            false => bytes,
        };
        if !package.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            package.push((name.to_owned(), bytes.clone()));
        }
        Ok(bytes)
    })?;
    // Windows keeps the package, so that it can be taken back.
    changes.push(Change::Servicing(Servicing::Published {
        folder: parsed.store_folder(fault.arch),
        inf: parsed.file_name().to_owned(),
        files: package,
        modified: scenario.machine.clock,
    }));
    Ok(changes)
}

/// The files of an update with the paths that they go to.
pub(crate) fn update(
    fault: &Update,
    scenario: &Scenario,
) -> Result<Vec<(WindowsPath, Vec<u8>)>, StageError> {
    let prefix = format!("{}/", fault.folder);
    scenario
        .files
        .iter()
        .filter_map(|(name, bytes)| Some((name.strip_prefix(&prefix)?, bytes)))
        .map(|(name, bytes)| {
            let path = format!("{}\\{}", fault.to, name.replace('/', "\\"));
            let path = path
                .parse()
                .map_err(|what| StageError::Name { fault: fault.name.clone(), what })?;
            Ok((path, bytes.clone()))
        })
        .collect()
}

fn loaded<'s>(scenario: &'s Scenario, fault: &str, name: &str) -> Result<&'s [u8], StageError> {
    scenario
        .files
        .get(name)
        .map(Vec::as_slice)
        .ok_or_else(|| StageError::File { fault: fault.to_owned(), file: name.to_owned() })
}
