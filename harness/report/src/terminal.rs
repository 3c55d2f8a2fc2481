//! The timeline of a run as a person reads it.

use timeline::{
    Boot, BootKind, Confidence, Derived, DriverState, Dump, DumpOutcome, End, Expectation,
    ForcedStop, Happening, LayerOutcome, LayerResult, Scans, Signature, Timeline, Verdict,
};

use crate::happenings::{Told, tell};
use crate::reference::{Comparison, Pending};
use crate::style::{Paint, Style};
use crate::system_log;
use crate::text::{self, GUEST_TEXT, clean};

/// Where the text of a verdict line, a layer and so on begins.
const LABEL: usize = 12;

/// Shows a run: its header, each boot with what happened in it, the recovery layers, the verdict, what
/// was expected, and the comparison with the reference where there was one. Ends with a line end.
pub fn render_timeline(derived: &Derived, comparison: Option<&Comparison>, style: Style) -> String {
    let mut page = Page { style, text: String::new() };
    page.header(derived);
    for boot in &derived.timeline.boots {
        page.boot(boot, derived);
    }
    page.result(derived);
    if let Some(comparison) = comparison {
        page.comparison(comparison);
    }
    page.text
}

struct Page {
    style: Style,
    text: String,
}

impl Page {
    fn line(&mut self, paint: Option<Paint>, line: &str, indent: usize) {
        for line in text::wrap(line, self.style.width(), indent) {
            match paint {
                Some(paint) => self.text.push_str(&self.style.paint(paint, &line)),
                None => self.text.push_str(&line),
            }
            self.text.push('\n');
        }
    }

    fn gap(&mut self) {
        self.text.push('\n');
    }

    /// `label       text`, the label in plain, the text in its colour.
    fn labelled(&mut self, label: &str, paint: Option<Paint>, content: &str) {
        let room = self.style.width() - LABEL;
        for (number, line) in text::wrap(content, room, 0).iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            let line = paint.map_or_else(|| line.clone(), |paint| self.style.paint(paint, line));
            self.text.push_str(&format!("{label:LABEL$}{line}\n"));
        }
    }

    fn header(&mut self, derived: &Derived) {
        let outcome = &derived.outcome;
        let scenario = clean(&outcome.scenario, GUEST_TEXT);
        let facts = derived.timeline.facts.as_ref();
        let name = facts.map_or(&outcome.image.name, |facts| &facts.image);
        let mut image = clean(name, GUEST_TEXT);
        if *name != outcome.image.name {
            image.push_str(&format!(", of line {}", outcome.image.name));
        }
        if outcome.image.is_model {
            image.push_str(": a model, not Windows");
        }
        if outcome.time_scale > 1 {
            image.push_str(&format!("; documented waits {} times faster", outcome.time_scale));
        }
        self.line(Some(Paint::Strong), &scenario, 2);
        self.line(Some(Paint::Faint), &image, 2);
        if let Some(beginning) = &derived.timeline.beginning {
            self.line(Some(Paint::Faint), &text::beginning(beginning), 2);
        }
    }

    fn boot(&mut self, boot: &Boot, derived: &Derived) {
        let Derived { timeline, measurements, .. } = derived;
        let times = measurements.boots.iter().find(|times| times.number == boot.number);
        let kind = match boot.kind() {
            BootKind::Windows => "",
            BootKind::Recovery => ", recovery environment",
        };
        let during = boot.during.map_or_else(String::new, |layer| format!(", part of {layer}"));
        let began = text::duration(boot.began.at.since(timeline.began_at));
        let took = times.and_then(|times| times.duration_us);
        let took = took.map_or_else(String::new, |took| format!(", took {}", text::duration(took)));
        let cause = text::cause(boot.cause);
        self.gap();
        let title = format!("boot {}{kind}{during}: {cause} at {began}{took}", boot.number);
        self.line(Some(Paint::Strong), &title, 7);
        let phases: Vec<String> = boot
            .phases
            .iter()
            .map(|reached| {
                let at = text::duration(reached.moment.at.since(boot.began.at));
                let at = at.replace(' ', "\u{a0}");
                format!("{}\u{a0}{at}", text::phase(reached.phase).replace(' ', "\u{a0}"))
            })
            .collect();
        // No-break spaces keep a phase and its time on one line.
        let phases = format!("  {}", phases.join(" > "));
        for line in text::wrap(&phases, self.style.width(), 2) {
            let line = self.style.paint(Paint::Faint, &line.replace('\u{a0}', " "));
            self.text.push_str(&format!("{line}\n"));
        }
        self.happenings(boot, timeline);
        let mut end = format!("  {}", text::end(boot.end, &boot.signature()));
        if let Some(note) = doubt(boot) {
            end.push_str(&format!(" ({note})"));
        }
        self.line(Some(end_paint(boot)), &end, 4);
    }

    fn happenings(&mut self, boot: &Boot, timeline: &Timeline) {
        // Before the first boot the disk was prepared; that is shown with the first boot.
        let belongs = |happening: &&Happening| {
            happening.boot == boot.number || (happening.boot == 0 && boot.number == 1)
        };
        let happenings = timeline.happenings.iter().filter(belongs).map(|happening| {
            let offset = happening.moment.at.since(boot.began.at);
            ((happening.boot != 0).then_some(offset), &happening.what)
        });
        for Told { at, paint, text } in tell(happenings) {
            let at = at
                .map_or_else(|| "  before".to_owned(), |at| format!("  at {}", text::duration(at)));
            self.line(paint, &format!("{at}: {text}"), 4);
        }
    }

    fn result(&mut self, derived: &Derived) {
        let Derived { timeline, outcome, measurements } = derived;
        self.gap();
        if let Some(row) = &timeline.in_loop {
            let numbers: Vec<String> = row.boots.iter().map(u32::to_string).collect();
            let end = text::end(row.end, &row.signature);
            let phase = text::phase(row.phase);
            let row = format!("boots {} alike: {end}, phase {phase}", numbers.join(", "));
            self.labelled("loop", Some(Paint::Bad), &row);
        }
        for driver in &outcome.drivers {
            let paint = match driver.state {
                DriverState::Ran => None,
                DriverState::DidNotRun => Some(Paint::Bad),
                DriverState::NotKnown => Some(Paint::Odd),
            };
            let told = format!("{}: {}", clean(&driver.file, 260), driver.told());
            self.labelled("driver", paint, &told);
        }
        for (number, layer) in outcome.layers.iter().enumerate() {
            let label = if number == 0 { "layers" } else { "" };
            let helped = outcome.brought_back_by == Some(layer.layer);
            let paint = match layer.result {
                LayerResult::Applied if helped => Paint::Good,
                LayerResult::Applied | LayerResult::Refused => Paint::Odd,
                LayerResult::NotTried | LayerResult::TriedNoHelp => Paint::Faint,
            };
            self.labelled(label, Some(paint), &describe_layer(layer, helped));
        }
        for (number, dumps) in describe_dumps(&outcome.dumps).iter().enumerate() {
            let label = if number == 0 { "dumps" } else { "" };
            self.labelled(label, None, dumps);
        }
        for (number, line) in timeline.forced_stop.iter().flat_map(describe_forced).enumerate() {
            let label = if number == 0 { "hang" } else { "" };
            self.labelled(label, None, &line);
        }
        for (number, line) in system_log::lines(&timeline.system_log).iter().enumerate() {
            let label = if number == 0 { "system log" } else { "" };
            self.labelled(label, None, line);
        }
        for (number, change) in outcome.disk_changes.iter().enumerate() {
            let label = if number == 0 { "disk" } else { "" };
            let (change, path) = (clean(&change.change, 20), clean(&change.path, 260));
            self.labelled(label, None, &format!("{change} {path}"));
        }
        let lost: Vec<_> = outcome.canaries.iter().filter(|canary| !canary.intact).collect();
        if lost.is_empty() && !outcome.canaries.is_empty() {
            let files = match outcome.canaries.len() {
                1 => "the file placed there is intact".to_owned(),
                n => format!("all {n} files placed there are intact"),
            };
            self.labelled("user data", Some(Paint::Good), &files);
        }
        for canary in lost {
            let path = clean(&canary.path, 260);
            self.labelled("user data", Some(Paint::Bad), &format!("damaged or gone: {path}"));
        }
        for note in &outcome.notes {
            self.labelled("note", Some(Paint::Odd), &clean(note, 2 * GUEST_TEXT));
        }
        let mut verdict = outcome.verdict.to_string();
        if let Some(layer) = outcome.brought_back_by {
            verdict.push_str(&format!(" by {layer}"));
        }
        if let Some(outage) = measurements.outage_us {
            verdict.push_str(&format!(", {} after the fault", text::duration(outage)));
        }
        self.labelled("verdict", Some(verdict_paint(outcome.verdict)), &verdict);
        self.labelled("", Some(Paint::Faint), &clean(&outcome.because, 4 * GUEST_TEXT));
        let met = timeline.expectation.met;
        if !met || outcome.expectation.verdict.is_some() {
            for line in expectation_lines(&timeline.expectation) {
                let paint = if met { Paint::Good } else { Paint::Bad };
                self.labelled("expected", Some(paint), &line);
            }
        }
    }

    fn comparison(&mut self, comparison: &Comparison) {
        let reference = comparison.reference().display();
        let (paint, words) = match comparison {
            Comparison::Same { .. } => (Paint::Good, format!("same as {reference}")),
            Comparison::Different { .. } => (Paint::Bad, format!("differs from {reference}")),
            Comparison::Missing { .. } => (Paint::Odd, format!("none yet at {reference}")),
            Comparison::NotCompared { .. } => {
                (Paint::Odd, "not compared: the run says nothing about the product".to_owned())
            }
        };
        self.labelled("reference", Some(paint), &words);
        match comparison.pending() {
            Some(Pending::Written(path)) => {
                self.labelled("", None, &format!("pending: {}", path.display()));
            }
            Some(Pending::Aside(path)) => {
                let words = format!("kept in the run directory: {}", path.display());
                self.labelled("", None, &words);
                let words = "`loopbreak accept` takes it from there; elsewhere, copy it beside its reference";
                self.labelled("", Some(Paint::Faint), words);
            }
            Some(Pending::NotWritten { path, why }) => {
                let words = format!("not written: {}: {}", path.display(), clean(why, GUEST_TEXT));
                self.labelled("", Some(Paint::Odd), &words);
            }
            None => {}
        }
        if let Comparison::Different { diff, .. } = comparison {
            for (number, change) in diff.changes().iter().enumerate() {
                let label = if number == 0 { "changed" } else { "" };
                self.labelled(label, Some(Paint::Bad), change);
            }
            self.gap();
            self.text.push_str(&diff.render(self.style));
        }
    }
}

/// Whether it came as expected, a line for each thing that did not.
pub fn expectation_lines(expectation: &Expectation) -> Vec<String> {
    if expectation.met {
        return vec!["yes".to_owned()];
    }
    let line = |unmet| clean(&format!("no: {unmet}"), 4 * GUEST_TEXT);
    expectation.unmet.iter().map(line).collect()
}

/// A word on an end that is not seen from outside.
fn doubt(boot: &Boot) -> Option<&'static str> {
    match (boot.end, boot.confidence()) {
        (End::BugCheck | End::HaltedAtStopScreen | End::BootError, Confidence::GuestSays) => {
            Some("only the guest says so")
        }
        (End::BugCheck | End::HaltedAtStopScreen | End::BootError, Confidence::Inferred) => {
            Some("by its screen only")
        }
        (End::Reset, _) if boot.expected => Some("normal for this image"),
        _ => None,
    }
}

fn end_paint(boot: &Boot) -> Paint {
    match boot.end {
        _ if boot.failed() => Paint::Bad,
        End::StillUp | End::ShutDown => Paint::Good,
        End::BugCheck | End::HaltedAtStopScreen | End::BootError | End::Hang => Paint::Bad,
        End::WaitingForAPerson | End::WaitingForRecoveryKey | End::PowerOff => Paint::Odd,
        End::Reset | End::Unfinished => Paint::Faint,
    }
}

const fn verdict_paint(verdict: Verdict) -> Paint {
    match verdict {
        Verdict::Recovered | Verdict::Unaffected => Paint::Good,
        Verdict::RecoveredOtherwise | Verdict::Infrastructure => Paint::Odd,
        Verdict::Looping | Verdict::StuckInRecovery | Verdict::Hung | Verdict::DataLost => {
            Paint::Bad
        }
    }
}

/// The kinds of the dumps of one stop, each with the boots that wrote one.
type Kinds = Vec<(String, Vec<u32>)>;

/// One line for each stop that dumps are of: `0x50 … in csagent.sys: small of boots 1 and 2`.
fn describe_dumps(dumps: &[DumpOutcome]) -> Vec<String> {
    let mut stops: Vec<(String, Kinds)> = Vec::new();
    for dump in dumps {
        let (code, module) = (Some(dump.code), dump.module.clone());
        let stop = text::stop(&Signature { code, module, access: None });
        let kinds = entry(&mut stops, stop);
        let kind = clean(&dump.kind, GUEST_TEXT);
        match dump.boot {
            Some(boot) => entry(kinds, kind).push(boot),
            // Each for itself: nothing says that two of them are of one stop.
            None => kinds.push((format!("{kind} of no stop that was seen"), Vec::new())),
        }
    }
    let describe = |(kind, boots): &(String, Vec<u32>)| {
        let numbers: Vec<String> = boots.iter().map(u32::to_string).collect();
        match boots.len() {
            0 => kind.clone(),
            1 => format!("{kind} of boot {}", numbers.concat()),
            _ => format!("{kind} of boots {}", text::listed(&numbers)),
        }
    };
    let line = |(stop, kinds): &(String, Kinds)| {
        let kinds: Vec<String> = kinds.iter().map(describe).collect();
        format!("{stop}: {}", kinds.join("; "))
    };
    stops.iter().map(line).collect()
}

/// The stop that the harness made of a machine that hung, and where its dumps are.
fn describe_forced(forced: &ForcedStop) -> Vec<String> {
    if !forced.is_seen() {
        return vec!["it did not stop at the harness's NMI".to_owned()];
    }
    let signature = forced.stop.signature();
    let stop = signature.code.map(|_| format!(": {}", text::stop(&signature)));
    let stop = format!("stopped by the harness's NMI, for a dump{}", stop.unwrap_or_default());
    let dump = |dump: &Dump| {
        let (kind, file) = (clean(&dump.kind, GUEST_TEXT), clean(&dump.file, 260));
        format!("{kind} dump of why: {file}")
    };
    let dumps: Vec<String> = match forced.dumps.as_slice() {
        [] => vec!["it left no dump".to_owned()],
        dumps => dumps.iter().map(dump).collect(),
    };
    [vec![stop], dumps].concat()
}

/// What belongs to `key`, which is put at the end where it is new.
fn entry<T: Default>(list: &mut Vec<(String, T)>, key: String) -> &mut T {
    let at = list.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        list.push((key, T::default()));
        list.len() - 1
    });
    &mut list[at].1
}

fn describe_layer(layer: &LayerOutcome, helped: bool) -> String {
    let mut line = format!("{}, touch {}: {}", layer.layer, layer.layer.touch(), layer.result);
    match layer.scans {
        Some(Scans::One) => line.push_str(", one scan"),
        Some(Scans::More) => line.push_str(", several scans"),
        None => {}
    }
    if helped {
        line.push_str(", brought the machine back");
    }
    if let Some(reason) = &layer.reason {
        line.push_str(&format!(" ({})", clean(reason, GUEST_TEXT)));
    }
    line
}
