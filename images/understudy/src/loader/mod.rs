//! The loader: which drivers and services the SYSTEM hive names, in which order, and whether the
//! files it needs before the kernel runs are there.

mod filters;
mod order;
mod service;

pub use filters::{Filter, filters};
pub use order::{SafeMode, StartPlan, plan};
pub use service::{ErrorControl, FailureAction, FailureActions, Service, image_file};
