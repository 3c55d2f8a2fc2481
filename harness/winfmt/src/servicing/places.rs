//! Where the servicing stack keeps what, and the states that it writes down.

/// The folder of packages, from the root of `C:`.
pub const PACKAGES: &str = r"Windows\servicing\Packages";
/// The component store.
pub const STORE: &str = r"Windows\WinSxS";
/// The manifests of the store's components.
pub const MANIFESTS: &str = r"Windows\WinSxS\Manifests";
/// What was left to be done at the next start.
pub const PENDING_LIST: &str = r"Windows\WinSxS\pending.xml";
/// The key of the servicing stack in the SOFTWARE hive.
pub const SERVICING_KEY: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing";
/// `CurrentState` of a package that is installed.
pub const INSTALLED: u32 = 0x70;
/// `CurrentState` of a package whose installation waits for the next start.
pub const INSTALL_PENDING: u32 = 0x60;
/// `CurrentState` of a package that lies there and is not installed.
pub const STAGED: u32 = 0x40;

/// The key of a package in the SOFTWARE hive.
pub fn package_key(package: &str) -> String {
    format!("{SERVICING_KEY}\\Packages\\{package}")
}
