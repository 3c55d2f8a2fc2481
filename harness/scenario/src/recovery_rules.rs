//! What no schema can say of limits, of what an image needs, of recovery and its service, and of what is
//! expected.

use std::collections::BTreeMap;

use words::{Layer, PayloadPath, ServiceAnswer, Span, Verdict};

use crate::fault::Fault;
use crate::host_repair::RepairAction;
use crate::model::{QuickMachineRecovery, Start};
use crate::network_services::{Available, Signature};
use crate::rules::{Rules, Step, is_host, is_name};

/// Firmware alone takes longer between two signs of life, where the processor is emulated.
const LEAST_SILENCE: Span = Span::from_secs(20);
const EXPECT: Step<'static> = Step::Key("expect");
const QUICK: [Step<'static>; 2] = [Step::Key("recovery"), Step::Key("quick-machine-recovery")];
const SERVICE: Step<'static> = Step::Key("update-service");

impl Rules<'_> {
    pub(crate) fn limits(&mut self) {
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

    pub(crate) fn needs(&mut self) {
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

    pub(crate) fn recovery(&mut self) {
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

    pub(crate) fn update_service(&mut self) {
        let Some(service) = &self.scenario.update_service else { return };
        if !is_host(&service.host) {
            self.problem(
                &[SERVICE, Step::Key("host")],
                format!("`{}` is not a host name", service.host),
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
            if remediation.delete.is_none() && remediation.write.is_none() {
                self.problem(
                    &at("id")[..3],
                    format!("the remediation `{id}` does nothing"),
                    "`delete` or `write`",
                    "write what it deletes or writes",
                );
            }
            let delete = remediation.delete.as_ref().map(|delete| ("delete", &delete.path));
            let write = remediation.write.as_ref().map(|write| ("write", &write.path));
            for (key, path) in delete.into_iter().chain(write) {
                let mut steps = at(key).to_vec();
                steps.push(Step::Key("path"));
                let payload: Result<PayloadPath, String> = path.as_str().parse();
                let problem = match payload {
                    Ok(payload) if key == "write" && payload.has_wildcard() => {
                        format!("`{path}` names no single file to write")
                    }
                    Ok(_) => continue,
                    Err(problem) => problem,
                };
                self.problem(
                    &steps,
                    problem,
                    "a path that a machine takes from its update service",
                    "write a path that begins with `C:\\`, with the long name of each folder",
                );
            }
            if let Some(builds) = remediation.target.builds
                && builds.from > builds.to
            {
                let mut steps = at("target").to_vec();
                steps.push(Step::Key("builds"));
                self.problem(
                    &steps,
                    format!("no build is from {} to {}", builds.from, builds.to),
                    "the first and then the last build",
                    "swap them",
                );
            }
        }
    }

    pub(crate) fn host_repair(&mut self) {
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

    pub(crate) fn rollback(&mut self) {
        if self.scenario.rollback.is_some() && self.scenario.machine.start == Start::Cold {
            self.problem(
                &[Step::Key("rollback")],
                "the machine goes back to the checkpoint that it started from, but it starts from power-on",
                "`start = \"checkpoint\"` in `[machine]`",
                "write `start = \"checkpoint\"`, or remove `[rollback]`",
            );
        }
        // A drive that is at fault would be exchanged with everything else, and the layer credited for that.
        let trouble = self.scenario.fault.iter().find(|fault| matches!(fault, Fault::Storage(_)));
        if let Some(trouble) = trouble.filter(|_| self.scenario.rollback.is_some()) {
            let what =
                format!("`{}` is trouble with the drive, which no roll-back ends", trouble.name());
            self.problem(
                &[Step::Key("rollback")],
                what,
                "`[rollback]` in a scenario whose faults are in the machine",
                "remove `[rollback]`, or the fault",
            );
        }
    }

    pub(crate) fn expect(&mut self) {
        let expect = &self.scenario.expect;
        let recovers = matches!(expect.verdict, Verdict::Recovered | Verdict::RecoveredOtherwise);
        let verdict = expect.verdict.name();
        if expect.verdict == Verdict::Infrastructure {
            self.problem(
                &[EXPECT, Step::Key("verdict")],
                "`infrastructure` says that the harness failed, and nothing about the machine",
                "what becomes of the machine",
                "write one of `recovered`, `recovered-otherwise`, `unaffected`, `looping`, `stuck-in-recovery`, \
                 `hung`, `data-lost`",
            );
        } else if self.scenario.fault.is_empty() && expect.verdict != Verdict::Unaffected {
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
        let asks = |settings: &QuickMachineRecovery| settings.cloud_remediation;
        let off = self.scenario.recovery.quick_machine_recovery.as_ref().is_some_and(|s| !asks(s));
        if off && answer != ServiceAnswer::NotAsked {
            self.problem(
                &at,
                format!("`{}` is expected, but cloud remediation is off", answer),
                "`not-asked`",
                "write `cloud-remediation = true`, or expect `not-asked`",
            );
        }
    }
}
