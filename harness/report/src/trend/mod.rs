//! Kept runs by date: what became of a scenario from day to day, since when, and how long it took.

mod pages;
mod series;

pub use pages::{render_trend, trend_page};
pub use series::{DayOfRuns, KeptRun, PointInTime, Series, Trend};
