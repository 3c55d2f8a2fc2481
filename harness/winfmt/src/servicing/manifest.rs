//! The document that packages and components have in common, and packages themselves.

use quick_xml::escape::escape;

use super::identity::Identity;
use crate::xml::{self, XmlError, attribute, named};

/// What a manifest that Windows compressed begins with.
const COMPRESSED: &[u8] = b"DCM\x01";

/// Why a package or a component could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServicingError {
    /// Not such XML.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Windows keeps the manifests of its own components so.
    #[error(
        "the manifest is compressed, as Windows keeps those of its own components; only Windows' own tools read it"
    )]
    Compressed,
    /// An attribute or element is not there.
    #[error("`{element}` has no `{what}`")]
    Missing {
        /// The element.
        element: String,
        /// What it should have.
        what: &'static str,
    },
    /// No version.
    #[error("`{0}` is not a version of four numbers")]
    Version(String),
    /// A file's name that is none.
    #[error("`{0}` is not a file's name")]
    FileName(String),
    /// A folder that is not known here.
    #[error("`{0}` is not a folder that is known here")]
    Folder(String),
    /// A value whose data cannot be said, or be read.
    #[error("the data of `{name}` in {key} cannot be in a manifest")]
    Value {
        /// The key.
        key: String,
        /// The value.
        name: String,
    },
}

/// A package: an update as it was installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Which.
    pub identity: Identity,
    /// The number of its article: `KB5039302`.
    pub identifier: String,
    /// `Update`, `Security Update`, `Feature Pack` …
    pub release_type: String,
    /// What it brought.
    pub components: Vec<Identity>,
}

impl Package {
    /// Reads a `.mum` file. Of a package that is made of other packages the list of components is empty.
    ///
    /// # Errors
    /// [`ServicingError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ServicingError> {
        document(bytes, |assembly, identity| {
            let package = assembly.children().find(|node| named(*node, "package")).ok_or(
                ServicingError::Missing { element: "assembly".to_owned(), what: "package" },
            )?;
            let text = |name| attribute(package, name).unwrap_or_default().to_owned();
            let mut components = Vec::new();
            for component in package.descendants().filter(|node| named(*node, "component")) {
                let identity = component.children().find(|node| named(*node, "assemblyIdentity"));
                components.push(Identity::read(identity.ok_or(ServicingError::Missing {
                    element: "component".to_owned(),
                    what: "assemblyIdentity",
                })?)?);
            }
            let (identifier, release_type) = (text("identifier"), text("releaseType"));
            Ok(Self { identity, identifier, release_type, components })
        })
    }

    /// Writes the file.
    pub fn to_xml(&self) -> String {
        let description = format!("Fix for {}", self.identifier);
        let mut xml = start(&[("description", &description)], &self.identity);
        let (identifier, release) = (escape(&self.identifier), escape(&self.release_type));
        xml.push_str(&format!(
            "  <package identifier=\"{identifier}\" releaseType=\"{release}\" restart=\"possible\">\r\n    \
             <update name=\"{identifier}-1_neutral\">\r\n"
        ));
        for component in &self.components {
            xml.push_str(&format!("      <component>{}</component>\r\n", component.to_xml()));
        }
        xml.push_str("    </update>\r\n  </package>\r\n");
        end(xml)
    }
}

/// Reads an `assembly` with its identity.
pub(super) fn document<T>(
    bytes: &[u8],
    read: impl FnOnce(roxmltree::Node<'_, '_>, Identity) -> Result<T, ServicingError>,
) -> Result<T, ServicingError> {
    if bytes.starts_with(COMPRESSED) {
        return Err(ServicingError::Compressed);
    }
    let text = xml::decode(bytes)?;
    let document = xml::parse(&text, "assembly")?;
    let assembly = document.root_element();
    let identity = assembly.children().find(|node| named(*node, "assemblyIdentity"));
    let identity = identity.ok_or(ServicingError::Missing {
        element: "assembly".to_owned(),
        what: "assemblyIdentity",
    })?;
    read(assembly, Identity::read(identity)?)
}

pub(super) fn start(attributes: &[(&str, &str)], identity: &Identity) -> String {
    let mut xml = "<?xml version=\"1.0\" encoding=\"utf-8\" standalone=\"yes\"?>\r\n<assembly \
                   xmlns=\"urn:schemas-microsoft-com:asm.v3\" manifestVersion=\"1.0\""
        .to_owned();
    for (name, value) in attributes {
        xml.push_str(&format!(" {name}=\"{}\"", escape(*value)));
    }
    xml.push_str(&format!(">\r\n  {}\r\n", identity.to_xml()));
    xml
}

pub(super) fn end(mut xml: String) -> String {
    xml.push_str("</assembly>\r\n");
    xml
}

#[cfg(test)]
mod tests {
    use super::{Package, ServicingError};
    use crate::servicing::Identity;

    fn identity(name: &str) -> Identity {
        Identity {
            name: name.to_owned(),
            version: [26100, 1, 1, 0],
            architecture: "amd64".to_owned(),
            language: "neutral".to_owned(),
            token: "31bf3856ad364e35".to_owned(),
        }
    }

    #[test]
    fn a_package_reads_back() {
        let package = Package {
            identity: identity("Package_for_KB1"),
            identifier: "KB1".to_owned(),
            release_type: "Update".to_owned(),
            components: vec![identity("one"), identity("two")],
        };
        let xml = package.to_xml();
        assert_eq!(Package::parse(xml.as_bytes()).unwrap(), package);
        for (from, to) in [
            ("version=\"26100.1.1.0\" processor", "processor"),
            ("<package ", "<pack "),
            ("1.1.0", "1.1"),
        ] {
            assert!(Package::parse(xml.replace(from, to).as_bytes()).is_err(), "{from}");
        }
        for cut in [0, 40, xml.len() / 2, xml.len() - 5] {
            assert!(Package::parse(&xml.as_bytes()[..cut]).is_err(), "{cut}");
        }
        assert!(matches!(Package::parse(b"DCM\x01"), Err(ServicingError::Compressed)));
    }
}
