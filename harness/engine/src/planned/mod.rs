//! What a run would do, said without doing it: `loopbreak plan run`.

mod describe;
mod document;

pub use describe::{PlanOptions, plan_run};
pub use document::{
    Done, ImageUsed, OfflineEdits, PLAN_FORMAT, ReferenceUsed, RunPlan, Rung, WhileItRuns,
};
