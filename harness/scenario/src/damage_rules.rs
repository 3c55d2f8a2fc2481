//! What the schema cannot say about damage to files, the registry and updates.

use crate::registry::{RegistryDamage, RegistryFault};
use crate::rules::{Rules, Step, four_numbers};
use crate::servicing::{FileLoss, FileVersion, ServicingTransaction};

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
