//! A scenario that does to another machine what was found on this disk, with the proposed repair.

use std::collections::BTreeMap;

use inspect::services::{Service, Start};
use inspect::traces::Traces;
use inspect::{Inspection, Known};
use scenario::{
    Content, ContentFile, DisabledDiskDriver, DriverFile, ErrorControl, Expect, Fault, FileLoss,
    FileVersion, FilterList, FilteredClass, HostRepair, Layer, MissingFilter, Moment,
    RegistryDamage, RegistryFault, ServiceStart, Stop as ExpectedStop, Verdict, WindowsPath,
};
use serde::Serialize;

use crate::diagnose::Diagnosis;
use crate::statement::{Stop, on_c};
use crate::suspects::Suspect;

/// A scenario, and the files that it takes along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reproduction {
    /// The text of its `scenario.toml`.
    pub text: String,
    /// Each a file's name in the scenario's folder, and the file on the disk, from the root of its volume.
    pub files: Vec<(String, String)>,
}

/// Why there is no scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoReproduction(pub String);

impl std::fmt::Display for NoReproduction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoReproduction {}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document<'d> {
    format: u32,
    name: &'d str,
    title: String,
    description: String,
    machine: Machine<'d>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    given: Vec<Fault>,
    fault: Vec<Fault>,
    host_repair: HostRepair,
    limits: Limits,
    expect: Expect,
}

#[derive(Serialize)]
struct Machine<'d> {
    image: &'d str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Limits {
    silence: &'static str,
    loop_after: u32,
    recovery_rounds: u32,
}

/// Makes a scenario called `name` for machines of `image` of the first suspect.
///
/// # Errors
/// There is no suspect, no fault of the catalogue does what was found, or nothing that `host-repair` does would mend it.
pub fn reproduction(
    diagnosis: &Diagnosis,
    inspection: &Inspection,
    traces: &Traces,
    name: &str,
    image: &str,
) -> Result<Reproduction, NoReproduction> {
    let no = |why: &str| NoReproduction(why.to_owned());
    let suspect = diagnosis
        .suspects
        .first()
        .ok_or_else(|| no("there is no suspect to make a scenario of"))?;
    if suspect.repair.is_empty() {
        return Err(NoReproduction(format!(
            "the layer `host-repair` has no action against {} {}; write the scenario by hand",
            suspect.what, suspect.name
        )));
    }
    let stop = diagnosis.stops.iter().rev().find(|stop| stop.over != Some(true));
    let mut files = Vec::new();
    let (given, fault) = faults(suspect, stop, inspection, traces, &mut files)?;
    let reasons: Vec<String> = suspect
        .reasons
        .iter()
        .map(|reason| format!("- {} (from {})", reason.statement.text, reason.statement.source))
        .collect();
    let document = Document {
        format: 1,
        name,
        title: printable(&format!(
            "What a disk was diagnosed with: {} {}",
            suspect.what, suspect.name
        )),
        description: printable(&format!(
            "Written by `loopbreak diagnose`. The first suspect is {} {}:\n\n{}\n",
            suspect.what,
            suspect.name,
            reasons.join("\n")
        )),
        machine: Machine { image },
        given,
        fault,
        host_repair: HostRepair { action: suspect.repair.clone() },
        limits: Limits { silence: "45s", loop_after: 2, recovery_rounds: 1 },
        expect: Expect {
            verdict: Verdict::Recovered,
            layers: vec![Layer::HostRepair],
            layer_results: BTreeMap::new(),
            stop: stop
                .map(|stop| ExpectedStop { bug_check: stop.code, module: stop.module.clone() }),
            boot_error: None,
            failures: Vec::new(),
            recovery_key: false,
            update_service: None,
        },
    };
    let text = toml::to_string(&document).map_err(|error| NoReproduction(error.to_string()))?;
    Ok(Reproduction { text, files })
}

/// What was there before, and what goes wrong.
type Faults = (Vec<Fault>, Vec<Fault>);

fn faults(
    suspect: &Suspect,
    stop: Option<&Stop>,
    inspection: &Inspection,
    traces: &Traces,
    files: &mut Vec<(String, String)>,
) -> Result<Faults, NoReproduction> {
    let services = inspection.services.known().map_or(&[][..], |own| &own.services);
    let no = || {
        NoReproduction(format!(
            "no fault of the catalogue does to a machine what is wrong with {} {}; write the scenario by hand",
            suspect.what, suspect.name
        ))
    };
    let driver = |name: &str| {
        services.iter().find(|service| {
            let file = service.file.known().and_then(|file| file.rsplit('\\').next());
            service.is_driver() && file.is_some_and(|file| file.eq_ignore_ascii_case(name))
        })
    };
    let is_path = |path: &&str| on_c(path).eq_ignore_ascii_case(&suspect.name);
    let fault = match suspect.what {
        "driver" => driver_file(driver(&suspect.name).ok_or_else(no)?, files)?,
        "service" => registry(RegistryDamage::DisabledDiskDriver(DisabledDiskDriver {
            service: Some(suspect.name.clone()),
        })),
        "filter" => filter(&suspect.name, inspection).ok_or_else(no)?,
        "file" => {
            let missing = traces
                .missing
                .known()
                .into_iter()
                .flatten()
                .find(|own| is_path(&own.path.as_str()));
            let twins =
                traces.twins.known().into_iter().flatten().find(|own| is_path(&own.path.as_str()));
            let content = traces
                .driver_files
                .known()
                .into_iter()
                .flatten()
                .find(|own| is_path(&own.path.as_str()));
            match (missing, twins, content) {
                (Some(missing), ..) => {
                    let folder = missing.copies.first().and_then(|copy| copy.rsplit_once('\\'));
                    let quarantine = folder.map(|(folder, _)| path(folder)).transpose()?;
                    Fault::FileLoss(FileLoss {
                        name: "loss".to_owned(),
                        when: Moment::default(),
                        path: path(&missing.path)?,
                        quarantine,
                        inert: false,
                    })
                }
                (_, Some(twins), _) => Fault::FileVersion(FileVersion {
                    name: "version".to_owned(),
                    when: Moment::default(),
                    path: path(&twins.path)?,
                    version: twins.version.clone(),
                    inert: false,
                }),
                (.., Some(content)) => {
                    let blamed =
                        stop.and_then(|stop| driver(stop.module.as_deref()?)).ok_or_else(no)?;
                    let given = driver_file(blamed, files)?;
                    let file = taken(&content.path, files)?;
                    let fault = Fault::ContentFile(ContentFile {
                        name: "content".to_owned(),
                        when: Moment::default(),
                        path: path(&content.path)?,
                        content: Content::File(file),
                        modified: content.changed,
                    });
                    return Ok((vec![given], vec![fault]));
                }
                _ => return Err(no()),
            }
        }
        _ => return Err(no()),
    };
    Ok((Vec::new(), vec![fault]))
}

/// A driver as it lies on the disk, with its service.
fn driver_file(
    service: &Service,
    files: &mut Vec<(String, String)>,
) -> Result<Fault, NoReproduction> {
    let Known::Known(file) = &service.file else {
        let why = format!(
            "the file of the driver {} is not on the disk, so it cannot be taken along",
            service.name
        );
        return Err(NoReproduction(why));
    };
    let start = match service.start {
        Start::Boot => ServiceStart::Boot,
        Start::System => ServiceStart::System,
        Start::Automatic => ServiceStart::Auto,
        Start::Demand => ServiceStart::Demand,
        Start::Disabled | Start::Other(_) => ServiceStart::Disabled,
    };
    let error_control = match service.error_control.known() {
        Some(0) => ErrorControl::Ignore,
        Some(2) => ErrorControl::Severe,
        Some(3) => ErrorControl::Critical,
        _ => ErrorControl::Normal,
    };
    Ok(Fault::DriverFile(DriverFile {
        name: "driver".to_owned(),
        when: Moment::default(),
        file: taken(file, files)?,
        service: scenario::Service {
            name: Some(service.name.clone()),
            start,
            error_control,
            group: service.group.clone(),
        },
        inert: false,
    }))
}

fn filter(name: &str, inspection: &Inspection) -> Option<Fault> {
    let classes = [FilteredClass::DiskDrive, FilteredClass::Volume, FilteredClass::HostAdapter];
    let filters = &inspection.filters.known()?.classes;
    filters.iter().find_map(|own| {
        let class = *classes.iter().find(|class| class.guid().eq_ignore_ascii_case(&own.class))?;
        let list = if own.upper.iter().any(|filter| filter == name) {
            FilterList::Upper
        } else if own.lower.iter().any(|filter| filter == name) {
            FilterList::Lower
        } else {
            return None;
        };
        let service = Some(name.to_owned());
        Some(registry(RegistryDamage::MissingFilter(MissingFilter { class, list, service })))
    })
}

fn registry(damage: RegistryDamage) -> Fault {
    Fault::Registry(RegistryFault {
        name: "registry".to_owned(),
        when: Moment::default(),
        damage,
        inert: false,
    })
}

/// A file is taken along under its own name; gives that name.
fn taken(path: &str, files: &mut Vec<(String, String)>) -> Result<String, NoReproduction> {
    let name = path.rsplit('\\').next().unwrap_or(path);
    // It becomes a file of the host, and its name comes from a guest.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_plain) {
        return Err(NoReproduction(format!(
            "{} is not taken along: its name is not made of letters, digits, `-`, `_` and `.`; write the scenario by hand",
            on_c(path)
        )));
    }
    files.push((name.to_owned(), path.to_owned()));
    Ok(name.to_owned())
}

fn path(file: &str) -> Result<WindowsPath, NoReproduction> {
    on_c(file).parse().map_err(|why| {
        NoReproduction(format!("{} cannot be written in a scenario: {why}", on_c(file)))
    })
}

/// Text of a guest in a file for people.
fn printable(text: &str) -> String {
    text.lines().map(|line| words::escaped(line).to_string()).collect::<Vec<_>>().join("\n")
}
