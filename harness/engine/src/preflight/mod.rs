//! What is decided and refused before there is a machine.

mod driver_signatures;
mod image_checks;
mod plan;
mod prepared;
mod trust;

pub(crate) use plan::phase_of;
pub use plan::{Plan, PlanInputs};
pub(crate) use prepared::{Prepared, prepare};
