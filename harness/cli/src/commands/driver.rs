//! `loopbreak driver`.

mod inspect;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use engine::StateDir;
use faults::driver::{DriverError, DriverKind, FaultyDriverOptions, build, parse_version};
use faults::signing::{Authority, Signing, sign};
use scenario::{Arch, Defect, DriverSignature, Fault};

use crate::args::Global;
use crate::exit::{Exit, usage};
use crate::output::print;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum DriverCommand {
    /// Build a driver with one thing wrong with it
    ///
    /// It is a real PE image, and no compiler is needed. `loopbreak fault list` shows the defects.
    Build(BuildArgs),
    /// Say what a driver is, what its package does, and whether an image takes it
    ///
    /// Ends with exit code 2 where the image does not take a driver.
    Inspect(inspect::InspectArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// The defect, or `content-driver`
    ///
    /// `loopbreak fault list` lists the defects.
    #[arg(long, value_name = "KIND", default_value = "content-driver")]
    fault: String,
    /// The driver's file name
    #[arg(long, value_name = "NAME", default_value = "csagent.sys")]
    name: String,
    /// The processor architecture, x86_64 or x86
    #[arg(long, value_name = "ARCH", default_value = "x86_64", hide_possible_values = true)]
    arch: ArchArg,
    /// Who signs it, for example trusted or expired
    ///
    /// One of: none; trusted, the test authority of the state directory; untrusted, an authority that nothing
    /// trusts; expired, the test authority with a certificate that has expired; wrong-digest, the test authority, but
    /// the file is changed afterwards.
    #[arg(long, value_name = "HOW", default_value = "none", hide_possible_values = true)]
    sign: SignArg,
    /// A key of the defect; may be repeated
    ///
    /// Written as in a scenario, for example 'code = 0xEF'.
    #[arg(long, value_name = "KEY = VALUE")]
    parameter: Vec<String>,
    /// A key of the driver; may be repeated
    ///
    /// Written as in a scenario, for example 'trigger = { thread = { seconds = 5 } }'.
    #[arg(long, value_name = "KEY = VALUE")]
    with: Vec<String>,
    /// Build the inert control: the same driver without its defect
    #[arg(long)]
    inert: bool,
    /// Where to write it
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ArchArg {
    /// 64 bits
    #[value(name = "x86_64")]
    X86_64,
    /// 32 bits
    #[value(name = "x86")]
    X86,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SignArg {
    /// Nobody
    None,
    /// The test authority
    Trusted,
    /// An authority that nothing trusts
    Untrusted,
    /// The test authority, with a certificate that has expired
    Expired,
    /// The test authority, but the file is changed afterwards
    WrongDigest,
}

impl From<SignArg> for DriverSignature {
    fn from(arg: SignArg) -> Self {
        match arg {
            SignArg::None => Self::None,
            SignArg::Trusted => Self::Trusted,
            SignArg::Untrusted => Self::Untrusted,
            SignArg::Expired => Self::Expired,
            SignArg::WrongDigest => Self::WrongDigest,
        }
    }
}

pub(crate) fn run(global: &Global, command: &DriverCommand) -> anyhow::Result<Exit> {
    let args = match command {
        DriverCommand::Build(args) => args,
        DriverCommand::Inspect(args) => return inspect::run(global, args),
    };
    let mut bytes = build(&kind(args)?).map_err(usage)?;
    let mut signed = "unsigned".to_owned();
    if let Some(signing) = Signing::of(args.sign.into()) {
        let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
        let folder = state.driver_authority();
        let authority = Authority::open(&folder).map_err(usage)?;
        bytes = sign(&bytes, &authority, signing).map_err(usage)?;
        let word = args.sign.to_possible_value().map(|value| value.get_name().to_owned());
        signed =
            format!("signed ({}), authority in {}", word.unwrap_or_default(), folder.display());
    }
    write(&args.output, &bytes)?;
    print(&format!("{}: {} bytes, {signed}\n", args.output.display(), bytes.len()))?;
    Ok(Exit::AsExpected)
}

/// Beside, then renamed: there is never half a driver.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let in_file = |error: std::io::Error| usage(anyhow::anyhow!("{}: {error}", path.display()));
    let mut file =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(in_file)?;
    file.write_all(bytes).map_err(in_file)?;
    file.persist(path).map_err(|error| in_file(error.error))?;
    Ok(())
}

fn kind(args: &BuildArgs) -> anyhow::Result<DriverKind> {
    let mut kind = DriverKind::named(&args.fault).map_err(usage)?;
    match &mut kind {
        DriverKind::ContentDriver(options) => {
            if args.arch != ArchArg::X86_64 || !args.parameter.is_empty() || !args.with.is_empty() {
                return Err(usage(anyhow::anyhow!(
                    "the content driver is made for x86_64 and takes no parameters; leave them out"
                )));
            }
            args.name.clone_into(&mut options.file_name);
        }
        DriverKind::Faulty(options) => *options = faulty(args, &options.defect)?,
    }
    Ok(kind)
}

/// Reads the keys as a scenario's table, so that both say the same.
fn faulty(args: &BuildArgs, defect: &Defect) -> anyhow::Result<FaultyDriverOptions> {
    let named = serde_json::to_value(defect).context("a defect as JSON")?;
    let mut text = String::from("kind = \"driver\"\nname = \"driver\"\n");
    text += &format!("driver = {:?}\n", args.name);
    if named.is_string() {
        text += &format!("defect = {:?}\n", args.fault);
    }
    for line in &args.with {
        text += &format!("{line}\n");
    }
    if !named.is_string() {
        text += &format!("[defect.{}]\n", args.fault);
    } else if !args.parameter.is_empty() {
        return Err(usage(anyhow::anyhow!(
            "`{}` has no parameters; leave --parameter out",
            args.fault
        )));
    }
    for line in &args.parameter {
        text += &format!("{line}\n");
    }
    let read: Fault = toml::from_str(&text).map_err(|error| {
        let hint = "write it as in a scenario; `loopbreak scenario schema` shows the keys";
        usage(anyhow::anyhow!("--parameter or --with: {}; {hint}", error.message()))
    })?;
    let Fault::Driver(driver) = read else {
        return Err(usage(anyhow::anyhow!("--with: `kind` cannot be changed; leave it out")));
    };
    Ok(FaultyDriverOptions {
        file_name: driver.driver,
        version: parse_version(&driver.version).map_err(|error: DriverError| usage(error))?,
        arch: match args.arch {
            ArchArg::X86_64 => Arch::X86_64,
            ArchArg::X86 => Arch::X86,
        },
        defect: driver.defect,
        trigger: driver.trigger,
        only_on_boot: driver.only_on_boot,
        chance: driver.chance,
        inert: args.inert || driver.inert,
    })
}
