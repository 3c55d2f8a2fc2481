//! A disk that starts, what is put onto it, and its diagnosis.

use diagnosis::{Diagnosis, Suspect, diagnose};
use inspect::Inspection;
use inspect::Source;
use inspect::traces::{Traces, traces};
use winfmt::bootstat::BootStatus;
use winfmt::dump::{Builder, Context, Exception, Module};
use winfmt::hive::Data;

use crate::machine::Recipe;

const DRIVER: u64 = 0xFFFF_F800_2000_0000;

/// A machine whose last start was a good one, after which it was shut down.
pub(crate) fn healthy() -> Recipe {
    let mut recipe = Recipe::sound();
    driver(&mut recipe, "partmgr", 0);
    for name in ["ntoskrnl", "smss", "csrss", "wininit", "winlogon", "services", "lsass", "svchost"]
    {
        put(&mut recipe, &format!(r"Windows\System32\{name}.exe"), b"MZ");
    }
    last_start(&mut recipe, true);
    recipe
}

pub(crate) fn put(recipe: &mut Recipe, path: &str, bytes: &[u8]) {
    recipe.files.retain(|(own, _)| own != path);
    recipe.files.push((path.to_owned(), bytes.to_vec()));
}

pub(crate) fn last_start(recipe: &mut Recipe, good: bool) {
    let mut status = BootStatus::create();
    status.set_last_boot_succeeded(good);
    status.set_last_boot_shutdown(good);
    status.set_boot_attempt_count(if good { 0 } else { 2 });
    put(recipe, r"Windows\bootstat.dat", &status.to_bytes());
}

/// A driver with its file.
pub(crate) fn driver(recipe: &mut Recipe, name: &str, start: u32) {
    let key = format!(r"ControlSet001\Services\{name}");
    for (value, number) in [("Type", 1), ("Start", start), ("ErrorControl", 1)] {
        recipe.system.set_value(key.as_str(), value, &Data::dword(number)).unwrap();
    }
    let file = format!(r"System32\drivers\{name}.sys");
    recipe.system.set_value(key.as_str(), "ImagePath", &Data::expand_string(&file)).unwrap();
    put(recipe, &format!(r"Windows\{file}"), b"MZ");
}

/// A small dump of a stop in a module, at that many seconds of 2030.
pub(crate) fn dump(code: u32, module: &str, seconds: u64) -> Vec<u8> {
    let instruction = DRIVER + 0x1017;
    let jan_2030 = 135_379_296_000_000_000;
    Builder {
        code,
        parameters: [0x74, 0, instruction, 2],
        context: Context { rip: instruction, ..Context::default() },
        exception: Some(Exception {
            code: 0xC000_0005,
            address: instruction,
            information: [0, 0x74],
            parameters: 2,
        }),
        time: winfmt::FileTime::from_ticks(jan_2030 + seconds * 10_000_000),
        up_time: 0,
        build: 26100,
        comment: String::new(),
        modules: vec![Module {
            name: module.to_owned(),
            path: format!(r"\SystemRoot\System32\drivers\{module}"),
            base: DRIVER,
            size: 0x6000,
            entry: DRIVER + 0x1000,
            checksum: 0,
            timestamp: 0,
        }],
        segments: Vec::new(),
        structures: DRIVER + 0x10_0000,
    }
    .build_small()
    .unwrap()
}

pub(crate) fn read(recipe: Recipe) -> (Inspection, Traces) {
    let machine = recipe.build();
    let disk = machine.open();
    let source = Source { disk: &disk, firmware_vars: None, tpm: None };
    let inspection = inspect::inspect(source);
    let found = traces(source, &inspection);
    (inspection, found)
}

pub(crate) fn diagnosed(recipe: Recipe) -> Diagnosis {
    let (inspection, traces) = read(recipe);
    diagnose(&inspection, &traces)
}

/// The suspect of that name.
pub(crate) fn suspect<'d>(diagnosis: &'d Diagnosis, name: &str) -> &'d Suspect {
    let found = diagnosis.suspects.iter().find(|own| own.name == name);
    found.unwrap_or_else(|| panic!("{name} is not suspect:\n{}", diagnosis::render(diagnosis)))
}

/// Its repair, as a scenario has it.
pub(crate) fn repair(suspect: &Suspect) -> serde_json::Value {
    serde_json::to_value(&suspect.repair).unwrap()
}
