//! A list divided among several machines.

use std::cmp::Reverse;
use std::str::FromStr;
use std::time::Duration;

/// One of several parts: `2/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Which one, from 1.
    pub(crate) part: usize,
    /// How many there are.
    pub(crate) of: usize,
}

/// More machines than anybody has for this.
const MOST: usize = 1000;

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text
            .split_once('/')
            .and_then(|(part, of)| Some((part.parse::<usize>().ok()?, of.parse::<usize>().ok()?)));
        match numbers {
            Some((part, of)) if (1..=of).contains(&part) && of <= MOST => Ok(Self { part, of }),
            _ => Err(format!("write it as 1/3, 2/3 or 3/3; there are at most {MOST} parts")),
        }
    }
}

/// The part, from 0, that each entry of a list is in. Each entry has the name that tells it from the others, and how
/// long it took when it was last run.
///
/// The longest goes first to where least is to be done yet (Graham, "Bounds on multiprocessing timing anomalies", 1969).
/// The same names and durations give the same parts, in whatever order they come. What was never run is taken for as
/// long as the others are on average; where nothing is known, parts differ by one entry at most.
pub(crate) fn parts(list: &[(String, Option<Duration>)], of: usize) -> Vec<usize> {
    let micros = |took: &Duration| took.as_micros();
    let known: Vec<u128> = list.iter().filter_map(|(_, took)| took.as_ref().map(micros)).collect();
    let average = known.iter().sum::<u128>().checked_div(known.len() as u128).unwrap_or(0).max(1);
    let cost = |index: usize| list[index].1.as_ref().map_or(average, micros);
    let mut order: Vec<usize> = (0..list.len()).collect();
    order.sort_by_key(|&index| (Reverse(cost(index)), &list[index].0));
    // What is to be done, and how many entries that is: entries that take no time are spread as well.
    let mut loads = vec![(0_u128, 0_usize); of.max(1)];
    let mut parts = vec![0; list.len()];
    for index in order {
        let least = loads.iter().enumerate().min_by_key(|(_, load)| **load);
        let part = least.map_or(0, |(part, _)| part);
        loads[part].0 += cost(index);
        loads[part].1 += 1;
        parts[index] = part;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_shard_is_a_part_of_some() {
        assert_eq!("2/3".parse(), Ok(Shard { part: 2, of: 3 }));
        for wrong in ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/100000", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    fn list() -> impl Strategy<Value = Vec<(String, Option<Duration>)>> {
        let took = proptest::option::of((0_u64..1000).prop_map(Duration::from_secs));
        proptest::collection::btree_map("[a-z]{1,3}", took, 0..40)
            .prop_map(|list| list.into_iter().collect())
    }

    proptest! {
        #[test]
        fn every_entry_is_in_one_part_whatever_order_they_come_in(list in list(), of in 1_usize..8, turn in 0_usize..40) {
            let found = parts(&list, of);
            prop_assert_eq!(found.len(), list.len());
            prop_assert!(found.iter().all(|part| *part < of));
            let mut other = list.clone();
            if !other.is_empty() {
                let turn = turn % other.len();
                other.rotate_left(turn);
            }
            let others = parts(&other, of);
            for (entry, part) in list.iter().zip(&found) {
                let at = other.iter().position(|it| it.0 == entry.0).unwrap();
                prop_assert_eq!(*part, others[at]);
            }
        }

        #[test]
        fn no_part_has_more_to_do_than_another_by_more_than_one_entry(list in list(), of in 1_usize..8) {
            let list: Vec<_> = list.into_iter().map(|(name, took)| (name, Some(took.unwrap_or_default()))).collect();
            let mut loads = vec![Duration::ZERO; of];
            for (entry, part) in list.iter().zip(parts(&list, of)) {
                loads[part] += entry.1.unwrap();
            }
            let longest = list.iter().filter_map(|entry| entry.1).max().unwrap_or_default();
            let (most, least) = (loads.iter().max().unwrap(), loads.iter().min().unwrap());
            prop_assert!(*most - *least <= longest);
        }

        #[test]
        fn where_nothing_is_known_parts_differ_by_one_entry(names in proptest::collection::btree_set("[a-z]{1,3}", 0..40), of in 1_usize..8) {
            let list: Vec<_> = names.into_iter().map(|name| (name, None)).collect();
            let mut counts = vec![0_usize; of];
            for part in parts(&list, of) {
                counts[part] += 1;
            }
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
        }
    }
}
