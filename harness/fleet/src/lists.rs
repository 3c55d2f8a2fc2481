//! Which machines go on in which minute, and who waits for hands.
//!
//! Lists of numbers in blocks of one cache line each, out of one store: about four bytes for each machine that is in
//! a list, wherever it is. A machine's own bytes are far away in memory; from a block, those of many machines are
//! fetched at the same time, which a list that is linked through the machines does not allow.

/// No block.
const NONE: u32 = u32::MAX;
/// Numbers in a block.
const SLOTS: usize = 14;

#[derive(Debug, Clone)]
struct Block {
    ids: [u32; SLOTS],
    length: u32,
    next: u32,
}

/// The lists of a shard.
#[derive(Debug)]
pub(crate) struct Lists {
    blocks: Vec<Block>,
    /// The first block that is in no list.
    free: u32,
    /// By minute: the first block.
    minutes: Vec<u32>,
    /// Machines in minutes.
    pending: u32,
    queue: Queue,
}

/// First in, first out.
#[derive(Debug)]
struct Queue {
    first: u32,
    last: u32,
    /// How many of the first block are gone.
    gone: usize,
}

impl Lists {
    /// For minutes from 0 to `horizon`.
    pub(crate) fn new(horizon: u32) -> Self {
        Self {
            blocks: Vec::new(),
            free: NONE,
            minutes: vec![NONE; horizon as usize + 1],
            pending: 0,
            queue: Queue { first: NONE, last: NONE, gone: 0 },
        }
    }

    pub(crate) const fn pending(&self) -> u32 {
        self.pending
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.blocks.capacity() * size_of::<Block>() + self.minutes.capacity() * 4
    }

    /// Puts a machine into a minute's list. Those after the horizon never come.
    pub(crate) fn schedule(&mut self, id: u32, minute: u32) {
        let Some(first) = self.minutes.get(minute as usize).copied() else { return };
        self.pending += 1;
        if first != NONE && self.push(first, id) {
            return;
        }
        self.minutes[minute as usize] = self.block(id, first);
    }

    /// Takes all machines of a minute, into `ids`.
    pub(crate) fn take(&mut self, minute: u32, ids: &mut Vec<u32>) {
        let mut at = std::mem::replace(&mut self.minutes[minute as usize], NONE);
        while at != NONE {
            let block = &mut self.blocks[at as usize];
            ids.extend_from_slice(&block.ids[..block.length as usize]);
            let next = std::mem::replace(&mut block.next, self.free);
            self.free = at;
            at = next;
        }
        self.pending -= ids.len() as u32;
    }

    /// Lets a machine wait for hands.
    pub(crate) fn wait(&mut self, id: u32) {
        let last = self.queue.last;
        if last != NONE && self.push(last, id) {
            return;
        }
        let block = self.block(id, NONE);
        match last {
            NONE => self.queue.first = block,
            last => self.blocks[last as usize].next = block,
        }
        self.queue.last = block;
    }

    /// Takes the first `count` of those who wait, or all of them, into `ids`.
    pub(crate) fn serve(&mut self, count: u32, ids: &mut Vec<u32>) {
        let mut left = count as usize;
        while left > 0 && self.queue.first != NONE {
            let at = self.queue.first;
            let block = &mut self.blocks[at as usize];
            let there = &block.ids[self.queue.gone..block.length as usize];
            let now = there.len().min(left);
            ids.extend_from_slice(&there[..now]);
            left -= now;
            self.queue.gone += now;
            if self.queue.gone == block.length as usize {
                self.queue.first = std::mem::replace(&mut block.next, self.free);
                self.free = at;
                self.queue.gone = 0;
                if self.queue.first == NONE {
                    self.queue.last = NONE;
                }
            }
        }
    }

    /// Whether it went into this block.
    fn push(&mut self, at: u32, id: u32) -> bool {
        let block = &mut self.blocks[at as usize];
        let Some(slot) = block.ids.get_mut(block.length as usize) else { return false };
        *slot = id;
        block.length += 1;
        true
    }

    /// A block with one machine.
    fn block(&mut self, id: u32, next: u32) -> u32 {
        let mut block = Block { ids: [0; SLOTS], length: 1, next };
        block.ids[0] = id;
        if self.free != NONE {
            let at = self.free;
            self.free = self.blocks[at as usize].next;
            self.blocks[at as usize] = block;
            return at;
        }
        if self.blocks.len() == self.blocks.capacity() {
            // Not twice as many: memory counts.
            self.blocks.reserve_exact(self.blocks.len() / 8 + 16);
        }
        self.blocks.push(block);
        self.blocks.len() as u32 - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, VecDeque};

    proptest! {
        #[test]
        fn they_hold_what_simple_ones_would(steps in prop::collection::vec((0u8..4, 0u32..6, 0u32..40), 1..300)) {
            let mut lists = Lists::new(5);
            let (mut minutes, mut queue) = (BTreeMap::<u32, Vec<u32>>::new(), VecDeque::new());
            for (id, (what, minute, count)) in steps.into_iter().enumerate() {
                let id = id as u32;
                let mut ids = Vec::new();
                match what {
                    0 => {
                        lists.schedule(id, minute);
                        minutes.entry(minute).or_default().push(id);
                    }
                    1 => lists.schedule(id, 6 + minute),
                    2 => {
                        for id in id * 100..id * 100 + count {
                            lists.wait(id);
                            queue.push_back(id);
                        }
                        lists.serve(count / 2, &mut ids);
                        let wanted: Vec<u32> = queue.drain(..(count as usize / 2).min(queue.len())).collect();
                        prop_assert_eq!(ids, wanted);
                    }
                    _ => {
                        lists.take(minute, &mut ids);
                        ids.sort_unstable();
                        prop_assert_eq!(ids, minutes.remove(&minute).unwrap_or_default());
                    }
                }
                prop_assert_eq!(lists.pending() as usize, minutes.values().map(Vec::len).sum::<usize>());
            }
            let mut rest = Vec::new();
            lists.serve(u32::MAX, &mut rest);
            prop_assert_eq!(rest, Vec::from(queue));
        }
    }
}
