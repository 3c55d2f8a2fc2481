//! Fleets: what a rollout does to millions of machines, played as a simulation.
//!
//! A real run shows what becomes of one machine. How many machines are lost before anybody stops a bad update depends
//! on more: rings, waits, how late signals come, when people switch their machines on, how much the update service
//! and the help desk bear. A [`Rollout`] file says all of that; `loopbreak fleet` comes in through [`load`] and
//! [`simulate`].
//!
//! 1. `load` reads the file, with the place of everything that is wrong (`place`, `rules`); each number of it is an
//!    assumption that the user can change, and [`assumptions`] lists them with their sources.
//! 2. `layout` divides the machines among shards, each with its own random numbers. The number of shards depends on
//!    the number of machines only, so the result is the same for any number of threads.
//! 3. Time goes in minutes. In a minute each `shard` plays its machines by itself; at the end of the minute the
//!    `world` takes the counts of all of them, decides what they share (which request is answered, who gets a pair of
//!    hands, what the signals say, whether the rollout is stopped), and the next minute begins.
//! 4. [`Outcome`] says what was lost; [`render_outcomes`] shows it. [`recommend`] plays many plans and finds those
//!    that nobody beats in both speed and loss; [`page`] draws them.
//!
//! [`predict`] says how far chance alone makes outcomes differ; [`fit`] makes distributions of what real runs were measured to take.
//!
//! [`play`] plays the same rollout with what became of real machines, which its caller runs: the world is the same one.
//!
//! All of it is pure: files and terminals are the caller's. It is a simulation: [`LIMITS`] says what it does not show.

mod apportion;
mod assumptions;
mod chance;
mod day;
mod distribution;
mod fit;
mod layout;
mod lists;
mod load;
mod machine;
mod model;
mod orders;
mod outcome;
mod page;
mod place;
mod predict;
mod real;
mod recommend;
mod repair;
mod rules;
mod service;
mod shard;
mod simulate;
mod text;
mod world;

pub use assumptions::{Assumption, assumptions};
pub use chance::{Interval, StopTest, binomial_interval, binomial_lower};
pub use distribution::{Between, Distribution, Lognormal, Mean, Sampler};
pub use fit::{Fit, FitError, fit};
pub use load::{PRESETS, Preset, load, preset, schema_text};
pub use model::*;
pub use outcome::{Alarm, Milestones, OUTCOME_FORMAT, Observed, Outcome, RingOutcome, Touches};
pub use page::page;
pub use place::{Problem, RolloutError};
pub use predict::{Prediction, predict};
pub use real::*;
pub use recommend::{Candidate, Recommendation, recommend};
pub use simulate::{Choice, Played, simulate};
pub use text::{render_assumptions, render_outcomes, render_predictions, render_recommendation};

/// What the simulation does not show. Every text and page says it.
pub const LIMITS: &str = "\
This is a simulation. Its figures are as good as the assumptions in the table, each of which can be changed. It does \
not show: what a real update does to a real Windows; faults that depend on each other (one site without power, one \
administrator for many machines); networks between machine and service other than the service's own limits; people \
who act otherwise than the file says. Durations taken from runs on the understudy are a model's, not those of Windows.";
