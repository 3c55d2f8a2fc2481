//! What no schema can say of the layers that the harness works itself.

use words::Layer;

use crate::ladder::SafeModeAction;
use crate::rules::{Rules, Step};
use crate::uninstall_update::UninstallUpdate;

/// The tables that declare a layer, and what to write in each.
const DECLARED: [(Layer, &str, &str); 7] = [
    (Layer::Reboots, "`[reboots]` with `times`", "add `[reboots]` with `times = 15`"),
    (Layer::LastKnownGood, "`[last-known-good]`", "add `[last-known-good]`"),
    (
        Layer::SafeMode,
        "a `[[safe-mode.action]]`",
        "add `[[safe-mode.action]]` with what is done in safe mode",
    ),
    (
        Layer::UninstallUpdate,
        "`[uninstall-update]` with what is taken back",
        "add `[uninstall-update]` with `package = \"latest\"`",
    ),
    (Layer::RestorePoint, "`[restore-point]`", "add `[restore-point]`"),
    (
        Layer::HostRepair,
        "a `[[host-repair.action]]`",
        "add `[[host-repair.action]]` with what is done to the disk",
    ),
    (Layer::Rollback, "`[rollback]` with `to`", "add `[rollback]` with `to = \"checkpoint\"`"),
];

impl Rules<'_> {
    /// A layer of the harness that is expected to help has to be declared.
    pub(crate) fn layers(&mut self) {
        let driven = self.scenario.driven_layers();
        for (index, layer) in self.scenario.expect.layers.iter().enumerate() {
            let declared = DECLARED.iter().find(|(known, ..)| known == layer);
            if let Some((_, expected, remedy)) = declared.filter(|_| !driven.contains(layer)) {
                self.problem(
                    &[Step::Key("expect"), Step::Key("layers"), Step::Index(index)],
                    format!(
                        "{layer} is expected to bring the machine back, but nothing is declared for it"
                    ),
                    *expected,
                    *remedy,
                );
            }
        }
        if self.scenario.reboots.is_some_and(|reboots| !(1..=100).contains(&reboots.times)) {
            self.problem(
                &[Step::Key("reboots"), Step::Key("times")],
                "nobody restarts a machine so often",
                "a number from 1 to 100",
                "write `times = 15`",
            );
        }
    }

    /// The point is made of what is given, without a start; a machine whose key is sealed to one has had it.
    pub(crate) fn restore_point(&mut self) {
        if self.scenario.restore_point.is_some() && self.scenario.starts_twice() {
            self.problem(
                &[Step::Key("restore-point")],
                "the machine starts once before anything goes wrong, and the point would be without that start",
                "a machine that starts from a checkpoint, or is not encrypted",
                "write `start = \"checkpoint\"` under `[machine]`, or remove `[restore-point]`",
            );
        }
    }

    pub(crate) fn safe_mode(&mut self) {
        let at = [Step::Key("safe-mode"), Step::Key("action")];
        let actions = self.scenario.safe_mode.as_ref().map(|safe| safe.action.as_slice());
        if actions.is_some_and(<[SafeModeAction]>::is_empty) {
            self.problem(
                &at[..1],
                "the machine is taken to safe mode, but nothing is done there",
                "at least one `[[safe-mode.action]]`",
                "add one, or remove `[safe-mode]`",
            );
        }
        for (index, action) in actions.into_iter().flatten().enumerate() {
            let at = |key| [at[0], at[1], Step::Index(index), Step::Key(key)];
            match action {
                SafeModeAction::Delete(delete) => {
                    if delete.path.drive() != 'C' {
                        self.place(&at("delete"), &delete.path);
                    }
                }
                SafeModeAction::DisableService(name) => {
                    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                    if name.is_empty() || !name.chars().all(plain) {
                        self.problem(
                            &at("disable-service"),
                            format!("`{name}` cannot be a service's name"),
                            "letters, digits, `-`, `_` and `.`",
                            "write the name of the service's key",
                        );
                    }
                }
            }
        }
    }

    pub(crate) fn uninstall_update(&mut self) {
        let Some(uninstall) = self.scenario.uninstall_update.clone() else { return };
        if uninstall == UninstallUpdate::default() {
            self.problem(
                &[Step::Key("uninstall-update")],
                "something is to be uninstalled, but not what",
                "`package`, `driver` or `pending-actions`",
                "write `package = \"latest\"`, or remove `[uninstall-update]`",
            );
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let named = |name: &str| !name.is_empty() && name.chars().all(plain);
        if uninstall.package.as_deref().is_some_and(|package| !named(package)) {
            self.problem(
                &[Step::Key("uninstall-update"), Step::Key("package")],
                "this cannot be the number of an article",
                "`latest`, or a number",
                "write a number such as \"KB5039302\"",
            );
        }
        let is_inf = |name: &str| named(name) && name.to_ascii_lowercase().ends_with(".inf");
        if uninstall.driver.as_deref().is_some_and(|driver| !is_inf(driver)) {
            self.problem(
                &[Step::Key("uninstall-update"), Step::Key("driver")],
                "this cannot be the name of an INF",
                "letters, digits, `-`, `_` and `.`, with `.inf` at the end",
                "write the name that the vendor gave it, such as \"lbnet.inf\"",
            );
        }
    }
}
