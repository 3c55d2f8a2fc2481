//! `loopbreak driver inspect`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use disk::Store;
use engine::StateDir;
use faults::inf::{Inf, Target, installation};
use inspect::Known;
use inspect::executable::Executable;
use scenario::Arch;
use serde::Serialize;
use winfmt::escaped;
use winfmt::imports::Imports;

use crate::args::Global;
use crate::exit::{Exit, usage};
use crate::output::{print, print_json};

/// Version of the JSON document.
const FORMAT: u32 = 1;
/// A driver or an INF that is larger is none.
const LARGEST: u64 = 64 << 20;
/// How many functions of a module are named for people.
const NAMED: usize = 8;

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A driver, an INF, or a folder with them
    #[arg(value_name = "FILE.sys|FILE.inf|DIR")]
    path: PathBuf,
    /// Say whether this image takes the drivers
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    format: u32,
    drivers: Vec<Driver>,
    packages: Vec<Package>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Driver {
    file: String,
    /// What it is, or why it is no driver.
    #[serde(flatten)]
    what: What,
    /// What it needs, by module.
    imports: BTreeMap<String, Vec<String>>,
    /// Why its imports cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    imports_unreadable: Option<String>,
    /// A catalog lies beside it, which may have its signature.
    catalog_beside: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_image: Option<OnImage>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Executable(Box<Executable>),
    Unreadable(String),
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct OnImage {
    image: String,
    taken: bool,
    against: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    file: String,
    services: Vec<String>,
    /// Where each file goes, below `C:\`.
    files: BTreeMap<String, String>,
    /// Registry values: hive, key and name.
    values: Vec<String>,
    /// Why it cannot be installed offline.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

pub(super) fn run(global: &Global, args: &InspectArgs) -> anyhow::Result<Exit> {
    let image = match &args.image {
        None => None,
        Some(name) => {
            let state = StateDir::open(global.state.as_deref()).map_err(usage)?;
            let store = Store::open(state.root()).map_err(usage)?;
            Some((name, store.image(name).map_err(usage)?))
        }
    };
    let mut report = Report { format: FORMAT, drivers: Vec::new(), packages: Vec::new() };
    for path in files(&args.path)? {
        let bytes = read(&path)?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if ends(&path, "inf") {
            report.packages.push(package(file, &bytes));
            continue;
        }
        let mut driver = driver(file, &path, &bytes);
        if let Some((name, image)) = &image {
            let catalog = driver.catalog_beside;
            let against = engine::what_speaks_against(image, &driver.file, &bytes, catalog);
            let against = against.map_err(usage)?;
            let taken = against.is_empty();
            driver.on_image = Some(OnImage { image: (*name).clone(), taken, against });
        }
        report.drivers.push(driver);
    }
    if args.json {
        print_json(&(serde_json::to_string_pretty(&report)? + "\n"))?;
    } else {
        print(&for_people(&report))?;
    }
    let refused =
        report.drivers.iter().any(|own| own.on_image.as_ref().is_some_and(|on| !on.taken));
    Ok(if refused { Exit::Usage } else { Exit::AsExpected })
}

fn ends(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|own| own.eq_ignore_ascii_case(ending))
}

/// The file, or the drivers and INFs of a folder, by name.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs_err::read_dir(path).map_err(usage)?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(usage)?.path();
        if path.is_file() && (ends(&path, "sys") || ends(&path, "inf")) {
            files.push(path);
        }
    }
    if files.is_empty() {
        let folder = path.display();
        return Err(usage(anyhow::anyhow!("{folder} has no `.sys` and no `.inf`; name a file")));
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let size = fs_err::metadata(path).map_err(usage)?.len();
    if size > LARGEST {
        let file = path.display();
        return Err(usage(anyhow::anyhow!("{file} has {size} bytes: no driver is so large")));
    }
    fs_err::read(path).map_err(usage)
}

fn driver(file: String, path: &Path, bytes: &[u8]) -> Driver {
    let (imports, imports_unreadable) = match Imports::read(bytes) {
        Ok(imports) => (imports.modules, None),
        Err(error) => (BTreeMap::new(), Some(error.to_string())),
    };
    let imports = imports
        .into_iter()
        .map(|(module, needed)| (module, needed.iter().map(ToString::to_string).collect()))
        .collect();
    let beside = path.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    let catalog_beside = beside.is_some_and(|mut entries| {
        entries.any(|own| own.is_ok_and(|own| ends(&own.path(), "cat")))
    });
    let what = match Executable::read(bytes) {
        Ok(executable) => What::Executable(Box::new(executable)),
        Err(error) => What::Unreadable(error.to_string()),
    };
    Driver { file, what, imports, imports_unreadable, catalog_beside, on_image: None }
}

fn package(file: String, bytes: &[u8]) -> Package {
    let target = Target { arch: Arch::X86_64, build: None };
    let installed = Inf::parse(&file, bytes).and_then(|inf| installation(&inf, None, target));
    let mut package = Package {
        file,
        services: Vec::new(),
        files: BTreeMap::new(),
        values: Vec::new(),
        refused: None,
    };
    match installed {
        Err(error) => package.refused = Some(error.to_string()),
        Ok(installed) => {
            package.services = installed.services;
            package.files = installed.files.into_iter().collect();
            package.values = installed
                .values
                .into_iter()
                .map(|(hive, key, name, _, _)| format!("{hive}\\{key}: {name}"))
                .collect();
        }
    }
    package
}

fn for_people(report: &Report) -> String {
    let mut text = String::new();
    for driver in &report.drivers {
        text += &format!("{}\n", escaped(&driver.file));
        match &driver.what {
            What::Unreadable(why) => text += &format!("  {why}\n"),
            What::Executable(own) => text += &executable(own, driver.catalog_beside),
        }
        for (module, functions) in &driver.imports {
            let named: Vec<String> =
                functions.iter().take(NAMED).map(|own| escaped(own).to_string()).collect();
            let more = functions.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            text += &format!("  needs {}: {}{more}\n", escaped(module), named.join(", "));
        }
        if let Some(why) = &driver.imports_unreadable {
            text += &format!("  what it needs is not known: {why}\n");
        }
        match &driver.on_image {
            Some(on) if on.taken => {
                text += &format!("  nothing speaks against it on image {}\n", escaped(&on.image));
            }
            Some(on) => {
                text += &format!("  image {} does not take it:\n", escaped(&on.image));
                for reason in &on.against {
                    text += &format!("    {}\n", escaped(reason));
                }
            }
            None => {}
        }
    }
    for package in &report.packages {
        text += &format!("{}\n", escaped(&package.file));
        if let Some(why) = &package.refused {
            text += &format!("  cannot be installed offline: {}\n", escaped(why));
            continue;
        }
        for (from, to) in &package.files {
            text += &format!("  copies {} to C:\\{}\n", escaped(from), escaped(to));
        }
        for service in &package.services {
            text += &format!("  adds the service {}\n", escaped(service));
        }
        for value in &package.values {
            text += &format!("  sets {}\n", escaped(value));
        }
    }
    text
}

fn executable(own: &Executable, catalog: bool) -> String {
    let kind = if own.native { "a driver" } else { "no driver: its subsystem is not native" };
    let version = own.version.known().map_or_else(
        || "no version".to_owned(),
        |version| format!("version {}", escaped(&version.file)),
    );
    let checksum = if own.checksum.right { "checksum right" } else { "checksum wrong" };
    let mut text = format!("  {kind}, {}, {version}, {checksum}\n", own.machine);
    match &own.signature {
        Known::Unknown(why) => text += &format!("  its signature cannot be read: {why}\n"),
        Known::Absent if catalog => {
            text += "  no signature in it; a catalog lies beside it, which may have one\n";
        }
        Known::Absent => text += "  nobody signed it\n",
        Known::Known(signature) => {
            let who = |name: &Option<String>| {
                name.as_deref()
                    .map_or_else(|| "nobody named".to_owned(), |name| escaped(name).to_string())
            };
            text += &format!(
                "  says to be signed by {}, for whom {} vouches ({})\n",
                who(&signature.signer),
                who(&signature.issuer),
                escaped(&signature.digest_algorithm)
            );
            text += match signature.digest_matches {
                Some(true) => "  it has the digest that was signed\n",
                Some(false) => {
                    "  it was changed after it was signed: Windows does not believe it\n"
                }
                None => "  whether it has the digest that was signed is not known\n",
            };
            text += "  whether Windows trusts that signer is not decided here\n";
        }
    }
    text
}
