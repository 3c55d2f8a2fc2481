//! Faulty drivers as they are declared: what is wrong with them, when it happens, how they are
//! installed and signed. `faults` makes the files.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::driver_service::Service;
use crate::moment::Moment;

/// A real driver, made by this project, with one thing wrong with it, and the service that starts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FaultyDriver {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`: the guest agent's contract has no command that writes the registry.
    #[serde(default)]
    pub when: Moment,
    /// File name of the driver; it is put into `C:\Windows\System32\drivers`.
    pub driver: String,
    /// What is wrong with it.
    pub defect: Defect,
    /// When the defect acts.
    #[serde(default)]
    pub trigger: Trigger,
    /// Acts on this start of the driver only, counted from 1 in the value `Boots` of the service's
    /// `Parameters`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub only_on_boot: Option<u32>,
    /// Acts on some starts only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance: Option<Chance>,
    /// The processor that it is made for: that of the image.
    #[serde(default)]
    pub arch: Arch,
    /// Version in its version resource, four numbers with dots.
    #[serde(default = "default_version")]
    pub version: String,
    /// Its signature.
    #[serde(default)]
    pub signature: DriverSignature,
    /// How it is started.
    #[serde(default)]
    pub service: Service,
    /// The same driver, installed in the same way, without its defect. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

fn default_version() -> String {
    "7.11.0.0".to_owned()
}

/// A driver of yours: a `.sys` file beside the scenario, and the service that starts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DriverFile {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`: the guest agent's contract has no command that writes the registry.
    #[serde(default)]
    pub when: Moment,
    /// The file in the scenario's folder. It is put into `C:\Windows\System32\drivers` under its own
    /// name.
    pub file: String,
    /// How it is started.
    #[serde(default)]
    pub service: Service,
    /// An inert driver of this project in its place. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// A driver package: an INF and the files that it names, installed as its sections say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DriverPackage {
    /// Unique within the scenario.
    pub name: String,
    /// Only `staged`: the guest agent's contract has no command that writes the registry.
    #[serde(default)]
    pub when: Moment,
    /// The INF in the scenario's folder; the files that it copies lie beside it.
    pub inf: String,
    /// Its install section, without an ending such as `.NTamd64` [default: `DefaultInstall`, else the
    /// only one that there is].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The processor whose sections count: that of the image.
    #[serde(default)]
    pub arch: Arch,
    /// Inert drivers of this project in place of its `.sys` files. For comparison.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inert: bool,
}

/// An update: a folder beside the scenario, copied to the machine with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Update {
    /// Unique within the scenario.
    pub name: String,
    /// When it is copied. A file that is already there is replaced.
    #[serde(default)]
    pub when: Moment,
    /// The folder in the scenario's folder.
    pub folder: String,
    /// The folder on the machine that takes its content.
    pub to: words::WindowsPath,
}

/// What is wrong with a driver. The stop codes are those of Windows 10 and 11 (windows-facts 5.3, the
/// bug check reference).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Defect {
    /// Reads through a null pointer: stop 0x7E (0xC0000005).
    NullRead,
    /// Reads an address that nothing maps: stop 0x50.
    WildRead(WildAccess),
    /// Writes to an address that nothing maps: stop 0x50.
    WildWrite(WildAccess),
    /// Calls an address that nothing maps: stop 0x50.
    WildExecute(WildAccess),
    /// Touches an address that nothing maps while interrupts are held off: stop 0xD1, or 0xA where the
    /// kernel does it on the driver's behalf.
    RaisedIrql(RaisedIrql),
    /// Stops the system by a call.
    BugCheck(BugCheck),
    /// Divides by zero: stop 0x7E (0xC0000094).
    DivideError,
    /// Calls itself until its kernel stack is used up: stop 0x7F (8, double fault).
    StackExhaustion,
    /// Damages the kernel's memory pool: stop 0x19 or 0xC2.
    PoolCorruption(PoolCorruption),
    /// Two threads wait for each other: the start never goes on.
    Deadlock,
    /// Runs in circles for ever.
    EndlessLoop(EndlessLoop),
    /// Takes its time before it goes on.
    SlowStart(SlowStart),
    /// Reports that it could not start. What follows is the service's error control.
    FailureStatus(FailureStatus),
    /// Needs a function that is not there: it is not loaded (0xC0000263, or 0xC0000135 for a module).
    MissingImport(MissingImport),
    /// Is made for another processor: it is not loaded (0xC000007B).
    WrongMachine,
    /// Its checksum is wrong: a boot driver is not loaded (0xC0000221).
    BadChecksum,
    /// Was cut off in the middle: it is not loaded (0xC000007B).
    Truncated(Truncated),
    /// Is not there, only its service is (0xC0000034 or 0xC000000F).
    MissingFile,
}

/// An address to go astray with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WildAccess {
    /// The address [default: found by the driver itself, the first that nothing maps from 0xFFFF840500000074 on, that
    /// of the published crashes of 19 July 2024, or from 0xF0000074 on for x86].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Word>,
}

/// How memory is touched while interrupts are held off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RaisedIrql {
    /// What is done.
    #[serde(default)]
    pub access: Access,
    /// Who does it.
    #[serde(default)]
    pub by: AccessBy,
    /// The address [default: as for `wild-read`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Word>,
}

/// An access to memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// A read.
    #[default]
    Read,
    /// A write.
    Write,
    /// A call.
    Execute,
}

/// Whose code touches the memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessBy {
    /// The driver's own: stop 0xD1.
    #[default]
    Driver,
    /// The kernel's, which the driver called with a wrong pointer: stop 0xA. Always a read.
    Kernel,
}

/// A stop by a call of `KeBugCheckEx`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BugCheck {
    /// The stop code.
    #[serde(default = "default_bug_check")]
    pub code: u32,
    /// Its parameters, up to four; the others are zero.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Word>,
}

// MANUALLY_INITIATED_CRASH: the code that means just this.
fn default_bug_check() -> u32 {
    0xe2
}

impl Default for BugCheck {
    fn default() -> Self {
        Self { code: default_bug_check(), parameters: Vec::new() }
    }
}

/// How the pool is damaged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PoolCorruption {
    /// What is done.
    #[serde(default)]
    pub how: PoolDamage,
}

/// Ways to damage the pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PoolDamage {
    /// Writes over what lies in front of a block, then frees it: stop 0x19, or 0xC2.
    #[default]
    Header,
    /// Writes beyond the end of a block, then frees it and its neighbour: stop 0x19, at once or later.
    Overrun,
    /// Frees a block twice: stop 0xC2 (7, or 0x46).
    DoubleFree,
}

/// Where an endless loop runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct EndlessLoop {
    /// The level.
    #[serde(default)]
    pub irql: Irql,
}

/// The level at which code runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Irql {
    /// 0: other threads run, but the start waits for the driver.
    #[default]
    Passive,
    /// 2: nothing else runs on that processor; Windows may stop with 0x133 after some time.
    Dispatch,
}

/// A wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SlowStart {
    /// How long, in seconds.
    #[serde(default = "half_a_minute")]
    #[schemars(range(min = 1, max = 86400))]
    pub seconds: u32,
}

fn half_a_minute() -> u32 {
    30
}

impl Default for SlowStart {
    fn default() -> Self {
        Self { seconds: half_a_minute() }
    }
}

/// The status that a driver returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FailureStatus {
    /// An NTSTATUS that means failure (0x80000000 and above).
    #[serde(default = "unsuccessful")]
    #[schemars(range(min = 0x8000_0000_u32))]
    pub status: u32,
}

// STATUS_UNSUCCESSFUL.
fn unsuccessful() -> u32 {
    0xc000_0001
}

impl Default for FailureStatus {
    fn default() -> Self {
        Self { status: unsuccessful() }
    }
}

/// What a driver needs that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MissingImport {
    /// The module that it is to come from.
    #[serde(default = "kernel")]
    pub module: String,
    /// The function.
    #[serde(default = "no_function")]
    pub function: String,
}

fn kernel() -> String {
    "ntoskrnl.exe".to_owned()
}

fn no_function() -> String {
    "LoopbreakNoSuchFunction".to_owned()
}

impl Default for MissingImport {
    fn default() -> Self {
        Self { module: kernel(), function: no_function() }
    }
}

/// How much is left of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Truncated {
    /// In hundredths of its length.
    #[serde(default = "half")]
    #[schemars(range(min = 0, max = 99))]
    pub percent: u32,
}

fn half() -> u32 {
    50
}

impl Default for Truncated {
    fn default() -> Self {
        Self { percent: half() }
    }
}

/// When a defect acts. A defect of the file itself has no trigger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// While the driver starts, in `DriverEntry`.
    #[default]
    Entry,
    /// In a thread, this many seconds after the driver has started.
    Thread(Delay),
    /// In a timer's routine at raised IRQL, this many seconds after the driver has started.
    Timer(Delay),
    /// In a thread, this many seconds after the local security authority is up, which is when a session
    /// can begin: it waits for the event `\SECURITY\LSA_AUTHENTICATION_INITIALIZED`.
    Session(Delay),
}

/// Some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Delay {
    /// How many.
    #[schemars(range(min = 0, max = 86400))]
    pub seconds: u32,
}

/// A defect that acts on some starts. Which ones follows from the seed and the driver's own count of
/// its starts, so the same seed always gives the same sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Chance {
    /// How probable, in hundredths.
    #[schemars(range(min = 1, max = 99))]
    pub percent: u32,
    /// The seed.
    pub seed: u32,
}

impl Chance {
    pub(crate) fn set_seed(&mut self, seed: u64) {
        self.seed = u32::try_from(seed % (1 << 32)).unwrap_or_default();
    }
}

/// The processor that a driver is made for.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum Arch {
    /// 64 bits.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
    /// 32 bits.
    #[serde(rename = "x86")]
    X86,
}

/// Who signed a driver (Authenticode, SHA-256, in the file).
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum DriverSignature {
    /// Nobody. Windows loads it only where `nointegritychecks` is on.
    #[default]
    None,
    /// A certificate of the test authority, whose root is put into the machine's stores. Windows takes
    /// it where `testsigning` is on.
    Trusted,
    /// A certificate of another authority, which the machine does not know.
    Untrusted,
    /// A certificate of the test authority that has expired, without a time stamp.
    Expired,
    /// The test authority, but the file was changed after it was signed.
    WrongDigest,
}

/// A number of 64 bits, written as text because TOML's own numbers end at 63: `"0xffff840500000074"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(pub u64);

impl FromStr for Word {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.replace('_', "");
        let parsed = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        parsed.map(Self).map_err(|_| format!("`{text}` is not a number of 64 bits"))
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Word {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Word {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Word".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "word",
            "examples": ["0xffff840500000074", "7"],
        })
    }
}
