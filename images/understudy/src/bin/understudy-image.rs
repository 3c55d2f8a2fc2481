//! Builds the understudy's image bundle.

use std::path::PathBuf;

use clap::Parser;

/// Builds the understudy's image bundle: disk, firmware variables, machine profile.
#[derive(Debug, Parser)]
struct Arguments {
    /// Directory of the bundle.
    #[arg(long)]
    out: PathBuf,
    /// The guest's program; built with cargo if it is not given.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Debian's cloud kernel package; fetched with apt if it is not given.
    #[arg(long)]
    kernel_package: Option<PathBuf>,
    /// Where fetched packages are kept.
    #[arg(long, default_value = "target/understudy-kernel")]
    cache: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let built = understudy::recipe::build(&understudy::recipe::Inputs {
        program: arguments.program,
        kernel_package: arguments.kernel_package,
        cache: arguments.cache,
        out: arguments.out,
    })?;
    println!("{}", serde_json::to_string_pretty(&built)?);
    Ok(())
}
