//! Which question comes next. Pure: the answers that are known go in, and what is found or what is to be asked comes out,
//! so that a search that was interrupted goes on by asking the same again.

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Of a row of builds, this one is the first that breaks; the one before it, where there is one, does not.
    First(usize),
    /// Of a set, these together break, and without any one of them they do not.
    Smallest(Vec<usize>),
    /// The last build, or the whole set, does not break.
    Nothing,
    /// The machine breaks without any of the set.
    WithoutAny,
}

/// What is put on the machine: one build, or a set of entries.
pub(super) type Question = Vec<usize>;

/// Bisects a row of `count` builds: halves the row between one that does not break and one that does. At most
/// 2 + log2(count) questions, rounded up.
///
/// # Errors
/// What has to be asked first.
pub(super) fn first_that_breaks(
    count: usize,
    known: impl Fn(&[usize]) -> Option<bool>,
) -> Result<Found, Vec<Question>> {
    let Some(last) = count.checked_sub(1) else { return Ok(Found::Nothing) };
    // Both ends: what lies between them says nothing where they are not as they are taken to be.
    let ends = [last, 0].map(|end| (end, known(&[end])));
    let mut open: Vec<Question> = Vec::new();
    for (end, answer) in ends {
        if answer.is_none() && !open.contains(&vec![end]) {
            open.push(vec![end]);
        }
    }
    if !open.is_empty() {
        return Err(open);
    }
    match ends.map(|(_, breaks)| breaks.unwrap_or_default()) {
        [false, _] => return Ok(Found::Nothing),
        [true, true] => return Ok(Found::First(0)),
        [true, false] => {}
    }
    let (mut clean, mut broken) = (0, last);
    while broken - clean > 1 {
        let middle = clean + (broken - clean) / 2;
        match known(&[middle]) {
            Some(true) => broken = middle,
            Some(false) => clean = middle,
            None => return Err(vec![vec![middle]]),
        }
    }
    Ok(Found::First(broken))
}

/// Looks for a smallest part of a set that breaks: delta debugging, ddmin (Zeller and Hildebrandt, "Simplifying and
/// isolating failure-inducing input", 2002). What it finds is smallest in that nothing of it can be left out; there may be
/// other such parts.
///
/// # Errors
/// What has to be asked first: at most `most`, all but the first of them on the guess that those before do not break, as
/// most do not.
pub(super) fn smallest_that_breaks(
    count: usize,
    most: usize,
    known: impl Fn(&[usize]) -> Option<bool>,
) -> Result<Found, Vec<Question>> {
    let all: Question = (0..count).collect();
    let ends = [all.clone(), Vec::new()];
    let open: Vec<Question> = ends.iter().filter(|set| known(set).is_none()).cloned().collect();
    if !open.is_empty() {
        return Err(open);
    }
    if known(&[]) == Some(true) {
        return Ok(Found::WithoutAny);
    }
    if known(&all) == Some(false) {
        return Ok(Found::Nothing);
    }
    let mut asking = Asking { known, most: most.max(1), open: Vec::new() };
    match asking.reduce(all) {
        Ok(part) if asking.open.is_empty() => Ok(Found::Smallest(part)),
        _ => Err(asking.open),
    }
}

/// There is enough to be asked.
struct Enough;

struct Asking<F> {
    known: F,
    most: usize,
    open: Vec<Question>,
}

impl<F: Fn(&[usize]) -> Option<bool>> Asking<F> {
    fn breaks(&mut self, set: &[usize]) -> Result<bool, Enough> {
        if let Some(known) = (self.known)(set) {
            return Ok(known);
        }
        if !self.open.iter().any(|open| open == set) {
            self.open.push(set.to_vec());
        }
        if self.open.len() >= self.most { Err(Enough) } else { Ok(false) }
    }

    fn reduce(&mut self, mut whole: Question) -> Result<Question, Enough> {
        let mut parts = 2;
        'again: while whole.len() > 1 {
            let pieces = split(&whole, parts);
            for piece in &pieces {
                if self.breaks(piece)? {
                    (whole, parts) = (piece.clone(), 2);
                    continue 'again;
                }
            }
            for piece in &pieces {
                let rest: Question =
                    whole.iter().copied().filter(|one| !piece.contains(one)).collect();
                if self.breaks(&rest)? {
                    (whole, parts) = (rest, (parts - 1).max(2));
                    continue 'again;
                }
            }
            if parts >= whole.len() {
                break;
            }
            parts = (parts * 2).min(whole.len());
        }
        Ok(whole)
    }
}

/// As many pieces, none larger than another by more than one.
fn split(set: &[usize], parts: usize) -> Vec<Question> {
    let parts = parts.min(set.len());
    let edge = |number: usize| number * set.len() / parts;
    (0..parts).map(|number| set[edge(number)..edge(number + 1)].to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Asks until something is found, and counts the questions.
    fn search(
        step: impl Fn(&BTreeMap<Question, bool>) -> Result<Found, Vec<Question>>,
        mut answer: impl FnMut(&[usize]) -> bool,
    ) -> (Found, BTreeMap<Question, bool>) {
        let mut known = BTreeMap::new();
        loop {
            match step(&known) {
                Ok(found) => return (found, known),
                Err(open) => {
                    assert!(!open.is_empty(), "nothing is found and nothing is to be asked");
                    for question in open {
                        let breaks = answer(&question);
                        assert!(known.insert(question, breaks).is_none(), "asked twice");
                    }
                }
            }
        }
    }

    fn in_a_row(
        count: usize,
        answer: impl FnMut(&[usize]) -> bool,
    ) -> (Found, BTreeMap<Question, bool>) {
        search(|known| first_that_breaks(count, |set| known.get(set).copied()), answer)
    }

    fn in_a_set(
        count: usize,
        most: usize,
        answer: impl FnMut(&[usize]) -> bool,
    ) -> (Found, BTreeMap<Question, bool>) {
        search(|known| smallest_that_breaks(count, most, |set| known.get(set).copied()), answer)
    }

    #[test]
    fn a_break_at_each_place_of_each_row_is_found_in_two_and_log2_questions() {
        for count in 1..70_usize {
            for first in 0..count {
                let (found, known) = in_a_row(count, |set| set[0] >= first);
                assert_eq!(found, Found::First(first), "{count}");
                let most = 2 + count.next_power_of_two().ilog2() as usize;
                assert!(known.len() <= most, "{} questions for {count} builds", known.len());
                assert!(first == 0 || !known[&vec![first - 1]]);
                assert!(known[&vec![first]]);
            }
            assert_eq!(in_a_row(count, |_| false).0, Found::Nothing);
        }
        assert_eq!(in_a_row(0, |_| true).0, Found::Nothing);
    }

    #[test]
    fn two_of_eight_are_found_and_so_are_the_ends() {
        for (one, other) in (0..8).flat_map(|one| (one + 1..8).map(move |other| (one, other))) {
            let (found, known) = in_a_set(8, 1, |set| set.contains(&one) && set.contains(&other));
            assert_eq!(found, Found::Smallest(vec![one, other]));
            assert!(known.len() <= 30, "{} questions for {one} and {other}", known.len());
        }
        assert_eq!(in_a_set(8, 2, |_| true).0, Found::WithoutAny);
        assert_eq!(in_a_set(8, 2, |_| false).0, Found::Nothing);
    }

    proptest! {
        /// Whatever breaks, also what is not monotone: what is found breaks, and nothing of it can be left out.
        #[test]
        fn what_is_found_breaks_and_nothing_of_it_can_be_left_out(
            count in 1_usize..12,
            most in 1_usize..5,
            causes in prop::collection::vec(prop::collection::btree_set(0_usize..12, 1..4), 1..4),
            cure in prop::option::of(0_usize..12),
        ) {
            let breaks = |set: &[usize]| {
                !set.is_empty() && (set.len() == count || cure.is_none_or(|cure| !set.contains(&cure)))
                    && causes.iter().any(|cause| cause.iter().filter(|one| **one < count).all(|one| set.contains(one)))
            };
            let all: Question = (0..count).collect();
            let (found, known) = in_a_set(count, most, breaks);
            match found {
                Found::Smallest(part) => {
                    prop_assert!(breaks(&part));
                    for one in &part {
                        let rest: Question = part.iter().copied().filter(|other| other != one).collect();
                        prop_assert_eq!(known.get(&rest), Some(&false), "{:?} was not asked", rest);
                    }
                }
                Found::Nothing => prop_assert!(!breaks(&all)),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
