//! Why a scenario cannot be turned into a plan.

use crate::driver::DriverError;
use crate::inf::InfError;
use crate::signing::SignError;

/// Why a scenario could not be turned into a plan.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A driver could not be made.
    #[error("fault `{fault}`: {source}")]
    Driver {
        /// The fault.
        fault: String,
        /// Why.
        source: DriverError,
    },
    /// A file of the scenario was not loaded with it.
    #[error(
        "fault `{fault}` needs `{file}`, which was not loaded; load the scenario from its folder"
    )]
    File {
        /// The fault.
        fault: String,
        /// The file.
        file: String,
    },
    /// A package lacks a file that its INF copies.
    #[error(
        "fault `{fault}`: `{inf}` copies `{file}`, and there is no such file beside it; put the whole package there, \
         or name another `section`"
    )]
    NotInPackage {
        /// The fault.
        fault: String,
        /// The INF.
        inf: String,
        /// The file.
        file: String,
    },
    /// A driver could not be signed.
    #[error("fault `{fault}`: {source}")]
    Sign {
        /// The fault.
        fault: String,
        /// Why.
        source: SignError,
    },
    /// There is nobody to sign a driver.
    #[error(
        "fault `{fault}` wants a signed driver, and there is no authority to sign it; run it with an image of the store"
    )]
    NoAuthority {
        /// The fault.
        fault: String,
    },
    /// An INF cannot be used.
    #[error("fault `{fault}`: {source}")]
    Package {
        /// The fault.
        fault: String,
        /// Why.
        source: InfError,
    },
    /// A name that cannot be one on the machine.
    #[error("fault `{fault}`: {what}; rename the file")]
    Name {
        /// The fault.
        fault: String,
        /// What is wrong with it.
        what: String,
    },
    /// An update brings what is neither a file of `C:` nor a value of the registry.
    #[error(
        "update `{fault}` brings {object}, which is no file or value that a package has; take the fault that changes \
         it out of `brings`"
    )]
    NoPackage {
        /// The update.
        fault: String,
        /// What is changed.
        object: String,
    },
    /// A fault can only be done while the machine runs.
    #[error("fault `{fault}` of kind {kind} can only be `when = \"healthy\"`")]
    OnlyOnline {
        /// The fault.
        fault: String,
        /// Its kind.
        kind: &'static str,
    },
    /// A fault cannot be done while the machine runs.
    #[error("fault `{fault}` of kind {kind} can only be `when = \"staged\"`")]
    NotOnline {
        /// The fault.
        fault: String,
        /// Its kind.
        kind: &'static str,
    },
}
