//! Which system is on the disk.

use serde::{Deserialize, Serialize};

use crate::Known;
use crate::opened_disk::{OpenedDisk, Registry};

/// The installed system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct System {
    /// The partition that it is on.
    pub partition: Known<u32>,
    /// Its folder on that partition: `Windows`, `WINNT` or `ReactOS`.
    pub folder: Known<String>,
    /// `ProductName`. Windows 11 still says "Windows 10" here.
    pub product: Known<String>,
    /// `EditionID`, such as `Professional`.
    pub edition: Known<String>,
    /// `InstallationType`, such as `Client`.
    pub installation: Known<String>,
    /// `CurrentBuild` and `UBR`.
    pub build: Known<Build>,
    /// `DisplayVersion`, or `ReleaseId` before it: `24H2`.
    pub version: Known<String>,
    /// Instruction set: `x86-64`, `x86`, `arm64`.
    pub architecture: Known<String>,
    /// `InstallDate`.
    pub installed: Known<jiff::Timestamp>,
    /// `ComputerName`.
    pub computer: Known<String>,
    /// Whether it is an evaluation edition, and when it ends.
    pub licence: Known<Licence>,
}

/// A build number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Build {
    /// The build: 26100.
    pub number: u32,
    /// The update revision: 4770. Windows before 8.1 has none.
    pub revision: Option<u32>,
}

impl std::fmt::Display for Build {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.revision {
            Some(revision) => write!(f, "{}.{revision}", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

/// What the licence allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Licence {
    /// An evaluation edition, by its name.
    pub evaluation: bool,
    /// When it ends: for an evaluation only.
    pub expires: Known<jiff::Timestamp>,
}

/// The control sets of the SYSTEM hive (windows-facts.md 4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ControlSets {
    /// Those that are there.
    pub sets: Vec<String>,
    /// `Select\Current`.
    pub current: Known<u32>,
    /// `Select\Default`.
    pub default: Known<u32>,
    /// `Select\Failed`.
    pub failed: Known<u32>,
    /// `Select\LastKnownGood`.
    pub last_known_good: Known<u32>,
}

/// Windows' version of NT, for what it does not say about itself.
const VERSION: &str = r"Microsoft\Windows NT\CurrentVersion";

/// Reads which system it is.
pub(crate) fn read(opened: &mut OpenedDisk<'_>) -> System {
    let place = opened.place.as_ref();
    let partition = place.clone().map(|(number, _)| *number);
    let folder = place.map(|(_, folder)| folder.clone());
    let architecture = architecture(opened);
    let computer = opened
        .control()
        .and_then(|control| control.string(r"Control\ComputerName\ComputerName", "ComputerName"));
    let version = |take: &dyn Fn(Registry<'_>) -> Known<String>| {
        opened.software.as_ref().and_then(|hive| take(Registry { hive, key: VERSION }))
    };
    let text = |name: &'static str| version(&|key| key.string("", name));
    let edition = text("EditionID");
    let product = text("ProductName");
    let build = opened.software.as_ref().and_then(|hive| build(Registry { hive, key: VERSION }));
    let installed = opened
        .software
        .as_ref()
        .and_then(|hive| Registry { hive, key: VERSION }.dword("", "InstallDate"))
        .and_then(|seconds| Known::read(jiff::Timestamp::from_second(seconds.into()).map(Some)));
    let licence = licence(&edition, &product);
    System {
        partition,
        folder,
        product,
        edition,
        installation: text("InstallationType"),
        build,
        version: match text("DisplayVersion") {
            Known::Absent => text("ReleaseId"),
            version => version,
        },
        architecture,
        installed,
        computer,
        licence,
    }
}

/// `CurrentBuild` is right since Windows Vista. Before, it holds "1.511.1 () (Obsolete data - do not use)", and the
/// build is in `CurrentBuildNumber`.
fn build(version: Registry<'_>) -> Known<Build> {
    let number = |name: &str| {
        version.string("", name).and_then(|text| match text.trim().parse::<u32>() {
            Ok(number) => Known::Known(number),
            Err(_) => Known::Unknown(format!("`{name}` is '{text}', which is not a number")),
        })
    };
    let found = match (number("CurrentBuild"), number("CurrentBuildNumber")) {
        (Known::Known(number), _) | (_, Known::Known(number)) => Known::Known(number),
        (Known::Absent, other) | (other, _) => other,
    };
    let revision = version.dword("", "UBR").known().copied();
    found.map(|number| Build { number, revision })
}

/// Evaluation editions say so in their names (`ServerStandardEval`, `EnterpriseEval`; "Evaluation" in
/// the product's name). When one ends is kept in the activation store, which is not documented and not
/// read.
fn licence(edition: &Known<String>, product: &Known<String>) -> Known<Licence> {
    let is = |text: &Known<String>, sign: &str| {
        text.known().is_some_and(|text| text.to_ascii_lowercase().contains(sign))
    };
    match (edition, product) {
        (Known::Known(_), _) | (_, Known::Known(_)) => {
            let evaluation = edition
                .known()
                .is_some_and(|edition| edition.to_ascii_lowercase().ends_with("eval"))
                || is(product, "evaluation");
            let expires = if evaluation {
                Known::Unknown("the activation store is not read".to_owned())
            } else {
                Known::Absent
            };
            Known::Known(Licence { evaluation, expires })
        }
        (Known::Unknown(reason), _) | (_, Known::Unknown(reason)) => Known::Unknown(reason.clone()),
        (Known::Absent, Known::Absent) => Known::Absent,
    }
}

/// What the registry says that programs are told; else the kernel's own file.
fn architecture(opened: &mut OpenedDisk<'_>) -> Known<String> {
    const ENVIRONMENT: &str = r"Control\Session Manager\Environment";
    let told =
        opened.control().and_then(|control| control.string(ENVIRONMENT, "PROCESSOR_ARCHITECTURE"));
    if let Known::Known(name) = told {
        return Known::Known(match name.to_ascii_uppercase().as_str() {
            "AMD64" => "x86-64".to_owned(),
            "X86" => "x86".to_owned(),
            "ARM64" => "arm64".to_owned(),
            _ => name,
        });
    }
    opened.windows().and_then(|(volume, root)| {
        crate::program::read(volume, &format!(r"{root}\System32\ntoskrnl.exe"))
            .map(|image| image.architecture)
    })
}

/// Reads `Select` and which sets there are.
pub(crate) fn control_sets(opened: &OpenedDisk<'_>) -> Known<ControlSets> {
    opened.system.as_ref().and_then(|hive| {
        let select = Registry { hive, key: "Select" };
        let names = hive.root().and_then(|root| root.subkey_names());
        let names = match names {
            Ok(names) => names,
            Err(error) => return Known::Unknown(error.to_string()),
        };
        let is_set = |name: &String| {
            let digits = name.get(10..).unwrap_or_default();
            name.get(..10).is_some_and(|head| head.eq_ignore_ascii_case("ControlSet"))
                && digits.len() == 3
                && digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        Known::Known(ControlSets {
            sets: names.into_iter().filter(is_set).collect(),
            current: select.dword("", "Current"),
            default: select.dword("", "Default"),
            failed: select.dword("", "Failed"),
            last_known_good: select.dword("", "LastKnownGood"),
        })
    })
}
