//! What no schema can say about the disk and its power.

use crate::fault::Fault;
use crate::moment::Moment;
use crate::power::{PowerEvent, PowerFault, PowerMoment, Unflushed};
use crate::rules::{Rules, Step};
use crate::servicing::InterruptedWrite;
use crate::storage::{Extent, StorageFault, StorageTrouble};

impl Rules<'_> {
    pub(crate) fn storage(&mut self, at: &[Step<'_>; 2], fault: &StorageFault) {
        self.goes_wrong(at, &fault.name);
        let trouble = |key| [at[0], at[1], Step::Key("trouble"), Step::Key(key)];
        match &fault.trouble {
            StorageTrouble::ReadError(extent) => self.extent(&trouble("read-error"), extent),
            StorageTrouble::WriteError(extent) => self.extent(&trouble("write-error"), extent),
            StorageTrouble::Slow(slow) if slow.latency.duration().is_zero() => self.problem(
                &trouble("slow"),
                "a disk that takes no time longer is not slow",
                "a `latency`",
                "write a `latency` such as \"20ms\"",
            ),
            StorageTrouble::Slow(_) | StorageTrouble::Full => {}
        }
    }

    fn extent(&mut self, at: &[Step<'_>], extent: &Extent) {
        match (&extent.file, &extent.sectors) {
            (Some(file), None) => self.place_on_c(at, file),
            (None, Some(sectors)) if sectors.count > 0 => {}
            (None, Some(_)) => self.problem(
                at,
                "no sector is chosen",
                "a `count` of at least 1",
                "write how many sectors it is about",
            ),
            (None, None) => self.problem(
                at,
                "nothing says which part of the disk it is about",
                "`file`, or `sectors`",
                "write `file = 'C:\\…'`, or `sectors = { first = 0, count = 1 }`",
            ),
            (Some(_), Some(_)) => self.problem(
                at,
                "both a file and sectors say which part of the disk it is about",
                "`file` or `sectors`",
                "remove one of the two, or write a second fault",
            ),
        }
    }

    pub(crate) fn power(&mut self, at: &[Step<'_>; 2], fault: &PowerFault) {
        self.goes_wrong(at, &fault.name);
        let key = |key| [at[0], at[1], Step::Key(key)];
        if fault.what == PowerEvent::Reset && fault.unflushed != Unflushed::Kept {
            self.problem(
                &key("unflushed"),
                "with the reset button the disk keeps its power, and what it was given",
                "`unflushed` with `what = \"cut\"` only",
                "remove `unflushed`, or write `what = \"cut\"`",
            );
        }
        let (by_write, count) = match fault.at {
            PowerMoment::Phase(_) => (false, 1),
            PowerMoment::Write(count) | PowerMoment::RandomWrite(count) => (true, count),
        };
        if count == 0 {
            self.problem(
                &key("at"),
                "writes are counted from 1",
                "a number of at least 1",
                "write `1` for the first write",
            );
        }
        if by_write && fault.what == PowerEvent::Reset {
            self.problem(
                &key("at"),
                "nobody presses the button at exactly one write",
                "a phase, as `at = { phase = \"session\" }`",
                "write a phase, or `what = \"cut\"`",
            );
        }
        // The fault that the guest agent writes would be lost, and nothing could be said of the run.
        let online = self.scenario.fault.iter().find(|other| {
            other.when() == Moment::Healthy
                && !matches!(other, Fault::Power(_) | Fault::Storage(_) | Fault::Network(_))
        });
        if by_write
            && fault.when == Moment::Staged
            && let Some(other) = online
        {
            let other = other.name().to_owned();
            self.problem(
                &key("at"),
                format!("the power may go before `{other}` is in place, which comes when the machine is healthy"),
                "a write that is counted from when the machine is healthy",
                "write `when = \"healthy\"` here",
            );
        }
    }

    pub(crate) fn interrupted_write(&mut self, at: &[Step<'_>; 2], fault: &InterruptedWrite) {
        self.goes_wrong(at, &fault.name);
        self.place_on_c(&[at[0], at[1], Step::Key("path")], &fault.path);
        self.content(&[at[0], at[1], Step::Key("content")], &fault.content);
        if fault.when == Moment::Staged {
            self.problem(
                &[at[0], at[1], Step::Key("when")],
                "an updater runs on a machine that is up",
                "`healthy`",
                "remove `when`",
            );
        }
    }

    fn goes_wrong(&mut self, at: &[Step<'_>; 2], name: &str) {
        if matches!(at[0], Step::Key("given")) {
            self.problem(
                &[at[0], at[1]],
                format!("`{name}` is given, but it is something that goes wrong"),
                "it among `[[fault]]`",
                "write `[[fault]]` instead of `[[given]]`",
            );
        }
    }
}
