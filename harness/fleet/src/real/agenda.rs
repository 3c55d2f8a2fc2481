//! What machines have before them, by minute.

use std::collections::BTreeMap;

/// What is to happen to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Ask,
    Break,
    Back,
    GiveUp,
    Call,
    Repaired,
}

/// All of it. What a machine had before it is forgotten when it is planned anew.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    by_minute: BTreeMap<u32, Vec<(u32, u32, Due)>>,
    generations: Vec<u32>,
}

impl Agenda {
    /// A machine gets the next number.
    pub(super) fn add(&mut self) {
        self.generations.push(0);
    }

    pub(super) fn plan(&mut self, machine: u32, minute: u32, due: Due) {
        let generation = self.generations[machine as usize];
        self.by_minute.entry(minute).or_default().push((machine, generation, due));
    }

    pub(super) fn forget(&mut self, machine: u32) {
        self.generations[machine as usize] += 1;
    }

    /// The next of this minute or an earlier one.
    pub(super) fn next(&mut self, minute: u32) -> Option<(u32, Due)> {
        loop {
            let mut first = self.by_minute.first_entry().filter(|first| *first.key() <= minute)?;
            if first.get().is_empty() {
                first.remove();
                continue;
            }
            let (machine, generation, due) = first.get_mut().remove(0);
            if self.generations[machine as usize] == generation {
                return Some((machine, due));
            }
        }
    }

    /// How much there is to come.
    pub(super) fn pending(&self) -> u32 {
        let all = self.by_minute.values().flatten();
        all.filter(|(machine, generation, _)| self.generations[*machine as usize] == *generation)
            .count() as u32
    }
}
