//! The loader: which drivers and services the SYSTEM hive names, in which order, and whether the
//! files it needs before the kernel runs are there.

mod order;
mod service;

pub use order::{SafeMode, StartPlan, plan};
pub use service::{ErrorControl, Service, image_file};
