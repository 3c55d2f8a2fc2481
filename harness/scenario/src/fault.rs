//! Faults as they are declared: which kinds there are and what each needs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::boot_configuration::BootConfiguration;
use crate::content::{ContentDriver, ContentFile, ContentUpdater};
use crate::driver::{DriverFile, DriverPackage, FaultyDriver, Update};
use crate::moment::Moment;
use crate::network::{ClockFault, NetworkFault, ServiceFault};
use crate::power::PowerFault;
use crate::registry::RegistryFault;
use crate::servicing::{
    FileLoss, FileVersion, InterruptedWrite, QualityUpdate, ServicingTransaction,
};
use crate::storage::StorageFault;
use crate::trust::{Encryption, TrustFault};
use crate::user_mode::ProcessDeath;

/// One declared, reversible thing done to a machine. The same kinds serve `[[given]]` (what was on the
/// machine before anything went wrong, harmless by itself) and `[[fault]]` (what goes wrong).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fault {
    /// A kernel driver that interprets content files, and the service that starts it.
    ContentDriver(ContentDriver),
    /// A file that such a driver (or anything else) reads.
    ContentFile(ContentFile),
    /// A service that fetches such files from the vendor's content service.
    ContentUpdater(ContentUpdater),
    /// A driver with one thing wrong with it, and the service that starts it.
    Driver(FaultyDriver),
    /// A driver file of yours, and the service that starts it.
    DriverFile(DriverFile),
    /// A driver package of yours, installed as its INF says.
    DriverPackage(DriverPackage),
    /// A folder of yours, copied to the machine.
    Update(Update),
    /// An update that was installed as a package, and can be uninstalled.
    QualityUpdate(QualityUpdate),
    /// An update that was left half done.
    ServicingTransaction(ServicingTransaction),
    /// A system file of another version than the rest.
    FileVersion(FileVersion),
    /// A file that was deleted or quarantined.
    FileLoss(FileLoss),
    /// An updater that loses power in the middle of its file.
    InterruptedWrite(InterruptedWrite),
    /// Damage to what starts Windows.
    BootConfiguration(BootConfiguration),
    /// Damage to the registry.
    Registry(RegistryFault),
    /// A process that ends although the system needs it.
    ProcessDeath(ProcessDeath),
    /// Trouble between the machine and its disk.
    Storage(StorageFault),
    /// Power that fails at a chosen moment.
    Power(PowerFault),
    /// Trouble on the network.
    Network(NetworkFault),
    /// Trouble at the update service.
    Service(ServiceFault),
    /// A clock that is wrong.
    Clock(ClockFault),
    /// A Windows volume whose key the TPM keeps.
    Encryption(Encryption),
    /// A change of what the machine trusts.
    Trust(TrustFault),
}

impl Fault {
    /// Name, kind as it is written, and moment: what every kind has.
    fn common(&self) -> (&str, &'static str, Moment) {
        match self {
            Self::ContentDriver(fault) => (&fault.name, "content-driver", fault.when),
            Self::ContentFile(fault) => (&fault.name, "content-file", fault.when),
            Self::ContentUpdater(fault) => (&fault.name, "content-updater", fault.when),
            Self::Driver(fault) => (&fault.name, "driver", fault.when),
            Self::DriverFile(fault) => (&fault.name, "driver-file", fault.when),
            Self::DriverPackage(fault) => (&fault.name, "driver-package", fault.when),
            Self::Update(fault) => (&fault.name, "update", fault.when),
            Self::QualityUpdate(fault) => (&fault.name, "quality-update", fault.when),
            Self::ServicingTransaction(fault) => (&fault.name, "servicing-transaction", fault.when),
            Self::FileVersion(fault) => (&fault.name, "file-version", fault.when),
            Self::FileLoss(fault) => (&fault.name, "file-loss", fault.when),
            Self::InterruptedWrite(fault) => (&fault.name, "interrupted-write", fault.when),
            Self::BootConfiguration(fault) => (&fault.name, "boot-configuration", fault.when),
            Self::Registry(fault) => (&fault.name, "registry", fault.when),
            Self::ProcessDeath(fault) => (&fault.name, "process-death", fault.when),
            Self::Storage(fault) => (&fault.name, "storage", fault.when),
            Self::Power(fault) => (&fault.name, "power", fault.when),
            Self::Network(fault) => (&fault.name, "network", fault.when),
            Self::Service(fault) => (&fault.name, "service", fault.when),
            Self::Clock(fault) => (&fault.name, "clock", fault.when),
            Self::Encryption(fault) => (&fault.name, "encryption", fault.when),
            Self::Trust(fault) => (&fault.name, "trust", fault.when),
        }
    }

    /// The name, unique within the scenario.
    pub fn name(&self) -> &str {
        self.common().0
    }

    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        self.common().1
    }

    /// When it happens.
    pub fn when(&self) -> Moment {
        self.common().2
    }
}
