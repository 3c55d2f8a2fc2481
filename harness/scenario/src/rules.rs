//! What no schema can say: combinations that cannot work, names that must agree, files that are missing.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use toml::Spanned;
use toml::de::DeTable;

use crate::content::{Content, ContentDriver, ContentFile};
use crate::driver::Trigger;
use crate::fault::Fault;
use crate::model::{Scenario, Start};
use crate::moment::Moment;
pub(crate) use crate::place::Step;
use crate::place::place_of;
use crate::problem::Problem;
use crate::sources::Sources;
use crate::user_mode::ProcessDeath;
use words::WindowsPath;

/// Everything in the scenario that cannot work. `folder` is where its file lies.
pub(crate) fn check(
    sources: &Sources,
    document: &Spanned<DeTable<'_>>,
    scenario: &Scenario,
    folder: &Path,
) -> Vec<Problem> {
    let mut rules = Rules { sources, document, scenario, folder, problems: Vec::new() };
    rules.names();
    for (list, faults) in [("given", &scenario.given), ("fault", &scenario.fault)] {
        for (index, fault) in faults.iter().enumerate() {
            let at = [Step::Key(list), Step::Index(index)];
            rules.moment(&at, list, fault);
            match fault {
                Fault::ContentDriver(driver) => rules.driver(&at, driver),
                Fault::ContentFile(file) => rules.file(&at, file),
                Fault::ContentUpdater(updater) => rules.content_updater(&at, list, updater),
                Fault::Driver(driver) => rules.faulty_driver(&at, driver),
                Fault::DriverFile(driver) => rules.driver_file(&at, driver),
                Fault::DriverPackage(package) => rules.driver_package(&at, package),
                Fault::Update(update) => rules.update(&at, update),
                Fault::QualityUpdate(update) => rules.quality_update(&at, list, update),
                Fault::ServicingTransaction(fault) => rules.transaction(&at, fault),
                Fault::FileVersion(fault) => rules.file_version(&at, fault),
                Fault::FileLoss(fault) => rules.file_loss(&at, fault),
                Fault::InterruptedWrite(fault) => rules.interrupted_write(&at, fault),
                Fault::BootConfiguration(fault) => rules.staged_only(&at, fault.when),
                Fault::Registry(fault) => rules.registry(&at, fault),
                Fault::ProcessDeath(death) => rules.process_death(&at, death),
                Fault::Storage(fault) => rules.storage(&at, fault),
                Fault::Power(fault) => rules.power(&at, fault),
                Fault::Network(_) => rules.only_goes_wrong(&at, list),
                Fault::Service(_) => rules.service_fault(&at, list),
                Fault::Clock(fault) => rules.clock_fault(&at, list, fault),
                Fault::Encryption(fault) => rules.encryption(&at, list, index, fault),
                Fault::Trust(fault) => rules.trust(&at, list, fault),
            }
        }
    }
    for (index, canary) in scenario.canary.iter().enumerate() {
        rules.place(&[Step::Key("canary"), Step::Index(index), Step::Key("path")], &canary.path);
    }
    rules.limits();
    rules.needs();
    rules.recovery();
    rules.update_service();
    rules.content_service();
    rules.host_repair();
    rules.rollback();
    rules.safe_mode();
    rules.uninstall_update();
    rules.restore_point();
    rules.layers();
    rules.expect();
    rules.problems
}

pub(crate) struct Rules<'a> {
    sources: &'a Sources,
    document: &'a Spanned<DeTable<'a>>,
    pub(crate) scenario: &'a Scenario,
    pub(crate) folder: &'a Path,
    problems: Vec<Problem>,
}

impl Rules<'_> {
    pub(crate) fn problem(
        &mut self,
        steps: &[Step<'_>],
        what: impl Into<String>,
        expected: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let place = place_of(self.document, steps);
        self.problems.push(self.sources.problem(place, what, expected, fix));
    }

    fn names(&mut self) {
        let name = self.scenario.name.as_str();
        if !is_name(name) {
            self.problem(
                &[Step::Key("name")],
                format!("`{name}` cannot be a scenario's name"),
                "lower-case letters, digits and single hyphens",
                "rename the scenario and its folder",
            );
        }
        let folder = self.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        if let Some(folder) = folder
            && folder != name
        {
            self.problem(
                &[Step::Key("name")],
                format!("the scenario is called `{name}` and lies in the folder `{folder}`"),
                "the same name for both",
                format!("write `name = \"{folder}\"` or rename the folder"),
            );
        }
        let mut seen = BTreeMap::new();
        for (list, faults) in [("given", &self.scenario.given), ("fault", &self.scenario.fault)] {
            for (index, fault) in faults.iter().enumerate() {
                let at = [Step::Key(list), Step::Index(index), Step::Key("name")];
                if !is_name(fault.name()) {
                    self.problem(
                        &at,
                        format!("`{}` cannot be a name", fault.name()),
                        "lower-case letters, digits and single hyphens",
                        "rename it",
                    );
                }
                if seen.insert(fault.name(), ()).is_some() {
                    self.problem(
                        &at,
                        format!("there are two things called `{}`", fault.name()),
                        "a name that is used once among `given` and `fault`",
                        "rename one of them",
                    );
                }
            }
        }
    }

    fn moment(&mut self, at: &[Step<'_>; 2], list: &str, fault: &Fault) {
        let when = [at[0], at[1], Step::Key("when")];
        if list == "given" && fault.when() != Moment::Staged {
            self.problem(
                &when,
                format!("`{}` is given, so it cannot happen later", fault.name()),
                "`staged`: what is given is there before anything goes wrong",
                "remove `when`, or move it to `[[fault]]`",
            );
        } else if list == "fault"
            && fault.when() == Moment::Staged
            && self.scenario.machine.start == Start::Checkpoint
        {
            self.problem(
                &when,
                format!(
                    "`{}` is staged before power-on, but the machine starts from a checkpoint, which \
                     was taken without it",
                    fault.name()
                ),
                "a fault that happens when the machine is `healthy`, or a cold start",
                "write `start = \"cold\"` in `[machine]`, or `when = \"healthy\"` here",
            );
        }
    }

    fn driver(&mut self, at: &[Step<'_>; 2], driver: &ContentDriver) {
        if driver.when == Moment::Healthy {
            self.problem(
                &[at[0], at[1], Step::Key("when")],
                "a driver cannot be installed while the machine runs",
                "`staged`",
                "remove `when`",
            );
        }
        let stem = driver.driver.strip_suffix(".sys").unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if stem.is_empty() || stem.len() > 32 || !stem.chars().all(plain) {
            self.problem(
                &[at[0], at[1], Step::Key("driver")],
                format!("`{}` cannot be a driver's file name", driver.driver),
                "1 to 32 letters, digits, `-` or `_`, and `.sys`",
                "write a name such as \"csagent.sys\"",
            );
        }
        if !four_numbers(&driver.version) {
            self.problem(
                &[at[0], at[1], Step::Key("version")],
                format!("`{}` is not a version", driver.version),
                "four numbers up to 65535 with dots",
                "write a version such as \"7.11.0.0\"",
            );
        }
        let pattern = &driver.content_pattern;
        if pattern.is_empty() || pattern.chars().count() > 200 || pattern.contains(['\\', '/', ':'])
        {
            self.problem(
                &[at[0], at[1], Step::Key("content-pattern")],
                format!("`{pattern}` cannot be a pattern of file names"),
                "1 to 200 characters, where `*` and `?` stand for others",
                "write a pattern such as \"C-00000291-*.sys\"",
            );
        }
        let folder = [at[0], at[1], Step::Key("content-folder")];
        self.place(&folder, &driver.content_folder);
        if matches!(driver.trigger, Trigger::Timer(_)) {
            self.problem(
                &[at[0], at[1], Step::Key("trigger")],
                "a timer's routine cannot read files",
                "`entry`, `thread` or `session`",
                "write `trigger = { session = { seconds = 0 } }`",
            );
        }
    }

    fn file(&mut self, at: &[Step<'_>; 2], file: &ContentFile) {
        self.place(&[at[0], at[1], Step::Key("path")], &file.path);
        if file.when == Moment::Healthy && file.modified.is_some() {
            self.problem(
                &[at[0], at[1], Step::Key("modified")],
                "a file that the guest agent writes carries the guest's own time",
                "`modified` with a staged file only",
                "remove `modified`, and set `clock` in `[machine]` to the time that you want",
            );
        }
        self.content(&[at[0], at[1], Step::Key("content")], &file.content);
    }

    pub(crate) fn content(&mut self, at: &[Step<'_>], content: &Content) {
        match content {
            Content::ChannelFile(content) => {
                for (number, pattern) in &content.patterns {
                    let below = ["channel-file", "patterns", number].map(Step::Key);
                    let place = [at, &below].concat();
                    // Written as the number is: `"01"` would be another key than `1`.
                    let field = number.parse::<u16>().ok().filter(|n| n.to_string() == *number);
                    if field.is_none_or(|field| field == 0 || field > content.fields) {
                        self.problem(
                            &place,
                            format!("there is no field `{number}`"),
                            format!("a number from 1 to {}, which is `fields`", content.fields),
                            "write the number of a field that the file declares",
                        );
                    }
                    if pattern.len() > 1024 {
                        self.problem(
                            &place,
                            format!("the pattern has {} bytes", pattern.len()),
                            "at most 1024 bytes",
                            "write a shorter pattern",
                        );
                    }
                }
            }
            Content::Text(_) => {}
            Content::File(name) => {
                let place = [at, &[Step::Key("file")]].concat();
                let inside =
                    Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
                if name.is_empty() || !inside {
                    self.problem(
                        &place,
                        format!("`{name}` does not stay in the scenario's folder"),
                        "a file in the scenario's folder",
                        "copy the file there and write its name",
                    );
                } else if !self.folder.join(name).is_file() {
                    self.problem(
                        &place,
                        format!("there is no file `{name}`"),
                        format!("a file in {}", self.folder.display()),
                        "put the file there, or correct the name",
                    );
                }
            }
        }
    }

    fn process_death(&mut self, at: &[Step<'_>; 2], death: &ProcessDeath) {
        if death.when == Moment::Staged {
            self.problem(
                &[at[0], at[1], Step::Key("when")],
                "before power-on there is no process that could end",
                "`healthy`",
                "remove `when`; a program that cannot start at all is a `file-loss`",
            );
        }
        let name = &death.process;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            self.problem(
                &[at[0], at[1], Step::Key("process")],
                format!("`{name}` cannot be a program's file name"),
                "1 to 64 letters, digits, `-`, `_` or `.`, without a folder",
                "write a name such as \"lsass.exe\"",
            );
        }
    }

    /// For what is looked up on the volume of Windows alone.
    pub(crate) fn place_on_c(&mut self, at: &[Step<'_>], path: &WindowsPath) {
        if path.drive() != 'C' {
            self.problem(
                at,
                format!("`{path}` is on drive {}:", path.drive()),
                "a path on `C:`, the volume of Windows",
                "write a path that begins with `C:\\`",
            );
        }
        self.place(at, path);
    }

    pub(crate) fn place(&mut self, at: &[Step<'_>], path: &WindowsPath) {
        if path.has_wildcard() {
            self.problem(
                at,
                format!("`{path}` holds a wildcard"),
                "the path of one file or folder",
                "write the name in full",
            );
        }
    }
}

pub(crate) fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 64 && text.split('-').all(|part| !part.is_empty() && part.chars().all(plain))
}

pub(crate) fn four_numbers(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    parts.len() == 4 && parts.iter().all(|part| part.parse::<u16>().is_ok())
}

pub(crate) fn is_host(text: &str) -> bool {
    let part = |part: &str| {
        (1..=63).contains(&part.len())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(part)
}
