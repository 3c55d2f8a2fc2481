//! What no schema can say of the layers that the harness works itself.

use words::Layer;

use crate::ladder::SafeModeAction;
use crate::rules::{Rules, Step};

/// The tables that declare a layer, and what to write in each.
const DECLARED: [(Layer, &str, &str); 5] = [
    (Layer::Reboots, "`[reboots]` with `times`", "add `[reboots]` with `times = 15`"),
    (Layer::LastKnownGood, "`[last-known-good]`", "add `[last-known-good]`"),
    (
        Layer::SafeMode,
        "a `[[safe-mode.action]]`",
        "add `[[safe-mode.action]]` with what is done in safe mode",
    ),
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
}
