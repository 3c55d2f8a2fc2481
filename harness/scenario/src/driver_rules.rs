//! What no schema can say about drivers and updates.

use std::path::{Component, Path};

use crate::driver::{
    Defect, DriverFile, DriverPackage, DriverSignature, FaultyDriver, Trigger, Update,
};
use crate::driver_service::{Service, ServiceStart};
use crate::moment::Moment;
use crate::rules::{Rules, Step, four_numbers};

impl Rules<'_> {
    pub(crate) fn faulty_driver(&mut self, at: &[Step<'_>; 2], driver: &FaultyDriver) {
        self.staged_only(at, driver.when);
        self.driver_name(at, "driver", &driver.driver);
        self.service(at, &driver.service);
        if !four_numbers(&driver.version) {
            self.problem(
                &[at[0], at[1], Step::Key("version")],
                format!("`{}` is not a version", driver.version),
                "four numbers up to 65535 with dots",
                "write a version such as \"7.11.0.0\"",
            );
        }
        self.defect(at, driver);
        self.trigger(at, driver);
    }

    fn defect(&mut self, at: &[Step<'_>; 2], driver: &FaultyDriver) {
        let defect = [at[0], at[1], Step::Key("defect")];
        match &driver.defect {
            Defect::MissingImport(missing) => {
                let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                for name in [&missing.module, &missing.function] {
                    if !(1..=128).contains(&name.len()) || !name.chars().all(plain) {
                        self.problem(
                            &defect,
                            format!("`{name}` cannot be a name in an import table"),
                            "1 to 128 letters, digits, `.`, `-` or `_`",
                            "write a name such as \"ntoskrnl.exe\"",
                        );
                    }
                }
            }
            Defect::BugCheck(call) if call.parameters.len() > 4 => self.problem(
                &defect,
                format!("a stop has four parameters, not {}", call.parameters.len()),
                "up to four",
                "remove the others",
            ),
            Defect::MissingFile if driver.signature != DriverSignature::None => self.problem(
                &[at[0], at[1], Step::Key("signature")],
                "a file that is not there has no signature",
                "`none`",
                "remove `signature`",
            ),
            Defect::Truncated(_) if driver.signature != DriverSignature::None => self.problem(
                &[at[0], at[1], Step::Key("signature")],
                "a file that was cut off has lost its signature, which lies at the end",
                "`none`",
                "remove `signature`",
            ),
            _ => {}
        }
    }

    fn trigger(&mut self, at: &[Step<'_>; 2], driver: &FaultyDriver) {
        let trigger = [at[0], at[1], Step::Key("trigger")];
        let of_the_file = matches!(
            driver.defect,
            Defect::MissingImport(_)
                | Defect::WrongMachine
                | Defect::BadChecksum
                | Defect::Truncated(_)
                | Defect::MissingFile
        );
        let counted = driver.only_on_boot.is_some() || driver.chance.is_some();
        if of_the_file && (driver.trigger != Trigger::Entry || counted) {
            self.problem(
                &trigger,
                "the defect is in the file itself, so it acts whenever the file is loaded",
                "no `trigger`, `only-on-boot` or `chance`",
                "remove them",
            );
        }
        if matches!(driver.defect, Defect::FailureStatus(_)) && driver.trigger != Trigger::Entry {
            self.problem(
                &trigger,
                "a driver reports its failure when it starts, not later",
                "`entry`",
                "remove `trigger`",
            );
        }
        let waits = matches!(driver.defect, Defect::Deadlock | Defect::SlowStart(_));
        if waits && matches!(driver.trigger, Trigger::Timer(_)) {
            self.problem(
                &trigger,
                "a timer's routine cannot wait",
                "`thread`",
                "write `trigger = { thread = { seconds = … } }`",
            );
        }
        // The registry's changes reach the disk only after the session manager has asked for it; a
        // start that ends before that would be counted again and again as the same one.
        let early = matches!(driver.service.start, ServiceStart::Boot | ServiceStart::System);
        if counted && early && driver.trigger == Trigger::Entry {
            self.problem(
                &trigger,
                "a boot or system driver that fails in its entry cannot count its starts: the registry \
                 is not written yet",
                "a trigger after the start of the session manager, or `start = \"auto\"`",
                "write `trigger = { session = { seconds = 0 } }`",
            );
        }
    }

    pub(crate) fn driver_file(&mut self, at: &[Step<'_>; 2], driver: &DriverFile) {
        self.staged_only(at, driver.when);
        let name = driver.file.rsplit('/').next().unwrap_or_default();
        if let Err(wrong) = driver_file_name(name) {
            self.problem(
                &[at[0], at[1], Step::Key("file")],
                format!("`{name}` cannot be a driver's file name: {wrong}"),
                "a name as Windows takes it, with `.sys` at its end",
                "rename the file",
            );
        }
        self.beside(&[at[0], at[1], Step::Key("file")], &driver.file, Path::is_file);
        self.service(at, &driver.service);
    }

    pub(crate) fn driver_package(&mut self, at: &[Step<'_>; 2], package: &DriverPackage) {
        self.staged_only(at, package.when);
        let inf = [at[0], at[1], Step::Key("inf")];
        if !package.inf.contains('/') {
            self.problem(
                &inf,
                format!("`{}` lies beside the scenario's own files", package.inf),
                "a folder of its own for the INF and its files",
                "move them into a folder, and write `inf = \"package/name.inf\"`",
            );
        } else {
            self.beside(&inf, &package.inf, Path::is_file);
        }
    }

    pub(crate) fn update(&mut self, at: &[Step<'_>; 2], update: &Update) {
        self.beside(&[at[0], at[1], Step::Key("folder")], &update.folder, Path::is_dir);
        self.place(&[at[0], at[1], Step::Key("to")], &update.to);
    }

    pub(crate) fn staged_only(&mut self, at: &[Step<'_>; 2], when: Moment) {
        if when == Moment::Healthy {
            self.problem(
                &[at[0], at[1], Step::Key("when")],
                "a driver cannot be installed while the machine runs",
                "`staged`",
                "remove `when`",
            );
        }
    }

    fn driver_name(&mut self, at: &[Step<'_>; 2], key: &str, name: &str) {
        let stem = name.strip_suffix(".sys").unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if stem.is_empty() || stem.len() > 32 || !stem.chars().all(plain) {
            self.problem(
                &[at[0], at[1], Step::Key(key)],
                format!("`{name}` cannot be a driver's file name"),
                "1 to 32 letters, digits, `-` or `_`, and `.sys`",
                "write a name such as \"csagent.sys\"",
            );
        }
    }

    fn service(&mut self, at: &[Step<'_>; 2], service: &Service) {
        let Some(name) = &service.name else { return };
        if name.is_empty() || name.len() > 80 || name.contains(['\\', '/', '\0']) {
            self.problem(
                &[at[0], at[1], Step::Key("service"), Step::Key("name")],
                format!("`{name}` cannot be a service's name"),
                "1 to 80 characters without `\\` and `/`",
                "write a name such as \"csagent\"",
            );
        }
    }

    fn beside(&mut self, at: &[Step<'_>], name: &str, is: impl Fn(&Path) -> bool) {
        let inside = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
        if name.is_empty() || !inside || name.ends_with('/') || name.contains('\\') {
            self.problem(
                at,
                format!("`{name}` does not stay in the scenario's folder"),
                "something in the scenario's folder, with `/` between folders",
                "copy it there and write its name",
            );
        } else if !is(&self.folder.join(name)) {
            self.problem(
                at,
                format!("there is no `{name}`"),
                format!("it in {}", self.folder.display()),
                "put it there, or correct the name",
            );
        }
    }
}

/// Whether a file can be a driver's on Windows (Microsoft, "Naming Files, Paths, and Namespaces"). What of it is wrong.
fn driver_file_name(name: &str) -> Result<(), String> {
    const LONGEST: usize = 255;
    const DEVICES: [&str; 22] = [
        "CON", "PRN", "AUX", "NUL", "COM1", "COM2", "COM3", "COM4", "COM5", "COM6", "COM7", "COM8",
        "COM9", "LPT1", "LPT2", "LPT3", "LPT4", "LPT5", "LPT6", "LPT7", "LPT8", "LPT9",
    ];
    let ending = name.len().checked_sub(".sys".len()).and_then(|at| name.get(at..));
    if name.len() <= ".sys".len() || !ending.is_some_and(|own| own.eq_ignore_ascii_case(".sys")) {
        return Err("it does not end in `.sys`".to_owned());
    }
    if name.encode_utf16().count() > LONGEST {
        return Err(format!("it has more than {LONGEST} characters"));
    }
    if let Some(bad) = name.chars().find(|c| *c < ' ' || "<>:\"/\\|?*".contains(*c)) {
        return Err(format!("`{}` cannot be in a Windows file name", bad.escape_default()));
    }
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    if DEVICES.iter().any(|device| device.eq_ignore_ascii_case(stem)) {
        return Err(format!("`{stem}` is a device's name"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::driver_file_name;

    #[test]
    fn a_drivers_file_is_named_as_windows_takes_it() {
        for good in [
            "WinDivert64.8da08533.sys",
            "my driver (1).sys",
            "[x64] äöü-driver.SYS",
            "a..sys",
            "rtkio64 .sys",
            "%s.sys",
            "confuse.sys",
        ] {
            assert_eq!(driver_file_name(good), Ok(()), "{good}");
        }
        let long = format!("{}.sys", "x".repeat(252));
        for (bad, says) in [
            ("driver.exe", "does not end"),
            (".sys", "does not end"),
            ("ä", "does not end"),
            ("", "does not end"),
            (long.as_str(), "more than 255"),
            ("a?.sys", "`?`"),
            ("a\u{1b}.sys", "u{1b}"),
            ("NUL.sys", "device"),
            ("com1.x.sys", "device"),
        ] {
            assert!(driver_file_name(bad).unwrap_err().contains(says), "{bad}");
        }
    }
}
