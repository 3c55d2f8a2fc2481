//! What the schema cannot say about damage to files, the registry and updates.

use crate::fault::Fault;
use crate::moment::Moment;
use crate::registry::{RegistryDamage, RegistryFault};
use crate::rules::{Rules, Step, four_numbers};
use crate::servicing::{FileLoss, FileVersion, QualityUpdate, ServicingTransaction};

impl Rules<'_> {
    pub(crate) fn transaction(&mut self, at: &[Step<'_>; 2], fault: &ServicingTransaction) {
        self.staged_only(at, fault.when);
        for (index, pending) in fault.moves.iter().enumerate() {
            for (key, path) in [("from", &pending.from), ("to", &pending.to)] {
                let place = [at[0], at[1], Step::Key("moves"), Step::Index(index), Step::Key(key)];
                self.place(&place, path);
            }
        }
    }

    /// What it brings has to be there, in the same list, and to be a change of files and values: its own record is made
    /// of them.
    pub(crate) fn quality_update(
        &mut self,
        at: &[Step<'_>; 2],
        list: &str,
        update: &QualityUpdate,
    ) {
        self.staged_only(at, update.when);
        let digits = update.kb.strip_prefix("KB").unwrap_or_default();
        if !(1..=9).contains(&digits.len()) || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            self.problem(
                &[at[0], at[1], Step::Key("kb")],
                format!("`{}` is not the number of an article", update.kb),
                "`KB` and up to nine digits",
                "write a number such as \"KB5039302\"",
            );
        }
        let updates = self.scenario.given.iter().chain(&self.scenario.fault);
        let twin = updates
            .filter_map(|fault| match fault {
                Fault::QualityUpdate(other) => Some(other),
                _ => None,
            })
            .take_while(|other| other.name != update.name)
            .any(|other| other.kb == update.kb);
        if twin {
            self.problem(
                &[at[0], at[1], Step::Key("kb")],
                format!(
                    "another update is {} already, and one package would replace the other",
                    update.kb
                ),
                "a number of its own for each update",
                "write another number",
            );
        }
        let faults = if list == "given" { &self.scenario.given } else { &self.scenario.fault };
        for (index, name) in update.brings.iter().enumerate() {
            let brought = faults.iter().find(|fault| fault.name() == name);
            if brought.is_some_and(|fault| fault.when() == Moment::Staged && can_be_brought(fault))
            {
                continue;
            }
            let what = match brought {
                None => format!("there is no `{name}` in `[[{list}]]`"),
                Some(fault) if fault.when() != Moment::Staged => {
                    format!("`{name}` happens while the machine is up, so no package has it")
                }
                Some(fault) => format!("`{name}` is a {}, which no package brings", fault.kind()),
            };
            self.problem(
                &[at[0], at[1], Step::Key("brings"), Step::Index(index)],
                what,
                "the name of a staged change of files or of values of the registry in the same list",
                "correct the name, or leave it out",
            );
        }
    }

    pub(crate) fn file_version(&mut self, at: &[Step<'_>; 2], fault: &FileVersion) {
        self.place(&[at[0], at[1], Step::Key("path")], &fault.path);
        if !four_numbers(&fault.version) {
            self.problem(
                &[at[0], at[1], Step::Key("version")],
                format!("`{}` is not a version", fault.version),
                "four numbers up to 65535 with dots",
                "write a version such as \"10.0.19041.1\"",
            );
        }
    }

    pub(crate) fn file_loss(&mut self, at: &[Step<'_>; 2], fault: &FileLoss) {
        self.place(&[at[0], at[1], Step::Key("path")], &fault.path);
        if let Some(folder) = &fault.quarantine {
            self.place(&[at[0], at[1], Step::Key("quarantine")], folder);
        }
    }

    pub(crate) fn registry(&mut self, at: &[Step<'_>; 2], fault: &RegistryFault) {
        self.staged_only(at, fault.when);
        let RegistryDamage::Value(change) = &fault.damage else { return };
        let key = change.key.trim_start_matches('\\');
        let root = ["HKLM", "HKEY_LOCAL_MACHINE", "SYSTEM", "SOFTWARE"].into_iter().find(|root| {
            key.split('\\').next().is_some_and(|first| first.eq_ignore_ascii_case(root))
        });
        if let Some(root) = root {
            self.problem(
                &[at[0], at[1], Step::Key("damage"), Step::Key("value"), Step::Key("key")],
                format!("`{}` begins with `{root}`", change.key),
                "a key from the hive's root: the hive has its own line, `hive`",
                "write it as `CurrentControlSet\\Services\\…`, or `Microsoft\\…` with `hive = \"software\"`",
            );
        }
    }
}

/// A change of files and values.
fn can_be_brought(fault: &Fault) -> bool {
    match fault {
        Fault::Registry(fault) => !matches!(fault.damage, RegistryDamage::CorruptHive(_)),
        Fault::ContentDriver(_)
        | Fault::ContentFile(_)
        | Fault::Driver(_)
        | Fault::DriverFile(_)
        | Fault::Update(_)
        | Fault::FileVersion(_)
        | Fault::FileLoss(_) => true,
        _ => false,
    }
}
