//! What differs between two tables, in words.

use timeline::Layer;

use super::table::{Cell, Matrix};
use winfmt::escaped;

impl Matrix {
    /// What is different in this table from an earlier one, the weightiest first. A cell that this one does not have
    /// was not run; one without a verdict says nothing.
    pub fn changes_since(&self, old: &Self) -> Vec<String> {
        let mut changes: Vec<(u8, String)> = Vec::new();
        for (incident, layer, new) in self.cells() {
            let before = old.incidents.get(incident).and_then(|cells| cells.get(&layer));
            changes.extend(change(&escaped(incident).to_string(), layer, before, new));
        }
        changes.sort();
        changes.into_iter().map(|(_, words)| words).collect()
    }
}

fn change(incident: &str, layer: Layer, old: Option<&Cell>, new: &Cell) -> Option<(u8, String)> {
    let Some(old) = old else {
        let short = new.short(layer);
        return Some((5, format!("{incident} with {layer} is new: {short}")));
    };
    if old == new || matches!(new, Cell::Failed { .. }) {
        return None;
    }
    let now = new.short(layer);
    Some(match (old.saves(), new.saves()) {
        (true, false) => (0, format!("{layer} no longer saves {incident}: {now} ({})", new.why())),
        (false, true) => (2, format!("{layer} now saves {incident}: {now}")),
        _ => match (old, new) {
            (
                Cell::Ran { data_intact: Some(true), .. },
                Cell::Ran { data_intact: Some(false), .. },
            ) => (0, format!("{incident} with {layer} now loses the user's data")),
            (Cell::Ran { touch: old, .. }, Cell::Ran { touch: Some(new), .. })
                if *old != Some(*new) =>
            {
                let old = old.map_or("none".to_owned(), |touch| touch.to_string());
                (1, format!("{incident} with {layer} needs touch {new} instead of {old}"))
            }
            (Cell::Ran { by: was, boots: old, .. }, Cell::Ran { by, boots, .. })
                if was == by && old != boots =>
            {
                (3, format!("{incident} with {layer} takes {boots} boots instead of {old}"))
            }
            _ if old.short(layer) != now => {
                (1, format!("{incident} with {layer} is {now} instead of {}", old.short(layer)))
            }
            _ => (
                4,
                format!("{incident} with {layer}, {now}: {} instead of {}", new.why(), old.why()),
            ),
        },
    })
}

#[cfg(test)]
mod tests {
    use timeline::{Touch, Verdict};
    use words::ImageLine;

    use super::*;

    fn ran(verdict: Verdict, by: Option<Layer>, boots: usize) -> Cell {
        let touch = by.map(Layer::touch);
        let why = "because".to_owned();
        Cell::Ran { verdict, by, touch, boots, data_intact: Some(true), why }
    }

    fn table(cells: &[(&str, Layer, Cell)]) -> Matrix {
        let mut matrix =
            Matrix::new("understudy", "understudy".parse::<ImageLine>().unwrap(), true);
        for (incident, layer, cell) in cells {
            matrix.put(incident, *layer, cell.clone());
        }
        matrix
    }

    #[test]
    fn what_differs_is_said_in_words_and_the_weightiest_first() {
        let saved = || ran(Verdict::Recovered, Some(Layer::SafeMode), 4);
        let stuck = || ran(Verdict::StuckInRecovery, None, 3);
        let old = table(&[
            ("one", Layer::SafeMode, saved()),
            ("two", Layer::SafeMode, stuck()),
            ("three", Layer::SafeMode, saved()),
            ("four", Layer::SafeMode, saved()),
            ("five", Layer::SafeMode, saved()),
            ("not-run-now", Layer::SafeMode, saved()),
        ]);
        let mut by_hand = saved();
        if let Cell::Ran { touch, .. } = &mut by_hand {
            *touch = Some(Touch::Console);
        }
        let failed = Cell::Failed { why: "no space".to_owned() };
        let new = table(&[
            ("one", Layer::SafeMode, stuck()),
            ("two", Layer::SafeMode, saved()),
            ("three", Layer::SafeMode, ran(Verdict::Recovered, Some(Layer::SafeMode), 5)),
            ("four", Layer::SafeMode, by_hand),
            ("five", Layer::SafeMode, failed),
            ("six", Layer::Reboots, stuck()),
        ]);
        assert_eq!(
            new.changes_since(&old),
            [
                "safe-mode no longer saves one: stuck-in-recovery (because)",
                "four with safe-mode needs touch console instead of host",
                "safe-mode now saves two: yes, 4 boots",
                "three with safe-mode takes 5 boots instead of 4",
                "six with reboots is new: stuck-in-recovery",
            ]
        );
        assert_eq!(old.changes_since(&old), [""; 0]);
    }

    #[test]
    fn a_table_reads_back_and_a_newer_one_is_refused() {
        let one = table(&[("one", Layer::SafeMode, ran(Verdict::Hung, None, 1))]);
        assert_eq!(Matrix::parse(&one.render()).unwrap(), one);
        let newer = one.render().replace("\"format\": 1", "\"format\": 9");
        assert_eq!(
            Matrix::parse(&newer).unwrap_err().to_string(),
            "format 9 is not known; this loopbreak reads 1"
        );
        let broken = Matrix::parse("{\n  \"format\": x").unwrap_err().to_string();
        assert!(broken.starts_with("line 2, column 13: "), "{broken}");
    }

    #[test]
    fn an_earlier_table_keeps_what_was_not_run_now() {
        let old = table(&[
            ("one", Layer::SafeMode, ran(Verdict::Hung, None, 1)),
            ("two", Layer::SafeMode, ran(Verdict::Hung, None, 1)),
        ]);
        let new = table(&[("two", Layer::SafeMode, ran(Verdict::Looping, None, 2))]);
        let both = old.clone().laid_over(&new);
        assert_eq!(both.incidents["one"], old.incidents["one"]);
        assert_eq!(both.incidents["two"], new.incidents["two"]);
    }
}
