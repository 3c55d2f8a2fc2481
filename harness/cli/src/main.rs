//! The `loopbreak` command.
fn main() {}
