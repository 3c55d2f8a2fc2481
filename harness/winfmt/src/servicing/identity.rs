//! Which assembly, in which version.

use std::fmt;
use std::str::FromStr;

use super::manifest::ServicingError;
use crate::xml::attribute;

/// Longest name of a component that its folder has in full; of a longer one the middle is left out.
const FULL_NAME: usize = 40;

/// The identity of a package or component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: [u16; 4],
    /// `amd64`, `x86`, `wow64` …
    pub architecture: String,
    /// `neutral`, or a language.
    pub language: String,
    /// The token of its publisher's key.
    pub token: String,
}

impl Identity {
    /// The name of a package: `name~token~architecture~language~version`, the language empty where it is neutral.
    pub fn package_name(&self) -> String {
        let Self { name, architecture, token, .. } = self;
        let language = match self.language.as_str() {
            "neutral" => "",
            language => language,
        };
        format!("{name}~{token}~{architecture}~{language}~{}", Version(self.version))
    }

    /// The folder of a component in the store. How Windows makes the last sixteen digits is not documented: those that
    /// are `made` here are of another kind, and those that are read are not looked at ([`Self::version_in`]).
    pub fn folder(&self, made: u64) -> String {
        format!("{}{}_none_{made:016x}", self.folder_start(), Version(self.version))
    }

    /// What the folders of all versions of it begin with.
    fn folder_start(&self) -> String {
        let Self { architecture, token, .. } = self;
        format!("{architecture}_{}_{token}_", self.name).to_lowercase()
    }

    /// True of the same assembly in the same version; upper and lower case are the same, as in Windows' folders.
    pub fn is_same(&self, other: &Self) -> bool {
        let same = |one: &str, other: &str| one.to_lowercase() == other.to_lowercase();
        self.version == other.version
            && same(&self.name, &other.name)
            && same(&self.architecture, &other.architecture)
            && same(&self.language, &other.language)
            && same(&self.token, &other.token)
    }

    /// The version that a folder of the store has of this component; `None` of another's folder.
    pub fn version_in(&self, folder: &str) -> Option<[u16; 4]> {
        let folder = folder.to_lowercase();
        let mut parts = folder.rsplitn(5, '_');
        let (_, language) = (parts.next()?, parts.next()?);
        let (version, token, rest) = (parts.next()?, parts.next()?, parts.next()?);
        let (architecture, name) = rest.split_once('_')?;
        let neutral = if self.language == "neutral" { "none" } else { self.language.as_str() };
        let same = architecture.eq_ignore_ascii_case(&self.architecture)
            && token.eq_ignore_ascii_case(&self.token)
            && language.eq_ignore_ascii_case(neutral)
            && is_name_of(name, &self.name.to_lowercase());
        same.then(|| parse_version(version)).flatten()
    }

    pub(super) fn read(node: roxmltree::Node<'_, '_>) -> Result<Self, ServicingError> {
        let wanted = |name: &'static str| {
            attribute(node, name).ok_or(ServicingError::Missing {
                element: "assemblyIdentity".to_owned(),
                what: name,
            })
        };
        let version = wanted("version")?;
        Ok(Self {
            name: wanted("name")?.to_owned(),
            version: parse_version(version)
                .ok_or_else(|| ServicingError::Version(version.to_owned()))?,
            architecture: wanted("processorArchitecture")?.to_owned(),
            language: attribute(node, "language").unwrap_or("neutral").to_owned(),
            token: wanted("publicKeyToken")?.to_owned(),
        })
    }

    pub(super) fn to_xml(&self) -> String {
        let Self { name, architecture, language, token, .. } = self;
        let escaped = |text: &str| quick_xml::escape::escape(text).into_owned();
        format!(
            "<assemblyIdentity name=\"{}\" version=\"{}\" processorArchitecture=\"{}\" language=\"{}\" \
             buildType=\"release\" publicKeyToken=\"{}\" versionScope=\"nonSxS\"/>",
            escaped(name),
            Version(self.version),
            escaped(architecture),
            escaped(language),
            escaped(token),
        )
    }
}

/// A longer name has two dots in the place of its middle.
fn is_name_of(shown: &str, name: &str) -> bool {
    match shown.split_once("..") {
        Some((start, end)) if name.len() > FULL_NAME => {
            name.len() > start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        _ => shown == name,
    }
}

struct Version([u16; 4]);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

fn parse_version(text: &str) -> Option<[u16; 4]> {
    let numbers: Vec<u16> = text.split('.').map(u16::from_str).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::Identity;

    fn identity(name: &str) -> Identity {
        Identity {
            name: name.to_owned(),
            version: [10, 0, 26100, 1],
            architecture: "amd64".to_owned(),
            language: "neutral".to_owned(),
            token: "31bf3856ad364e35".to_owned(),
        }
    }

    #[test]
    fn packages_and_folders_are_named_as_windows_does() {
        let package = identity("Package_for_KB1");
        let name = "Package_for_KB1~31bf3856ad364e35~amd64~~10.0.26100.1";
        assert_eq!(package.package_name(), name);
        let component = identity("Microsoft-Windows-Ntfs");
        let folder =
            "amd64_microsoft-windows-ntfs_31bf3856ad364e35_10.0.26100.1_none_0000000000000ab1";
        assert_eq!(component.folder(0xab1), folder);
        assert_eq!(component.version_in(folder), Some([10, 0, 26100, 1]));
    }

    #[test]
    fn a_folder_of_another_component_is_not_one_of_this() {
        let component = identity("Microsoft-Windows-Ntfs");
        for other in [
            "wow64_microsoft-windows-ntfs_31bf3856ad364e35_10.0.26100.1_none_0000000000000ab1",
            "amd64_microsoft-windows-ntfs2_31bf3856ad364e35_10.0.26100.1_none_0000000000000ab1",
            "amd64_microsoft-windows-ntfs_31bf3856ad364e35_10.0.26100.1_de-de_0000000000000ab1",
            "amd64_microsoft-windows-ntfs_31bf3856ad364e35_10.0.26100_none_0000000000000ab1",
            "Backup",
            "",
        ] {
            assert_eq!(component.version_in(other), None, "{other}");
        }
        // The middle of a long name is left out, and its ends count.
        let long = identity("Microsoft-Windows-Security-SPP-Component-SKU-Enterprise");
        let folder = |name: &str| format!("amd64_{name}_31bf3856ad364e35_1.2.3.4_none_00");
        let shown = "microsoft-windows-s..ent-sku-enterprise";
        assert_eq!(long.version_in(&folder(shown)), Some([1, 2, 3, 4]));
        assert_eq!(long.version_in(&folder("microsoft-windows-s..professional")), None);
        assert_eq!(identity("a").version_in(&folder("..")), None);
    }
}
