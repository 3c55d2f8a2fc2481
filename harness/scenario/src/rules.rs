//! What no schema can say: combinations that cannot work, names that must agree, files that are missing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::driver::Trigger;
use crate::expect::{ServiceAnswer, Verdict};
use crate::fault::{Content, ContentDriver, ContentFile, Fault, Moment};
use crate::host_repair::RepairAction;
use crate::model::{Available, Layer, Scenario, Signature, Start};
use crate::problem::Problem;
use crate::sources::Sources;
use crate::text::{Span, WindowsPath};
use crate::user_mode::ProcessDeath;

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
    rules.expect();
    rules.problems
}

/// One step into the document.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

pub(crate) struct Rules<'a> {
    sources: &'a Sources,
    document: &'a Spanned<DeTable<'a>>,
    pub(crate) scenario: &'a Scenario,
    pub(crate) folder: &'a Path,
    problems: Vec<Problem>,
}

/// Firmware alone takes longer between two signs of life, where the processor is emulated.
const LEAST_SILENCE: Span = Span::from_secs(20);
const EXPECT: Step<'static> = Step::Key("expect");
const QUICK: [Step<'static>; 2] = [Step::Key("recovery"), Step::Key("quick-machine-recovery")];
const SERVICE: Step<'static> = Step::Key("update-service");

impl Rules<'_> {
    /// Where a value is written; for one that is not, the nearest thing above it that is.
    fn place_of(&self, steps: &[Step<'_>]) -> Range<usize> {
        let mut place = 0..0;
        let mut steps = steps.iter();
        let Some(Step::Key(first)) = steps.next() else { return place };
        let Some((_, mut value)) =
            self.document.get_ref().iter().find(|(key, _)| key.get_ref() == first)
        else {
            return place;
        };
        loop {
            place = value.span();
            let below = match (steps.next(), value.get_ref()) {
                (Some(Step::Key(key)), DeValue::Table(table)) => {
                    table.iter().find(|(found, _)| found.get_ref() == key).map(|(_, value)| value)
                }
                (Some(Step::Index(index)), DeValue::Array(items)) => items.get(*index),
                _ => None,
            };
            match below {
                Some(found) => value = found,
                None => return place,
            }
        }
    }

    pub(crate) fn problem(
        &mut self,
        steps: &[Step<'_>],
        what: impl Into<String>,
        expected: impl Into<String>,
        fix: impl Into<String>,
    ) {
        let place = self.place_of(steps);
        self.problems.push(Problem::new(self.sources, place, what, expected, fix));
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
                format!("`{}` is no version", driver.version),
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

    pub(crate) fn place(&mut self, at: &[Step<'_>], path: &WindowsPath) {
        if path.drive() != 'C' {
            self.problem(
                at,
                format!("`{path}` is on drive {}:", path.drive()),
                "a path on `C:`, the only drive of a machine",
                "write a path that begins with `C:\\`",
            );
        }
        if path.has_wildcard() {
            self.problem(
                at,
                format!("`{path}` holds a wildcard"),
                "the path of one file or folder",
                "write the name in full",
            );
        }
    }

    fn limits(&mut self) {
        let silence = self.scenario.limits.silence;
        if silence < LEAST_SILENCE {
            self.problem(
                &[Step::Key("limits"), Step::Key("silence")],
                format!("a machine may well say nothing for {silence}"),
                format!("at least {LEAST_SILENCE}"),
                "write a longer `silence`",
            );
        }
    }

    fn needs(&mut self) {
        let machine = &self.scenario.machine;
        for (index, need) in machine.lacks.iter().enumerate() {
            if machine.needs.contains(need) {
                self.problem(
                    &[Step::Key("machine"), Step::Key("lacks"), Step::Index(index)],
                    format!("the image cannot both need and lack `{}`", need.as_str()),
                    "a word in `needs` or in `lacks`",
                    "remove one of the two",
                );
            }
        }
    }

    fn recovery(&mut self) {
        let Some(settings) = &self.scenario.recovery.quick_machine_recovery else { return };
        let spans = [
            ("total-wait-time", settings.total_wait_time, 1),
            ("wait-interval", settings.wait_interval, 0),
        ];
        for (key, span, least) in spans {
            let whole = span == Span::from_secs(span.minutes() * 60);
            if !whole || !(least..=4320).contains(&span.minutes()) {
                self.problem(
                    &[QUICK[0], QUICK[1], Step::Key(key)],
                    format!("`{key}` cannot be {span}"),
                    format!("whole minutes, {least} to 4320, as Windows takes them"),
                    "write a number of minutes, as \"40m\"",
                );
            }
        }
        if settings.wait_interval > settings.total_wait_time {
            self.problem(
                &[QUICK[0], QUICK[1], Step::Key("wait-interval")],
                format!(
                    "it waits {} between two questions and {} in all",
                    settings.wait_interval, settings.total_wait_time
                ),
                "an interval that is not longer than the total",
                "write a shorter `wait-interval` or a longer `total-wait-time`",
            );
        }
    }

    fn update_service(&mut self) {
        let Some(service) = &self.scenario.update_service else { return };
        if !is_host(&service.host) {
            self.problem(
                &[SERVICE, Step::Key("host")],
                format!("`{}` is no host name", service.host),
                "names of letters, digits and hyphens with dots between them",
                "write a name such as \"update.loopbreak.test\"",
            );
        }
        let mut seen = BTreeMap::new();
        for (index, remediation) in service.remediation.iter().enumerate() {
            let at = |key| [SERVICE, Step::Key("remediation"), Step::Index(index), Step::Key(key)];
            let id = remediation.id.as_str();
            if !is_name(id) {
                self.problem(
                    &at("id"),
                    format!("`{id}` cannot be an id"),
                    "lower-case letters, digits and single hyphens: it becomes part of a URL",
                    "write another id",
                );
            }
            if seen.insert(id, ()).is_some() {
                self.problem(
                    &at("id"),
                    format!("there are two remediations with the id `{id}`"),
                    "an id that is used once",
                    "write another id",
                );
            }
            if remediation.delete.path.drive() != 'C' {
                let path = &remediation.delete.path;
                let mut steps = at("delete").to_vec();
                steps.push(Step::Key("path"));
                self.problem(
                    &steps,
                    format!("`{path}` is on drive {}:", path.drive()),
                    "a path on `C:`, the only drive of a machine",
                    "write a path that begins with `C:\\`",
                );
            }
        }
    }

    fn host_repair(&mut self) {
        let at = [Step::Key("host-repair"), Step::Key("action")];
        let actions = self.scenario.host_repair.as_ref().map(|repair| repair.action.as_slice());
        if actions.is_some_and(<[RepairAction]>::is_empty) {
            self.problem(
                &at[..1],
                "the disk is repaired from the host, but nothing is done to it",
                "at least one `[[host-repair.action]]`",
                "add one, or remove `[host-repair]`",
            );
        }
        for (index, action) in actions.into_iter().flatten().enumerate() {
            let at = |key| [at[0], at[1], Step::Index(index), Step::Key(key)];
            match action {
                RepairAction::Delete(delete) => {
                    if delete.path.drive() != 'C' {
                        self.place(&at("delete"), &delete.path);
                    }
                }
                RepairAction::Copy(copy) => {
                    self.place(&at("copy"), &copy.from);
                    self.place(&at("copy"), &copy.to);
                }
                RepairAction::Restore(path) => self.place(&at("restore"), path),
                RepairAction::Write(write) => {
                    self.place(&at("write"), &write.path);
                    let content = [&at("write")[..], &[Step::Key("content")]].concat();
                    self.content(&content, &write.content);
                }
                RepairAction::Registry(_) | RepairAction::BootEntry(_) => {}
            }
        }
    }

    fn expect(&mut self) {
        let expect = &self.scenario.expect;
        let recovers = matches!(expect.verdict, Verdict::Recovered | Verdict::RecoveredOtherwise);
        let verdict = expect.verdict.as_str();
        if self.scenario.fault.is_empty() && expect.verdict != Verdict::Unaffected {
            self.problem(
                &[EXPECT, Step::Key("verdict")],
                format!("`{verdict}` is expected, but nothing goes wrong"),
                "at least one `[[fault]]`, or `verdict = \"unaffected\"`",
                "add a `[[fault]]`",
            );
        }
        if expect.verdict == Verdict::RecoveredOtherwise && expect.layers.is_empty() {
            self.problem(
                &[EXPECT, Step::Key("verdict")],
                format!("`{verdict}` is expected, but not by which layer"),
                "`layers`: the layers that bring the machine back, in order",
                "add `layers = [\"quick-machine-recovery\"]`, or whichever it is",
            );
        }
        if !recovers && !expect.layers.is_empty() {
            self.problem(
                &[EXPECT, Step::Key("layers")],
                format!("with `{verdict}` no layer brings the machine back"),
                "`layers` only with `recovered` or `recovered-otherwise`",
                "remove `layers`",
            );
        }
        if expect.verdict == Verdict::Unaffected && expect.stop.is_some() {
            self.problem(
                &[EXPECT, Step::Key("stop")],
                "an unaffected machine does not stop",
                "`stop` with a verdict that has failing boots",
                "remove `stop`, or expect another verdict",
            );
        }
        if let Some(index) =
            expect.layers.iter().position(|layer| *layer == Layer::QuickMachineRecovery)
            && expect.verdict == Verdict::Recovered
        {
            self.quick_machine_recovery(index);
        }
        if let Some(index) = expect.layers.iter().position(|layer| *layer == Layer::HostRepair)
            && self.scenario.host_repair.is_none()
        {
            self.problem(
                &[EXPECT, Step::Key("layers"), Step::Index(index)],
                "host-repair is expected to bring the machine back, but nothing is done from the host",
                "a `[[host-repair.action]]`",
                "add `[[host-repair.action]]` with what is done to the disk",
            );
        }
        self.expected_answer();
    }

    /// Quick Machine Recovery is expected to succeed: it has to be able to.
    fn quick_machine_recovery(&mut self, index: usize) {
        let at = [EXPECT, Step::Key("layers"), Step::Index(index)];
        let expected = "a scenario in which quick-machine-recovery can succeed";
        if let Some(settings) = &self.scenario.recovery.quick_machine_recovery {
            if !settings.cloud_remediation {
                self.problem(
                    &at,
                    "quick-machine-recovery is expected to bring the machine back, but cloud \
                     remediation is off, so it never asks",
                    expected,
                    "write `cloud-remediation = true`, or expect `stuck-in-recovery`",
                );
            } else if !settings.auto_remediation {
                self.problem(
                    &at,
                    "quick-machine-recovery is expected to bring the machine back, but automatic \
                     remediation is off, so it waits for a person",
                    expected,
                    "write `auto-remediation = true`, or expect `stuck-in-recovery`",
                );
            }
        }
        let Some(service) = &self.scenario.update_service else {
            return self.problem(
                &at,
                "quick-machine-recovery is expected to bring the machine back, but there is no update \
                 service to ask",
                expected,
                "add `[update-service]` with a `[[update-service.remediation]]`",
            );
        };
        let usable = service.remediation.iter().any(|remediation| {
            remediation.available != Available::Never && remediation.signature == Signature::Trusted
        });
        if !usable {
            self.problem(
                &at,
                "quick-machine-recovery is expected to bring the machine back, but no remediation is \
                 both offered and signed by a trusted publisher",
                expected,
                "add such a `[[update-service.remediation]]`, or expect `stuck-in-recovery`",
            );
        }
    }

    fn expected_answer(&mut self) {
        let Some(answer) = self.scenario.expect.update_service else { return };
        let at = [EXPECT, Step::Key("update-service")];
        if self.scenario.update_service.is_none() {
            return self.problem(
                &at,
                "something is expected of the update service, but there is none",
                "an `[update-service]`, even one without remediations",
                "add `[update-service]`, or remove this line",
            );
        }
        let asks = |settings: &crate::model::QuickMachineRecovery| settings.cloud_remediation;
        let off = self.scenario.recovery.quick_machine_recovery.as_ref().is_some_and(|s| !asks(s));
        if off && answer != ServiceAnswer::NotAsked {
            self.problem(
                &at,
                format!("`{}` is expected, but cloud remediation is off", answer.as_str()),
                "`not-asked`",
                "write `cloud-remediation = true`, or expect `not-asked`",
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
