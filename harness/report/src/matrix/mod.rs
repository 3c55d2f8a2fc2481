//! The matrix: every incident against every layer alone. What saves a machine from what.
//!
//! [`Matrix`] is the table without anything that a faster host would change, so it can be a reference; what was
//! measured lies beside it ([`Measured`]).

mod changes;
mod pages;
mod table;

pub use pages::{matrix_markdown, matrix_page};
pub use table::{Cell, MATRIX_FORMAT, Matrix, MatrixError, Measured};
