//! Scenarios: what people write, checked before anything is started.
//!
//! A scenario says which image is broken how, what may bring it back, and what is expected. It lives in
//! `scenarios/<name>/scenario.toml`. `loopbreak scenario check` and the engine both come in through
//! [`Scenario::load`]; what it returns is complete and consistent, so that nobody below has to check
//! again. The stages of loading, each in its own module:
//!
//! 1. the text, and those that it extends, are parsed as TOML with the place of every key and value kept
//!    (`sources`), and laid over each other; each variant is then a document of its own (`variants`);
//! 2. `shape` holds each against the JSON Schema that is generated from the types in `model`, `fault` and
//!    `expect` (the same one that is checked in for editors), so that parser, editor and documentation
//!    cannot disagree: unknown key, missing key, wrong type, unknown word;
//! 3. `rules` finds what no schema can say: combinations that cannot work, files that are missing;
//! 4. serde makes a [`Scenario`] of it.
//!
//! Everything wrong is reported at once, each with file, line, column, what was expected and what to do
//! ([`ScenarioError`]).
//!
//! What people write beside scenarios is held against the schema of its type in the same way ([`parse_document`],
//! [`Quarantine`]).
//!
//! The types are plain data: the engine stores the scenario in the run directory as the source of its
//! plan, and `faults`, `recovery` and `timeline` take from it what they need.

mod alone;
mod boot_configuration;
mod build;
mod content;
mod damage_rules;
mod derived;
mod document;
mod driver;
mod driver_rules;
mod driver_service;
mod expect;
mod fault;
mod filter;
mod host_repair;
mod ladder;
mod ladder_rules;
mod load;
mod model;
mod moment;
mod network;
mod network_rules;
mod network_services;
mod place;
mod power;
mod problem;
mod quarantine;
mod recovery_rules;
mod registry;
mod restore_point;
mod rollback;
mod rules;
mod schema;
mod servicing;
mod shape;
mod sources;
mod storage;
mod storage_rules;
mod trust;
mod trust_rules;
mod uninstall_update;
mod user_mode;
mod variants;

pub use alone::{Alone, LAYERS_ALONE, alone};
pub use boot_configuration::{
    BootConfiguration, BootDamage, BootStatusPolicy, FullEfiPartition, SafeBoot, SafeBootMode,
    SigningPolicy, StatusPolicy,
};
pub use build::BuildError;
pub use content::{
    ChannelFile, Content, ContentDriver, ContentFile, ContentUpdater, Damage, RunsIn,
};
pub use document::parse_document;
pub use driver::{
    Access, AccessBy, Arch, BugCheck, Chance, Defect, Delay, DriverFile, DriverPackage,
    DriverSignature, EndlessLoop, FailureStatus, FaultyDriver, Irql, MissingImport, PoolCorruption,
    PoolDamage, RaisedIrql, SlowStart, Trigger, Truncated, Update, WildAccess, Word,
};
pub use driver_service::{ErrorControl, Service, ServiceStart};
pub use expect::{Expect, Stop};
pub use fault::Fault;
pub use filter::{Filter, FilterError, Predicate, Recorded};
pub use host_repair::{BootEntry, FileCopy, FileWrite, HostRepair, RepairAction};
pub use ladder::{LastKnownGood, Reboots, SafeMode, SafeModeAction};
pub use load::{Listed, list};
pub use model::{
    AtStopScreen, Canary, Limits, Machine, Operator, QuickMachineRecovery, Recovery, Scenario,
    Start,
};
pub use moment::Moment;
pub use network::{
    BusyService, ClockFault, LateLink, Latency, Loss, NetworkFault, NetworkTrouble, ServiceFault,
    ServiceTrouble, SlowService,
};
pub use network_services::{
    Available, Builds, ContentService, Delete, Release, Remediation, RemediationWrite, Signature,
    Target, UpdateService,
};
pub use power::{PowerEvent, PowerFault, PowerMoment, PowerPhase, Unflushed};
pub use problem::{Problem, ScenarioError};
pub use quarantine::{QUARANTINE_FILE, Quarantine, QuarantineEntry};
pub use registry::{
    CorruptHive, CriticalService, DisabledDiskDriver, FilterList, FilteredClass, HiveDamage,
    HiveFile, MissingFilter, RegistryChange, RegistryDamage, RegistryData, RegistryFault,
    WrongControlSet,
};
pub use restore_point::RestorePoint;
pub use rollback::{Rollback, RollbackTo};
pub use schema::{SCHEMA_FILE, schema, schema_text};
pub use servicing::{
    FileLoss, FileVersion, InterruptedWrite, PendingMove, QualityUpdate, ServicingTransaction,
    TransactionState,
};
pub use storage::{Extent, Sectors, SlowDisk, StorageFault, StorageTrouble};
pub use trust::{Encryption, TrustChange, TrustFault};
pub use uninstall_update::{LATEST, UninstallUpdate};
pub use user_mode::ProcessDeath;
pub use words::WindowsPath;
pub use words::{CheckName, Layer, LayerResult, ServiceAnswer, Span, Verdict};
