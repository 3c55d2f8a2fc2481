//! Will it start at all? The boot manager's default entry, held against the disk: with the status that the screen
//! would show (windows-facts.md 3.7). Pure.

use crate::boot::{BcdFacts, BootConfiguration, Loader, Place};
use crate::finding::Finding;
use crate::inspection::Inspection;
use crate::{Answer, Known};

/// Whether the default entry starts a Windows.
pub(crate) fn check(inspection: &Inspection) -> Finding {
    match outlook(inspection) {
        Outlook::Starts(evidence) => Finding::pass(evidence),
        Outlook::Unclear(evidence) => Finding::new(Answer::Unknown, evidence),
        Outlook::None(evidence) => Finding::not_applicable(evidence),
        Outlook::Stops(evidence) => {
            let bcd = inspection.boot.known().and_then(BootConfiguration::bcd);
            Finding::fail(evidence).remedy(remedy(bcd))
        }
    }
}

/// What becomes of the default entry.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outlook {
    /// It leads to a Windows. Where, for people.
    Starts(String),
    /// It does not start: why, with the status on the screen.
    Stops(String),
    /// It cannot be told.
    Unclear(String),
    /// Nothing here starts by such an entry.
    None(String),
}

/// What the default entries of all stores lead to.
fn outlook(inspection: &Inspection) -> Outlook {
    let bcd = match &inspection.boot {
        Known::Known(BootConfiguration::Bcd(bcd)) => bcd,
        Known::Known(BootConfiguration::Freeldr(_)) => {
            return Outlook::None("it is started by freeldr.ini".to_owned());
        }
        Known::Absent if inspection.is_older_than_bcd() => {
            return Outlook::None("a Windows of this age starts by boot.ini".to_owned());
        }
        Known::Absent => {
            return Outlook::Stops(
                "the disk has no boot configuration: the boot manager stops with 0xC000000F"
                    .to_owned(),
            );
        }
        Known::Unknown(reason) => {
            return Outlook::Unclear(format!("the boot configuration cannot be read: {reason}"));
        }
    };
    let first = of_store(bcd.partition, &bcd.path, &bcd.default);
    if bcd.other_stores.is_empty() {
        return first;
    }
    let mut all = vec![(target(&bcd.default), first)];
    all.extend(bcd.other_stores.iter().map(|other| {
        (target(&other.default), of_store(other.partition, &other.path, &other.default))
    }));
    let told: Vec<&str> = all.iter().map(|(_, outlook)| outlook.text()).collect();
    let told = told.join("; ");
    let same = all.iter().all(|(target, _)| *target == all[0].0);
    if same && all.iter().all(|(_, outlook)| matches!(outlook, Outlook::Starts(_))) {
        return Outlook::Starts(told);
    }
    let several = format!(
        "there are {} boot configurations, and nothing tells by which the firmware starts: {told}",
        all.len()
    );
    match all.iter().any(|(_, outlook)| matches!(outlook, Outlook::Stops(_))) {
        true => Outlook::Stops(several),
        false => Outlook::Unclear(several),
    }
}

impl Outlook {
    fn text(&self) -> &str {
        match self {
            Self::Starts(text) | Self::Stops(text) | Self::Unclear(text) | Self::None(text) => text,
        }
    }
}

fn target(default: &Known<Loader>) -> Option<u32> {
    default.known()?.device.known()?.partition.known().copied()
}

fn of_store(partition: u32, path: &str, default: &Known<Loader>) -> Outlook {
    let place = format!(r"\{path} on partition {partition}");
    let loader = match default {
        Known::Known(loader) => loader,
        Known::Absent => {
            return Outlook::Stops(format!(
                "{place} has no entry to start: the boot manager stops with 0xC0000098"
            ));
        }
        Known::Unknown(reason) => {
            return Outlook::Unclear(format!("the default entry of {place}: {reason}"));
        }
    };
    match of_loader(loader, path) {
        Ok(windows) => Outlook::Starts(format!(
            "the default entry of {place}, {}, starts the Windows on partition {windows}",
            loader.id
        )),
        Err(Trouble::Stops(why)) => {
            Outlook::Stops(format!("the default entry of {place}, {}, {why}", loader.id))
        }
        Err(Trouble::Unclear(why)) => {
            Outlook::Unclear(format!("the default entry of {place}, {}: {why}", loader.id))
        }
    }
}

enum Trouble {
    Stops(String),
    Unclear(String),
}

/// The partition of the Windows that an entry starts.
fn of_loader(loader: &Loader, store: &str) -> Result<u32, Trouble> {
    let stops = |why: String| Err(Trouble::Stops(why));
    if !loader.windows {
        return Err(Trouble::Unclear("it is no loader of Windows, and is not followed".to_owned()));
    }
    let program = partition("device", &loader.program_device, 0xC000_0034)?;
    let path = match &loader.path {
        Known::Known(path) => path,
        Known::Absent => {
            return stops("has no `path`: the boot manager stops with 0xC0000034".to_owned());
        }
        Known::Unknown(reason) => return Err(Trouble::Unclear(format!("`path`: {reason}"))),
    };
    match &loader.program {
        Known::Known(_) => {}
        Known::Absent => {
            return stops(format!(
                "starts {path} on partition {program}, and there is no such file: the boot manager stops with \
                 0xC000000F"
            ));
        }
        Known::Unknown(reason) => return Err(Trouble::Unclear(format!("{path}: {reason}"))),
    }
    // Each boot manager starts programs of its own kind alone (windows-facts.md 3.7).
    let uefi = store.to_ascii_lowercase().starts_with(r"efi\");
    let ending = if uefi { ".efi" } else { ".exe" };
    if !path.to_ascii_lowercase().ends_with(ending) {
        let kind = if uefi { "UEFI" } else { "a BIOS" };
        return stops(format!(
            "starts {path}, which is no loader for {kind} (its name would end in {ending}): the boot manager \
             does not take it"
        ));
    }
    let windows = partition("osdevice", &loader.device, 0xC000_0225)?;
    match &loader.registry {
        Known::Known(_) => Ok(windows),
        Known::Absent => stops(format!(
            "starts Windows on partition {windows}, where no {}\\System32\\config\\SYSTEM is: the loader stops with \
             0xC000000F",
            loader.system_root.known().map_or("\\Windows", String::as_str)
        )),
        Known::Unknown(reason) => Err(Trouble::Unclear(format!("partition {windows}: {reason}"))),
    }
}

/// The partition that an element names. `missing`: the status where the element is not there.
fn partition(element: &str, place: &Known<Place>, missing: u32) -> Result<u32, Trouble> {
    let place = match place {
        Known::Known(place) => place,
        Known::Absent => {
            return Err(Trouble::Stops(format!(
                "has no `{element}`: the boot manager stops with 0x{missing:08X}"
            )));
        }
        Known::Unknown(reason) => return Err(Trouble::Unclear(format!("`{element}`: {reason}"))),
    };
    match &place.partition {
        Known::Known(number) => Ok(*number),
        Known::Absent => Err(Trouble::Stops(format!(
            "has `{element}` {}, which is not a partition of this disk: the boot manager stops with 0xC000000E",
            place.device
        ))),
        Known::Unknown(reason) => Err(Trouble::Unclear(format!("`{element}`: {reason}"))),
    }
}

/// What a person does where it does not start.
fn remedy(bcd: Option<&BcdFacts>) -> String {
    let several = bcd.is_some_and(|bcd| !bcd.other_stores.is_empty());
    match several {
        true => "remove the boot configuration that is not used, or import the disk with its own firmware \
                 variables (`--vars FILE`)"
            .to_owned(),
        false => "start the installation media, open a command prompt, and run `bcdboot C:\\Windows` (the letter \
                  that Windows has there)"
            .to_owned(),
    }
}
