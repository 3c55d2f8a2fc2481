//! The process in which a guest's volumes are parsed. The harness starts it; see the crate `disk`.

use std::process::ExitCode;

fn main() -> ExitCode {
    disk::volumes_main()
}
