//! Why something cannot be taken back.

use winfmt::escaped;
use winfmt::servicing::ServicingError;

use crate::inf::InfError;
use crate::plan::OfflineError;

/// Why something cannot be taken back.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// No update was left half done.
    #[error("no update waits for the next start, so there is nothing to give up")]
    NothingPending,
    /// An update is half done, and nothing else can be taken back before that is.
    #[error(
        "an update waits for the next start; before anything is uninstalled that has to be given up \
         (`pending-actions = true`)"
    )]
    Pending,
    /// No such package is installed.
    #[error("there is no installed package of {}", escaped(wanted))]
    NoPackage {
        /// What was asked for.
        wanted: String,
    },
    /// No package is installed at all.
    #[error("there is no installed update")]
    NoUpdate,
    /// A package or a component cannot be read.
    #[error("{}: {source}; uninstall it with Windows' own tools", escaped(object))]
    Servicing {
        /// The file.
        object: String,
        /// Why.
        source: ServicingError,
    },
    /// The package says nothing of what it brought.
    #[error(
        "the package {} names no components of its own; uninstall it with Windows' own tools",
        escaped(package)
    )]
    Nested {
        /// The package.
        package: String,
    },
    /// A component, or one of its files, is not in the store.
    #[error(
        "{} is not in the component store as a whole; uninstall it with Windows' own tools",
        escaped(object)
    )]
    NotInStore {
        /// What is missing.
        object: String,
    },
    /// The store has a later version of a component, so it is not known what is in place.
    #[error(
        "the component store has a later version, {}, so this update may have nothing in place; uninstall it with \
         Windows' own tools",
        escaped(component)
    )]
    Later {
        /// The folder of that version.
        component: String,
    },
    /// Two of what is uninstalled had different contents in one file.
    #[error(
        "{} would have to become two different files; uninstall one after the other with Windows' own tools",
        escaped(object)
    )]
    Twice {
        /// The file.
        object: String,
    },
    /// A component has a key that is in no hive of the disk.
    #[error("the key {} cannot be changed from outside", escaped(key))]
    Key {
        /// The key.
        key: String,
    },
    /// No such driver package.
    #[error("there is no driver package {} in the driver store", escaped(inf))]
    NoDriver {
        /// What was asked for.
        inf: String,
    },
    /// An earlier package has no folder of its own in the driver store.
    #[error(
        "{} has the folder {} of the driver store, too, which has the files of one of both; uninstall it with Windows' \
         own tools",
        escaped(name),
        escaped(folder)
    )]
    SharedFolder {
        /// The earlier package, as it is published.
        name: String,
        /// The folder.
        folder: String,
    },
    /// Its INF cannot be used.
    #[error(transparent)]
    Inf(#[from] InfError),
    /// The disk cannot be read.
    #[error("the disk cannot be read: {0}")]
    Disk(#[source] OfflineError),
}

impl From<OfflineError> for UninstallError {
    fn from(error: OfflineError) -> Self {
        Self::Disk(error)
    }
}
