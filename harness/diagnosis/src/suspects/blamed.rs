//! Modules that dumps blame, and files that Startup Repair names.

use inspect::services::Service;
use inspect::traces::FileTrace;

use super::{Scene, Suspects};
use crate::repairs;
use crate::statement::{Statement, on_c, span};

/// A stop is always made in the kernel; that it stands in a dump blames nobody.
const KERNEL: [&str; 4] = ["ntoskrnl.exe", "ntkrnlmp.exe", "hal.dll", "win32k.sys"];

pub(super) fn add(scene: &Scene<'_>, all: &mut Suspects) {
    dumps(scene, all);
    startup_repair(scene, all);
}

fn dumps(scene: &Scene<'_>, all: &mut Suspects) {
    let stops = scene.stops.iter().filter(|stop| stop.over != Some(true));
    let mut modules: Vec<&str> = stops.clone().filter_map(|stop| stop.module.as_deref()).collect();
    modules.sort_unstable();
    modules.dedup();
    for module in modules {
        if KERNEL.contains(&module) {
            continue;
        }
        let blaming: Vec<_> =
            stops.clone().filter(|stop| stop.module.as_deref() == Some(module)).collect();
        let Some(last) = blaming.last() else { continue };
        let count = match blaming.len() {
            1 => format!("a stop with {} blames it", last.title()),
            count => format!("{count} stops blame it, the last with {}", last.title()),
        };
        let weight = 50 + 5 * i32::try_from(blaming.len().min(4)).unwrap_or(4);
        let reason = Statement::new(count, last.source.clone()).at(last.time);
        match service_of(scene, module) {
            Some(service) => {
                all.driver(service).because(weight, reason);
            }
            None => {
                let file = file_named(scene, module).map(|file| file.path.as_str());
                let suspect = match file {
                    Some(path) => all.file(path),
                    None => all.setting("driver", module),
                };
                let otherwise = "find out what loads it: no service of this disk does";
                suspect.because(weight, reason).repair(Err(otherwise.to_owned()));
            }
        }
        content(scene, module, all);
    }
}

/// What lies in a folder that a blamed driver reads, and came after the driver.
fn content(scene: &Scene<'_>, module: &str, all: &mut Suspects) {
    let Some(driver) = file_named(scene, module) else { return };
    let files = scene.traces.driver_files.known().map_or(&[][..], Vec::as_slice);
    let mut came_later = false;
    for mention in scene.traces.mentions.iter().filter(|own| own.driver == driver.path) {
        let beside = files.iter().filter(|file| {
            file.path.rsplit_once('\\').is_some_and(|(folder, _)| folder == mention.folder)
        });
        let until = scene.first.map(|first| first.time);
        let candidates = beside.filter(|file| {
            file.changed > driver.changed && until.is_none_or(|until| file.changed <= Some(until))
        });
        // The last one that was written before it began: what came earlier was there when it still worked.
        let Some(file) = candidates.max_by_key(|file| file.changed) else { continue };
        came_later = true;
        let text = format!("{module}, which is blamed, reads what lies in its folder");
        all.file(&file.path)
            .because(45, Statement::new(text, mention.source.clone()))
            .repair(repairs::delete(&file.path));
        if let (Some(time), Some(first)) = (file.changed, until) {
            let text = format!(
                "it was written {} before the first stop, after everything else that {module} reads",
                span(time, first)
            );
            let source = format!("time of {}", on_c(&file.path));
            all.file(&file.path).because(35, Statement::new(text, source).at(Some(time)));
        }
    }
    if came_later && let Some(service) = service_of(scene, module) {
        let text = "its own file is older than what it reads there";
        let source = format!("time of {}", on_c(&driver.path));
        all.driver(service).because(-10, Statement::new(text, source).at(driver.changed));
    }
}

/// Paths in what Startup Repair took for a cause, in its last session.
fn startup_repair(scene: &Scene<'_>, all: &mut Suspects) {
    let Some(facts) = scene.inspection.history.startup_repair.known() else { return };
    let Some(session) = facts.log.sessions.last() else { return };
    for path in session.root_causes.iter().flat_map(|cause| &cause.paths) {
        let Some(name) = path.rsplit('\\').next() else { continue };
        let reason = Statement::new("Startup Repair took it for a cause", on_c(&facts.path))
            .at(facts.modified);
        match service_of(scene, &name.to_lowercase()) {
            Some(service) => {
                all.driver(service).because(30, reason);
            }
            None => {
                let inner = path.split_once(":\\").map_or(path.as_str(), |(_, inner)| inner);
                all.file(inner).because(30, reason);
            }
        }
    }
}

/// The service that starts a driver's file.
fn service_of<'s>(scene: &'s Scene<'_>, module: &str) -> Option<&'s Service> {
    let services = &scene.inspection.services.known()?.services;
    services.iter().find(|service| {
        let name = service.file.known().and_then(|file| file.rsplit('\\').next());
        service.is_driver() && name.is_some_and(|name| name.eq_ignore_ascii_case(module))
    })
}

fn file_named<'s>(scene: &'s Scene<'_>, name: &str) -> Option<&'s FileTrace> {
    let files = scene.traces.driver_files.known()?;
    files.iter().find(|file| file.name().eq_ignore_ascii_case(name))
}
