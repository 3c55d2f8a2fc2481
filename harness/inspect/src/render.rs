//! An inspection and a qualification for people.

use std::fmt::Write;

use winfmt::escaped;
use words::CheckName;

use crate::Known;
use crate::boot::BootConfiguration;
use crate::check::{Answer, Qualification};
use crate::event_log::{Event, EventKind};
use crate::inspection::Inspection;
use crate::qualify::qualify;
use crate::services::Start;

/// Columns of the names at the left.
const NAME: usize = 24;
/// Characters of an event.
const EVENT: usize = 120;

/// The page of an image: ten seconds' summary first, then section by section.
pub fn render(inspection: &Inspection) -> String {
    let mut page = Page::default();
    let qualification = qualify(inspection);
    summary(&mut page, inspection, &qualification);
    layout(&mut page, inspection);
    system(&mut page, inspection);
    boot(&mut page, inspection);
    recovery(&mut page, inspection);
    crash(&mut page, inspection);
    drivers(&mut page, inspection);
    pending(&mut page, inspection);
    history(&mut page, inspection);
    page.0
}

/// The checks, one a line, with what to do about those that failed.
pub fn render_qualification(qualification: &Qualification) -> String {
    let mut page = String::new();
    for check in &qualification.checks {
        let evidence = escaped(&check.evidence);
        let _ = writeln!(page, "  {:<15}{:<24}{evidence}", check.answer, check.name);
        if check.answer != Answer::Pass
            && let Some(remedy) = &check.remedy
        {
            // What an image chose is only changed where it is asked for by name.
            let chosen = check.answer == Answer::NotApplicable;
            let fix = if check.fixable && !chosen { " (or `image qualify --fix`)" } else { "" };
            let _ = writeln!(page, "  {:<15}{:<24}to do: {}{fix}", "", "", escaped(remedy));
        }
    }
    page
}

/// A page of lines. Nearly all that it shows comes from a guest, so every line is escaped.
#[derive(Default)]
struct Page(String);

impl Page {
    fn heading(&mut self, text: &str) {
        self.0 += &format!("\n{text}\n");
    }

    fn line(&mut self, name: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "  {:<NAME$}{}", escaped(name), escaped(value));
    }

    /// A fact; one that is absent takes no line, one that could not be read says why.
    fn fact<T>(&mut self, name: &str, value: &Known<T>, show: impl FnOnce(&T) -> String) {
        match value {
            Known::Known(value) => self.line(name, show(value)),
            Known::Absent => {}
            Known::Unknown(reason) => self.line(name, format!("unknown: {reason}")),
        }
    }

    fn text<T: ToString>(&mut self, name: &str, value: &Known<T>) {
        self.fact(name, value, T::to_string);
    }

    /// Several entries under one name.
    fn list(&mut self, name: &str, entries: &[String]) {
        for (index, entry) in entries.iter().enumerate() {
            self.line(if index == 0 { name } else { "" }, entry);
        }
    }
}

fn summary(page: &mut Page, inspection: &Inspection, qualification: &Qualification) {
    let system = &inspection.system;
    let product = match &system.product {
        Known::Known(product) => product.clone(),
        Known::Absent => match (&system.folder, &inspection.layout.partitions) {
            (Known::Known(folder), _) => {
                format!("a system in '{folder}' that does not say what it is")
            }
            (Known::Unknown(reason), _) => format!("unknown: {reason}"),
            (Known::Absent, _) => "no Windows".to_owned(),
        },
        Known::Unknown(reason) => format!("unknown: {reason}"),
    };
    let mut title = product;
    if let Known::Known(version) = &system.version {
        let _ = write!(title, ", {version}");
    }
    if let Known::Known(build) = &system.build {
        let _ = write!(title, ", build {build}");
    }
    if let Known::Known(architecture) = &system.architecture {
        let _ = write!(title, ", {architecture}");
    }
    let _ = writeln!(page.0, "{}", escaped(title));
    page.line("firmware", firmware(inspection));
    page.line("can it recover?", can_it_recover(qualification));
    let mut failing: Vec<String> = qualification
        .checks
        .iter()
        .filter(|check| matches!(check.answer, Answer::Fail | Answer::Warn))
        .map(|check| format!("{}: {}", check.name, check.evidence))
        .collect();
    let unknown: Vec<&str> = qualification
        .checks
        .iter()
        .filter(|check| check.answer == Answer::Unknown && check.name != CheckName::Detectors)
        .map(|check| check.name.as_str())
        .collect();
    if !unknown.is_empty() {
        failing.push(format!("not known: {}", unknown.join(", ")));
    }
    page.list("to look at", &failing);
}

fn firmware(inspection: &Inspection) -> String {
    use crate::firmware::FirmwareKind;
    let firmware = &inspection.firmware;
    let mut text = match &firmware.kind {
        Known::Known(FirmwareKind::Uefi) => "UEFI".to_owned(),
        Known::Known(FirmwareKind::Bios) => "BIOS".to_owned(),
        Known::Known(FirmwareKind::Both) => "UEFI or BIOS".to_owned(),
        Known::Absent => "nothing on the disk that a firmware could start".to_owned(),
        Known::Unknown(reason) => format!("unknown: {reason}"),
    };
    match &firmware.secure_boot {
        Known::Known(secure) if secure.enabled => text += ", Secure Boot on",
        Known::Known(secure) if secure.platform_key => text += ", Secure Boot off (keys enrolled)",
        Known::Known(_) => text += ", Secure Boot off (no keys)",
        Known::Absent => {}
        Known::Unknown(reason) => {
            let _ = write!(text, ", Secure Boot unknown: {reason}");
        }
    }
    if let Known::Known(tpm) = &firmware.tpm {
        text += ", TPM";
        if let Known::Known(version) = &tpm.version {
            let _ = write!(text, " {version}");
        }
    }
    text
}

/// The checks that recovery without a person rests on.
const NEEDED_TO_RECOVER: [CheckName; 5] = [
    CheckName::RecoveryEnabled,
    CheckName::BootStatusPolicy,
    CheckName::AutomaticRestart,
    CheckName::RecoveryImage,
    CheckName::RecoveryReachable,
];

fn can_it_recover(qualification: &Qualification) -> String {
    let with = |answer| -> Vec<&str> {
        NEEDED_TO_RECOVER
            .iter()
            .filter(|name| qualification.check(**name).is_some_and(|own| own.answer == answer))
            .map(|name| name.as_str())
            .collect()
    };
    let (failing, foreign, unknown) =
        (with(Answer::Fail), with(Answer::NotApplicable), with(Answer::Unknown));
    if foreign.contains(&CheckName::RecoveryEnabled.as_str()) {
        return "no: such a system has no recovery environment".to_owned();
    }
    if !failing.is_empty() {
        return format!("no: {}", failing.join(", "));
    }
    if !unknown.is_empty() {
        return format!("not known: {}", unknown.join(", "));
    }
    "yes, by itself".to_owned()
}

fn layout(page: &mut Page, inspection: &Inspection) {
    let layout = &inspection.layout;
    page.heading("Disk");
    let table = match layout.style.as_str() {
        "none" => "no partition table, the whole disk is one volume".to_owned(),
        style => style.to_ascii_uppercase(),
    };
    page.line("partition table", table);
    page.text("disk id", &layout.id);
    page.list("note", &layout.notes);
    let mut rows = Vec::new();
    for partition in &layout.partitions {
        let mut row = format!(
            "{:>2}  {:>10}  {:<10} {:<9} {}",
            partition.number,
            size(partition.size),
            partition.file_system,
            partition.role,
            partition.label.known().map_or("", String::as_str),
        );
        if partition.active {
            row += "  active";
        }
        rows.push(row.trim_end().to_owned());
        // A reserved partition has no file system.
        if partition.role == "reserved" {
            continue;
        }
        if let Some(reason) = &partition.unreadable {
            rows.push(format!("    cannot be read: {reason}"));
        }
        if let Some(reason) = &partition.not_writable {
            rows.push(format!("    is not written to: {reason}"));
        }
    }
    page.list("partitions", &rows);
}

fn system(page: &mut Page, inspection: &Inspection) {
    let system = &inspection.system;
    page.heading("System");
    if let (Known::Known(partition), Known::Known(folder)) = (&system.partition, &system.folder) {
        page.line("installed in", format!("\\{folder} on partition {partition}"));
        let letters = inspection.drives.partitions.iter();
        let letters: Vec<String> =
            letters.map(|(letter, number)| format!("{letter}: partition {number}")).collect();
        if letters.len() > 1 || inspection.drives.system != 'C' {
            page.line("drives", letters.join(", "));
        }
    }
    page.text("edition", &system.edition);
    page.text("installation", &system.installation);
    page.text("installed on", &system.installed);
    page.text("computer", &system.computer);
    page.fact("control sets", &inspection.control_sets, |sets| {
        let number = |value: &Known<u32>| value.known().map_or("?".to_owned(), u32::to_string);
        format!(
            "{}; current {}, default {}, failed {}, last known good {}",
            sets.sets.join(", "),
            number(&sets.current),
            number(&sets.default),
            number(&sets.failed),
            number(&sets.last_known_good)
        )
    });
    for hive in &inspection.hives {
        page.fact(
            &format!("hive {}", hive.file.rsplit('\\').next().unwrap_or_default()),
            &hive.state,
            String::clone,
        );
    }
    page.fact("guest agent", &inspection.agent, |agent| match &agent.service {
        Known::Known(start) => format!("QEMU-GA, start {start}"),
        _ => "none".to_owned(),
    });
}

fn boot(page: &mut Page, inspection: &Inspection) {
    page.heading("Boot");
    match &inspection.boot {
        Known::Known(BootConfiguration::Bcd(bcd)) => {
            page.line("store", format!("\\{} on partition {}", bcd.path, bcd.partition));
            page.fact("default", &bcd.default, |loader| {
                let name = loader.description.known().map_or("(no description)", String::as_str);
                format!("{name} {}", loader.id)
            });
            if let Known::Known(loader) = &bcd.default {
                page.text("recoveryenabled", &loader.recovery_enabled);
                page.text("bootstatuspolicy", &loader.boot_status_policy);
                page.text("safeboot", &loader.safe_boot);
                page.text("testsigning", &loader.test_signing);
                page.text("nointegritychecks", &loader.no_integrity_checks);
                page.fact("recoverysequence", &loader.recovery_sequence, |sequence| {
                    let ids: Vec<&str> = sequence.iter().map(|one| one.id.as_str()).collect();
                    ids.join(", ")
                });
            }
            page.list("started once, next", &bcd.boot_sequence);
        }
        Known::Known(BootConfiguration::Freeldr(freeldr)) => {
            page.line("store", format!("\\freeldr.ini on partition {}", freeldr.partition));
            page.text("default", &freeldr.default);
            page.text("system path", &freeldr.system_path);
            page.line("options", freeldr.options.join(" "));
        }
        Known::Absent => page.line("store", "none"),
        Known::Unknown(reason) => page.line("store", format!("unknown: {reason}")),
    }
}

fn recovery(page: &mut Page, inspection: &Inspection) {
    let recovery = &inspection.recovery;
    page.heading("Recovery");
    page.fact("image", &recovery.image, |image| {
        let place = match &image.place.partition {
            Known::Known(number) => format!("partition {number}"),
            _ => image.place.device.clone(),
        };
        let there = match &image.place.size {
            Known::Known(bytes) => size(*bytes),
            Known::Absent => "missing".to_owned(),
            Known::Unknown(reason) => format!("unknown: {reason}"),
        };
        let build = match &image.build {
            Known::Known(build) => format!(", build {build}"),
            Known::Absent => String::new(),
            Known::Unknown(reason) => format!(", build unknown: {reason}"),
        };
        format!("\\{} on {place}, {there}{build}", image.place.path)
    });
    page.fact("ReAgent.xml", &recovery.reagent, |agent| {
        let enabled = match agent.enabled {
            Known::Known(true) => "enabled",
            Known::Known(false) => "disabled",
            _ => "does not say whether it is enabled",
        };
        match (&agent.folder, &agent.partition) {
            (Known::Known(folder), Known::Known(number)) => {
                format!("{enabled}, {folder} on partition {number}")
            }
            (Known::Known(folder), _) => {
                format!("{enabled}, {folder} on no partition of this disk")
            }
            _ => enabled.to_owned(),
        }
    });
    let found: Vec<String> = recovery
        .images_found
        .iter()
        .map(|(number, path)| format!("\\{path} on partition {number}"))
        .collect();
    page.list("images found", &found);
    page.fact("quick machine recovery", &recovery.quick_machine_recovery, |settings| {
        let on = |setting: &Known<bool>| match setting {
            Known::Known(true) => "on",
            Known::Known(false) => "off",
            _ => "not set",
        };
        let mut text =
            format!("cloud {}, automatic {}", on(&settings.cloud), on(&settings.automatic));
        if let (Known::Known(total), Known::Known(interval)) =
            (&settings.total_wait, &settings.wait_interval)
        {
            let _ = write!(text, ", for {total} minutes, every {interval}");
        }
        text
    });
}

fn crash(page: &mut Page, inspection: &Inspection) {
    page.heading("Stops");
    match &inspection.crash {
        Known::Known(crash) => {
            page.text("restarts by itself", &crash.automatic_restart);
            page.fact("dump", &crash.dump, |kind| kind.meaning().to_owned());
            page.text("dump file", &crash.dump_file);
            page.text("dedicated dump file", &crash.dedicated_dump_file);
            page.fact("page files", &crash.page_files, |files| files.join(", "));
            page.fact("dump drivers", &crash.dump_drivers, |drivers| drivers.join(", "));
            page.fact("dump filters", &crash.dump_filters, |drivers| drivers.join(", "));
        }
        Known::Absent => page.line("settings", "none"),
        Known::Unknown(reason) => page.line("settings", format!("unknown: {reason}")),
    }
}

fn drivers(page: &mut Page, inspection: &Inspection) {
    page.heading("Drivers and services");
    page.fact("services", &inspection.services, |services| {
        let count = |start| services.starting(start).count();
        format!(
            "{}: {} boot, {} system, {} automatic, {} on demand, {} disabled",
            services.services.len(),
            count(Start::Boot),
            count(Start::System),
            count(Start::Automatic),
            count(Start::Demand),
            count(Start::Disabled)
        )
    });
    if let Known::Known(services) = &inspection.services {
        let others: Vec<String> = services
            .third_party_drivers()
            .map(|driver| {
                let mut row = format!("{:<16} {:<7}", driver.name, driver.start);
                if let Known::Known(image) = &driver.image {
                    for part in [&image.version, &image.company] {
                        if let Known::Known(part) = part {
                            row += &format!(" {part}");
                        }
                    }
                    match &image.signer {
                        Known::Known(signer) => row += &format!(", signed by {signer}"),
                        Known::Absent => row += ", no signature in the file",
                        Known::Unknown(reason) => row += &format!(", signature unknown: {reason}"),
                    }
                }
                row
            })
            .collect();
        page.list("of others, from start", &others);
        let missing: Vec<String> = services
            .services
            .iter()
            .filter(|service| {
                service.is_driver()
                    && matches!(service.starts(), Start::Boot | Start::System)
                    && service.file == Known::Absent
            })
            .map(|service| service.name.clone())
            .collect();
        if !missing.is_empty() {
            page.line("files missing", missing.join(", "));
        }
    }
    page.fact("class filters", &inspection.filters, |filters| {
        let rows: Vec<String> = filters
            .classes
            .iter()
            .map(|class| {
                let name = class.name.as_deref().unwrap_or(&class.class);
                format!("{name}: {}", [class.upper.as_slice(), &class.lower].concat().join(" "))
            })
            .collect();
        if rows.is_empty() { "none".to_owned() } else { rows.join("; ") }
    });
    page.fact("minifilters", &inspection.filters, |filters| {
        let rows: Vec<String> = filters
            .minifilters
            .iter()
            .map(|filter| format!("{} {}", filter.altitude, filter.service))
            .collect();
        if rows.is_empty() { "none".to_owned() } else { rows.join(", ") }
    });
}

fn pending(page: &mut Page, inspection: &Inspection) {
    page.heading("Pending");
    let pending = &inspection.pending;
    page.fact("updates", &pending.updates, |updates| {
        let signs = updates.signs();
        if signs.is_empty() { "none".to_owned() } else { signs.join("; ") }
    });
    page.fact("renames", &pending.renames, |renames| renames.len().to_string());
    page.text("set-up under way", &pending.setup_in_progress);
}

fn history(page: &mut Page, inspection: &Inspection) {
    page.heading("Earlier starts");
    let history = &inspection.history;
    page.fact("boot status", &history.boot_status, |status| {
        format!(
            "last start {}, {}, {} attempts",
            if status.last_boot_succeeded { "good" } else { "not good" },
            if status.last_boot_shut_down { "shut down" } else { "not shut down" },
            status.attempts
        )
    });
    page.fact("boot log", &history.boot_log, |records| match records.last() {
        Some(last) => format!("{} records, the last: {}", records.len(), last.event),
        None => "empty".to_owned(),
    });
    page.fact("event log", &history.events, |log| {
        let mut text = format!("{} records", log.records);
        if log.unreadable > 0 {
            let _ = write!(text, ", {} more cannot be read", log.unreadable);
        }
        text
    });
    if let Known::Known(log) = &history.events {
        page.list("log damaged", &log.damage);
        let rows: Vec<String> = log.events.iter().map(event).collect();
        page.list("starts and stops", &rows);
        let rows: Vec<String> = log.not_started.iter().map(not_started).collect();
        page.list("did not start", &rows);
    }
    page.fact("startup repair", &history.startup_repair, |repair| {
        let last = repair.log.sessions.last();
        let failed: Vec<String> = last
            .into_iter()
            .flat_map(|session| &session.tests)
            .filter(|test| test.code != 0)
            .map(|test| format!("{} {:#x}", test.name, test.code))
            .collect();
        let mut text = format!("{} sessions", repair.log.sessions.len());
        match repair.repaired {
            Known::Known(true) => text += ", the last repaired something",
            Known::Known(false) => text += ", the last repair failed",
            _ => text += ", nothing repaired",
        }
        if !failed.is_empty() {
            let _ = write!(text, "; tests that failed: {}", failed.join(", "));
        }
        text
    });
}

fn time_of(event: &Event) -> String {
    match event.time {
        Some(time) => time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        None => "at an unknown time".to_owned(),
    }
}

fn not_started(event: &Event) -> String {
    let what = match &event.kind {
        EventKind::StartFailed { service, display_name, error } => {
            let name = service.as_ref().unwrap_or(display_name);
            let error = error.map_or_else(String::new, |error| format!(", Windows error {error}"));
            format!("{name}{error}")
        }
        EventKind::DriversNotLoaded { names } => format!("not loaded: {}", names.join(", ")),
        _ => String::new(),
    };
    row(format!("{} {what}", time_of(event)))
}

/// A row of bounded length.
fn row(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(EVENT) {
        text.truncate(end);
    }
    text.truncate(text.trim_end().len());
    text
}

fn event(event: &Event) -> String {
    let time = time_of(event);
    let data: Vec<String> = event
        .data
        .iter()
        .filter(|datum| !datum.value.is_empty())
        .take(4)
        .map(|datum| match &datum.name {
            Some(name) => format!("{name}={}", datum.value),
            None => datum.value.clone(),
        })
        .collect();
    let provider = event.provider.trim_start_matches("Microsoft-Windows-");
    row(format!("{time} {provider} {} {}", event.id, data.join(" ")))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..10_737_418_240 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
