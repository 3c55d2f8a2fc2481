//! PID 1 of the understudy.
fn main() {}
