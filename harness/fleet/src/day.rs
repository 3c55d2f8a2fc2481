//! When a machine is switched on.
//!
//! Each machine has a level, 0 to 255: it is on in an hour if its level is below the share that is on then. So the
//! machines that are on at the quietest hour are the same ones each night, a machine is on at the same hours each
//! day, and nothing has to be stored or scheduled for switching on and off.

use crate::model::Class;

/// Hours of a week.
const WEEK: usize = 168;
/// Minutes of a week.
pub(crate) const WEEK_MINUTES: u32 = 10_080;
/// Levels.
const LEVELS: usize = 256;
/// Never on.
const NEVER: u8 = u8::MAX;

/// When the machines of a class are on, by level and hour of the week, which begins on Monday.
#[derive(Debug)]
pub(crate) struct Days {
    /// Hours until it is on; 0 if it is.
    until_on: Vec<[u8; WEEK]>,
    /// Hours of the week that it was on before this one.
    on_before: Vec<[u8; WEEK + 1]>,
    /// Share that is on.
    on: [f64; WEEK],
}

impl Days {
    pub(crate) fn new(class: &Class) -> Self {
        let always = vec![1.0; 24];
        let working = class.on.as_ref().unwrap_or(&always);
        let weekend = class.on_weekend.as_ref().unwrap_or(working);
        let mut on = [1.0; WEEK];
        for (hour, share) in on.iter_mut().enumerate() {
            let day = if hour / 24 < 5 { working } else { weekend };
            *share = day.get(hour % 24).copied().unwrap_or(1.0);
        }
        let mut days = Self {
            until_on: vec![[NEVER; WEEK]; LEVELS],
            on_before: vec![[0; WEEK + 1]; LEVELS],
            on,
        };
        for level in 0..LEVELS {
            let is_on = |hour: usize| (level as f64 + 0.5) / (LEVELS as f64) < on[hour % WEEK];
            for hour in 0..WEEK {
                let hours = (0..WEEK).find(|ahead| is_on(hour + ahead));
                days.until_on[level][hour] = hours.map_or(NEVER, |hours| hours as u8);
                days.on_before[level][hour + 1] =
                    days.on_before[level][hour] + u8::from(is_on(hour));
            }
        }
        days
    }

    /// The share that is on at a minute of the week.
    pub(crate) fn share_on(&self, minute: u32) -> f64 {
        self.on[(minute / 60) as usize % WEEK]
    }

    /// Whether a machine of this level is on at a minute of the week.
    #[cfg(test)]
    fn is_on(&self, level: u8, minute: u32) -> bool {
        self.until_on[level as usize][(minute / 60) as usize % WEEK] == 0
    }

    /// Minutes from a minute of the week until it is on, 0 if it is; nothing if it never is.
    pub(crate) fn until_on(&self, level: u8, minute: u32) -> Option<u32> {
        let minute = minute % WEEK_MINUTES;
        match self.until_on[level as usize][(minute / 60) as usize] {
            0 => Some(0),
            NEVER => None,
            hours => Some(u32::from(hours) * 60 - minute % 60),
        }
    }

    /// Minutes that it is on from a minute of the week, for so many minutes.
    pub(crate) fn minutes_on(&self, level: u8, from: u32, length: u32) -> u32 {
        let on_before = &self.on_before[level as usize];
        let until = |minute: u32| {
            let (weeks, minute) = (minute / WEEK_MINUTES, minute % WEEK_MINUTES);
            let hour = (minute / 60) as usize;
            let this = if self.until_on[level as usize][hour] == 0 { minute % 60 } else { 0 };
            weeks * u32::from(on_before[WEEK]) * 60 + u32::from(on_before[hour]) * 60 + this
        };
        let from = from % WEEK_MINUTES;
        until(from + length) - until(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::preset;
    use proptest::prelude::*;

    fn office() -> Days {
        let rollout = preset("july-2024").unwrap();
        Days::new(rollout.class.iter().find(|class| class.on.is_some()).unwrap())
    }

    proptest! {
        #[test]
        fn minutes_on_are_those_that_are_on_one_by_one(level in any::<u8>(), from in 0u32..20_000, length in 0u32..25_000) {
            let days = office();
            let counted = (from..from + length).filter(|minute| days.is_on(level, *minute)).count();
            prop_assert_eq!(days.minutes_on(level, from, length) as usize, counted);
        }

        #[test]
        fn it_is_on_when_it_is_said_to_be_and_not_before(level in any::<u8>(), from in 0u32..20_000) {
            let days = office();
            if let Some(wait) = days.until_on(level, from) {
                prop_assert!(days.is_on(level, from + wait));
                prop_assert!(wait == 0 || !days.is_on(level, from + wait - 1));
            } else {
                prop_assert!((0..WEEK_MINUTES).all(|minute| !days.is_on(level, minute)));
            }
        }
    }

    #[test]
    fn as_many_are_on_as_the_profile_says() {
        let days = office();
        for hour in 0..WEEK as u32 {
            let on = (0..=255).filter(|level| days.is_on(*level, hour * 60)).count();
            assert!((on as f64 / 256.0 - days.share_on(hour * 60)).abs() < 0.005);
        }
    }
}
