//! Which machines are in which ring and shard.

use crate::apportion::apportion;
use crate::model::{Plan, Rollout};

/// A shard has about so many machines at least: fewer fit into a processor's cache, and each costs its lists.
const SHARD: u64 = 16_384;
/// No more shards than this.
const MOST_SHARDS: u64 = 128;

/// How many machines of each class are in each ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// By ring, by class.
    pub(crate) cells: Vec<Vec<u64>>,
    pub(crate) shards: usize,
}

impl Layout {
    /// A ring takes of each of its classes in proportion to what is left of it.
    pub(crate) fn new(rollout: &Rollout, plan: &Plan) -> Self {
        let machines = u64::from(rollout.fleet.machines);
        let shares: Vec<f64> = rollout.class.iter().map(|class| class.share).collect();
        let mut left = apportion(machines, &shares);
        let mut cells = Vec::new();
        for ring in &plan.ring {
            let is_in = |at: usize| {
                ring.classes.as_ref().is_none_or(|all| all.contains(&rollout.class[at].name))
            };
            let there: Vec<u64> =
                left.iter().enumerate().map(|(at, n)| if is_in(at) { *n } else { 0 }).collect();
            let all: u64 = there.iter().sum();
            let wanted = match (ring.count, ring.share) {
                (Some(count), _) => u64::from(count),
                (None, Some(share)) => (share * machines as f64).round() as u64,
                (None, None) => all,
            };
            let weights: Vec<f64> = there.iter().map(|n| *n as f64).collect();
            let taken = apportion(wanted.min(all), &weights);
            for (left, taken) in left.iter_mut().zip(&taken) {
                *left -= taken;
            }
            cells.push(taken);
        }
        // The number of machines alone decides, so that it is the same whoever counts with how many threads.
        let shards = (machines / SHARD).clamp(1, MOST_SHARDS) as usize;
        Self { cells, shards }
    }

    /// How many machines of a ring and class are in a shard.
    pub(crate) fn in_shard(&self, ring: usize, class: usize, shard: usize) -> u32 {
        let (machines, shards) = (self.cells[ring][class], self.shards as u64);
        // The remainders of the cells begin at different shards, lest the first ones get them all.
        let place = (shard as u64 + 7 * ring as u64 + 3 * class as u64) % shards;
        (machines / shards + u64::from(place < machines % shards)) as u32
    }

    /// Machines of a ring.
    pub(crate) fn in_ring(&self, ring: usize) -> u64 {
        self.cells[ring].iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::preset;

    #[test]
    fn every_machine_is_in_one_ring_and_one_shard() {
        let rollout = preset("july-2024").unwrap();
        for plan in &rollout.plan {
            let layout = Layout::new(&rollout, plan);
            let mut all = 0;
            for (ring, cells) in layout.cells.iter().enumerate() {
                for (class, cell) in cells.iter().enumerate() {
                    let parts = (0..layout.shards).map(|it| layout.in_shard(ring, class, it));
                    assert_eq!(parts.map(u64::from).sum::<u64>(), *cell);
                    all += cell;
                }
            }
            assert_eq!(all, u64::from(rollout.fleet.machines), "{}", plan.name);
        }
    }
}
