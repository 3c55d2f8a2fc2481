//! What no schema can say about trouble on the network, at the services and with the clock.

use crate::content::{Content, ContentUpdater};
use crate::fault::Fault;
use crate::model::Scenario;
use crate::moment::Moment;
use crate::network::ClockFault;
use crate::rules::{Rules, Step, is_host};

/// The years that the clock chip of a PC and the firmware of a virtual machine can both show.
const YEARS: std::ops::RangeInclusive<i16> = 1998..=2097;

impl Rules<'_> {
    /// Trouble comes and goes; what is given is there.
    pub(crate) fn only_goes_wrong(&mut self, at: &[Step<'_>; 2], list: &str) {
        if list == "given" {
            self.problem(
                at,
                "trouble is not given, it is what goes wrong",
                "it among `[[fault]]`",
                "move it to a `[[fault]]`",
            );
        }
    }

    pub(crate) fn service_fault(&mut self, at: &[Step<'_>; 2], list: &str) {
        self.only_goes_wrong(at, list);
        if self.scenario.update_service.is_none() {
            self.problem(
                &[at[0], at[1], Step::Key("kind")],
                "there is no update service that could have trouble",
                "an `[update-service]`, even one without remediations",
                "add `[update-service]`",
            );
        }
    }

    pub(crate) fn content_updater(
        &mut self,
        at: &[Step<'_>; 2],
        list: &str,
        updater: &ContentUpdater,
    ) {
        if list != "given" {
            self.problem(
                at,
                "an updater is nothing that goes wrong",
                "it among `[[given]]`",
                "move it to a `[[given]]`",
            );
        }
        self.place(&[at[0], at[1], Step::Key("content-folder")], &updater.content_folder);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = updater.service.as_str();
        if name.is_empty() || name.len() > 80 || !name.chars().all(plain) {
            self.problem(
                &[at[0], at[1], Step::Key("service")],
                format!("`{name}` cannot be the updater's service"),
                "1 to 80 letters, digits, `-` or `_`",
                "write a name such as \"CSFalconService\"",
            );
        }
        if self.scenario.content_service.is_none() {
            self.problem(
                &[at[0], at[1], Step::Key("kind")],
                "there is no content service that it could ask",
                "a `[content-service]`",
                "add `[content-service]`",
            );
        }
    }

    pub(crate) fn content_service(&mut self) {
        const SERVICE: Step<'static> = Step::Key("content-service");
        let Some(service) = &self.scenario.content_service else { return };
        if !is_host(&service.host) {
            self.problem(
                &[SERVICE, Step::Key("host")],
                format!("`{}` is not a host name", service.host),
                "names of letters, digits and hyphens with dots between them",
                "write a name such as \"content.loopbreak.test\"",
            );
        }
        let file = service.file.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !(1..=128).contains(&file.len()) || !file.chars().all(plain) || file.starts_with('.') {
            self.problem(
                &[SERVICE, Step::Key("file")],
                format!("`{file}` cannot be the name of a content file"),
                "1 to 128 letters, digits, `-`, `_` or `.`",
                "write a name such as \"C-00000291-00000000-00000033.sys\"",
            );
        }
        if matches!(service.content, Content::File(_)) {
            self.problem(
                &[SERVICE, Step::Key("content")],
                "the content service makes its file itself",
                "`channel-file` or `text`",
                "write `content = { channel-file = { fields = 21 } }`",
            );
        }
    }

    pub(crate) fn clock_fault(&mut self, at: &[Step<'_>; 2], list: &str, fault: &ClockFault) {
        self.only_goes_wrong(at, list);
        if fault.when == Moment::Healthy {
            self.problem(
                &[at[0], at[1], Step::Key("when")],
                "the clock chip is set before power-on",
                "`staged`",
                "remove `when`",
            );
        }
        let year = fault.to.to_zoned(jiff::tz::TimeZone::UTC).year();
        if !YEARS.contains(&year) {
            self.problem(
                &[at[0], at[1], Step::Key("to")],
                format!("no clock chip shows the year {year}"),
                format!("a year from {} to {}", YEARS.start(), YEARS.end()),
                "write a time such as 2002-01-01T00:00:00Z",
            );
        }
        if wrong_clocks(self.scenario) > 1 {
            self.problem(
                &[at[0], at[1], Step::Key("kind")],
                "a machine has one clock chip, and two faults set it",
                "one fault of kind `clock`",
                "remove the others",
            );
        }
    }
}

fn wrong_clocks(scenario: &Scenario) -> usize {
    scenario.fault.iter().filter(|fault| matches!(fault, Fault::Clock(_))).count()
}
