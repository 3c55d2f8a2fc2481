//! Drivers that came or changed shortly before it began.

use inspect::services::{Service, Start};

use super::{Scene, Suspects};
use crate::changes::{Change, Subject};
use crate::repairs;
use crate::statement::{Statement, on_c, span};

/// A stop of the processes that Windows does not go on without (windows-facts.md 5.2).
const SESSION_STOPS: [u32; 2] = [0xC000_021A, 0xEF];

pub(super) fn add(scene: &Scene<'_>, all: &mut Suspects) {
    let services = scene.inspection.services.known().map_or(&[][..], |own| &own.services);
    let starting = |service: &&Service| {
        service.is_driver()
            && matches!(service.start, Start::Boot | Start::System | Start::Automatic)
    };
    for service in services.iter().filter(starting) {
        for change in scene.changes.iter().filter(|change| is_of(change, service)) {
            let near = scene
                .first
                .is_some_and(|first| first.time.duration_since(change.time).as_hours() < 24);
            // Where no stop is on the disk, a change is all that there is to go by.
            let weight = match (near, scene.stops.is_empty()) {
                (true, true) => 20,
                (true, false) => 15,
                (false, _) => 10,
            };
            let mut statement = change.statement.clone();
            if let Some(first) = scene.first {
                let before = span(change.time, first.time);
                statement.text += &format!(", {before} before {}", first.words);
            }
            all.driver(service).because(weight, statement);
        }
    }
    twins(scene, all);
}

/// Whether a change is of a service, its file or its package.
fn is_of(change: &Change, service: &Service) -> bool {
    let file = service.file.known();
    match &change.subject {
        Subject::Service(name) => name.eq_ignore_ascii_case(&service.name),
        Subject::File(path) => file.is_some_and(|file| file.eq_ignore_ascii_case(path)),
        // Most packages name their INF after their driver.
        Subject::Inf(inf) => {
            let stem = file
                .and_then(|file| file.rsplit('\\').next()?.rsplit_once('.'))
                .map(|(stem, _)| stem);
            inf.rsplit_once('.')
                .is_some_and(|(own, _)| stem.is_some_and(|stem| stem.eq_ignore_ascii_case(own)))
        }
        Subject::Other => false,
    }
}

/// One file in two versions.
fn twins(scene: &Scene<'_>, all: &mut Suspects) {
    for twins in scene.traces.twins.known().into_iter().flatten() {
        let text = format!(
            "it has version {}, and {} of the same name has {}",
            twins.version,
            on_c(&twins.driver),
            twins.driver_version
        );
        let source =
            format!("version resources of {} and {}", on_c(&twins.path), on_c(&twins.driver));
        let suspect = all.file(&twins.path);
        suspect
            .because(30, Statement::new(text, source))
            .repair(repairs::copy(&twins.driver, &twins.path));
        let stop = scene.stops.iter().rev().find(|stop| SESSION_STOPS.contains(&stop.code));
        if let Some(stop) = stop {
            let text =
                format!("the stop {} comes of files that the session starts with", stop.title());
            suspect.because(30, Statement::new(text, stop.source.clone()).at(stop.time));
        }
    }
}
