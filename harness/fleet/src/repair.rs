//! How broken machines of a shard come back: the layers, one after the other, and the help desk.

use words::Touch;

use crate::machine::{ENCRYPTED, State};
use crate::model::Needs;
use crate::orders::Orders;
use crate::shard::Shard;

impl Shard<'_> {
    /// Tries the first layer from this one on that the machine has; where it has none, somebody calls for help.
    pub(crate) fn climb(&mut self, id: u32, from: usize, now: u32) {
        let setup = self.setup;
        for (at, layer) in setup.layers.iter().enumerate().skip(from) {
            let class = self.machines[id as usize].class as usize;
            if layer.classes[class] && self.dice.happens(layer.available) {
                let machine = &mut self.machines[id as usize];
                machine.layer = at as u8;
                machine.tries = 0;
                self.begin_try(id, now, 0);
                return;
            }
        }
        match &setup.desk {
            Some(desk) => {
                let after = desk.called_after.minutes(&mut self.dice).max(1);
                self.schedule(id, State::Calling, now + after);
            }
            None => self.machines[id as usize].state = State::Stranded,
        }
    }

    fn begin_try(&mut self, id: u32, now: u32, wait: u32) {
        let setup = self.setup;
        let layer = &setup.layers[self.machines[id as usize].layer as usize];
        self.touch(layer.touch);
        let takes = layer.takes.minutes(&mut self.dice).max(1);
        self.schedule(id, State::Trying, now + wait + takes);
    }

    pub(crate) fn end_of_try(&mut self, id: u32, orders: &Orders) {
        let at = self.machines[id as usize].layer as usize;
        let is_there = match self.setup.layers[at].needs {
            Needs::Nothing => true,
            Needs::GoodContent => orders.good,
            Needs::Remediation => {
                self.machines[id as usize].state = State::Seeking;
                self.seeking.push(id);
                return;
            }
        };
        if is_there && self.layer_helps(id) {
            self.recover(id, at, orders);
        } else {
            self.try_failed(id, orders.minute, 0);
        }
    }

    pub(crate) fn layer_helps(&mut self, id: u32) -> bool {
        let machine = &self.machines[id as usize];
        let layer = &self.setup.layers[machine.layer as usize];
        let chance = if machine.is(ENCRYPTED) { layer.helps_encrypted } else { layer.helps };
        self.dice.happens(chance)
    }

    pub(crate) fn try_failed(&mut self, id: u32, now: u32, wait: u32) {
        let machine = &mut self.machines[id as usize];
        let at = machine.layer as usize;
        machine.tries = machine.tries.saturating_add(1);
        if machine.tries < self.setup.layers[at].tries {
            self.begin_try(id, now, wait);
        } else {
            self.climb(id, at + 1, now);
        }
    }

    /// The machine is back, by a layer or, with the number after the last one, by hands.
    pub(crate) fn recover(&mut self, id: u32, by: usize, orders: &Orders) {
        let now = orders.minute;
        let machine = &self.machines[id as usize];
        // Hands are done at the end of the minute: see `give_hands`.
        let until = if by == self.setup.layers.len() { now + 1 } else { now };
        let lost = self.setup.minutes_on(machine, machine.since, until);
        self.totals.lost_minutes += u64::from(lost);
        self.totals.recovered[by] += 1;
        self.report.recovered += 1;
        // Now it can say what happened to it.
        self.report_crash(id, now);
        self.machines[id as usize].tries = 0;
        // What broke it may still be given out.
        if orders.offering {
            self.ask_from(id, now + 1);
        } else {
            self.machines[id as usize].state = State::Resting;
        }
    }

    pub(crate) fn touch(&mut self, touch: Touch) {
        match touch {
            Touch::None => {}
            Touch::Remote => self.totals.touches[0] += 1,
            Touch::Console => self.totals.touches[1] += 1,
            Touch::Host => self.totals.touches[2] += 1,
        }
    }

    pub(crate) fn give_hands(&mut self, hands: u32, now: u32) {
        let setup = self.setup;
        let Some(desk) = &setup.desk else { return };
        let mut ids = std::mem::take(&mut self.now);
        self.lists.serve(hands, &mut ids);
        for id in ids.iter().copied() {
            let more =
                if self.machines[id as usize].is(ENCRYPTED) { desk.encrypted_more } else { 0 };
            // They are lent again at the beginning of the minute after the one in which they are done, so the last
            // minute of a repair is that one; else each would take a minute longer than it does.
            let takes = desk.takes.minutes(&mut self.dice) + more;
            self.schedule(id, State::InRepair, now + takes.saturating_sub(1).max(1));
        }
        ids.clear();
        self.now = ids;
    }
}
