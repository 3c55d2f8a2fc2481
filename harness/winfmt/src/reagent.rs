//! `ReAgent.xml`: where the recovery environment is, as `reagentc` keeps it.
//!
//! `C:\Windows\System32\Recovery\ReAgent.xml`, mirrored beside `winre.wim` (windows-facts.md 1.6). The
//! format is not documented: elements that are not known here are kept and written back.

use quick_xml::escape::escape;

use crate::Guid;
use crate::xml::{self, XmlError};

/// The file. Elements that it lacks are `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReAgent {
    /// `version` of the root element; `2.0` in Windows 10 and 11.
    pub version: Option<String>,
    /// `WinreBCD`: the loader of the recovery environment in the BCD store.
    pub winre_bcd: Option<Guid>,
    /// `WinreLocation`: the folder of `winre.wim`. Empty while it is not enabled.
    pub winre_location: Option<Location>,
    /// `InstallState`: 1 while the recovery environment is enabled.
    pub installed: Option<bool>,
    /// `IsAutoRepairOn`.
    pub auto_repair: Option<bool>,
    /// `CustomImageAvailable`.
    pub custom_image_available: Option<bool>,
    /// Every other element, in order: its name and its attributes.
    pub other: Vec<(String, Vec<(String, String)>)>,
}

/// A folder on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Location {
    /// The folder, from the root of the partition.
    pub path: String,
    /// The MBR disk's signature; zero on GPT.
    pub disk_id: u64,
    /// Where the partition begins, in bytes.
    pub offset: u64,
    /// The GPT disk's GUID; zero on MBR.
    pub disk: Guid,
}

/// The file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReAgentError {
    /// No such XML.
    #[error("ReAgent.xml: {0}")]
    Xml(#[from] XmlError),
    /// An attribute has a value of another kind.
    #[error("ReAgent.xml: `{attribute}` of `{element}` is `{value}`, which is not a {wanted}")]
    BadValue {
        /// The element.
        element: String,
        /// The attribute.
        attribute: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
}

impl ReAgent {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ReAgentError`]; missing and unknown elements are no errors.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReAgentError> {
        let text = xml::decode(bytes)?;
        let document = xml::parse_windows_re(&text)?;
        let root = document.root_element();
        let version = xml::attribute(root, "version").map(str::to_owned);
        let mut agent = Self { version, ..Self::default() };
        for node in root.children().filter(roxmltree::Node::is_element) {
            match node.tag_name().name() {
                "WinreBCD" => agent.winre_bcd = parsed(node, "id", "GUID")?,
                "WinreLocation" => {
                    agent.winre_location = Some(Location {
                        path: xml::attribute(node, "path").unwrap_or_default().to_owned(),
                        disk_id: parsed(node, "id", "number")?.unwrap_or_default(),
                        offset: parsed(node, "offset", "number")?.unwrap_or_default(),
                        disk: parsed(node, "guid", "GUID")?.unwrap_or_default(),
                    });
                }
                "InstallState" => agent.installed = state(node)?,
                "IsAutoRepairOn" => agent.auto_repair = state(node)?,
                "CustomImageAvailable" => agent.custom_image_available = state(node)?,
                other => {
                    let attributes = node.attributes();
                    let pairs = attributes.map(|own| (own.name().into(), own.value().into()));
                    agent.other.push((other.to_owned(), pairs.collect()));
                }
            }
        }
        Ok(agent)
    }

    /// Writes the file.
    pub fn to_xml(&self) -> String {
        let mut xml = "<?xml version='1.0' encoding='utf-8'?>\r\n\r\n<WindowsRE".to_owned();
        if let Some(version) = &self.version {
            xml.push_str(&format!(" version=\"{}\"", escape(version)));
        }
        xml.push_str(">\r\n");
        let mut element = |name: &str, attributes: &[(&str, String)]| {
            xml.push_str(&format!("  <{name}"));
            for (name, value) in attributes {
                xml.push_str(&format!(" {name}=\"{}\"", escape(value.as_str())));
            }
            xml.push_str("/>\r\n");
        };
        if let Some(id) = self.winre_bcd {
            element("WinreBCD", &[("id", id.to_string())]);
        }
        if let Some(location) = &self.winre_location {
            element(
                "WinreLocation",
                &[
                    ("path", location.path.clone()),
                    ("id", location.disk_id.to_string()),
                    ("offset", location.offset.to_string()),
                    ("guid", location.disk.to_string()),
                ],
            );
        }
        for (name, on) in [
            ("InstallState", self.installed),
            ("CustomImageAvailable", self.custom_image_available),
            ("IsAutoRepairOn", self.auto_repair),
        ] {
            if let Some(on) = on {
                element(name, &[("state", u8::from(on).to_string())]);
            }
        }
        for (name, attributes) in &self.other {
            let attributes: Vec<_> =
                attributes.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            element(name, &attributes);
        }
        xml.push_str("</WindowsRE>\r\n");
        xml
    }
}

fn parsed<T: std::str::FromStr>(
    node: roxmltree::Node<'_, '_>,
    attribute: &'static str,
    wanted: &'static str,
) -> Result<Option<T>, ReAgentError> {
    match xml::attribute(node, attribute).map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| ReAgentError::BadValue {
            element: node.tag_name().name().to_owned(),
            attribute,
            value: text.to_owned(),
            wanted,
        }),
    }
}

fn state(node: roxmltree::Node<'_, '_>) -> Result<Option<bool>, ReAgentError> {
    Ok(parsed::<u32>(node, "state", "number")?.map(|number| number != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shape that the tools of windows-facts.md 1.6 read; not a copy of a file of Windows.
    const SAMPLE: &str = r#"<?xml version='1.0' encoding='utf-8'?>
<WindowsRE version="2.0">
  <WinreBCD id="{fad8d4a5-2730-11ec-914f-e04e81d67b96}"/>
  <WinreLocation path="\Recovery\WindowsRE" id="0" offset="290455552" guid="{43df372a-3d14-4fb5-8abc-636e94f4d37a}"/>
  <ImageLocation path="" id="0" offset="0" guid="{00000000-0000-0000-0000-000000000000}"/>
  <InstallState state="1"/>
  <CustomImageAvailable state="0"/>
  <IsAutoRepairOn state="1"/>
  <OsBuildVersion path="26100.1.amd64fre.ge_release.240331-1435"/>
</WindowsRE>"#;

    #[test]
    fn the_sample_round_trips_with_what_is_not_known() {
        let agent = ReAgent::parse(SAMPLE.as_bytes()).unwrap();
        let location = agent.winre_location.as_ref().unwrap();
        assert_eq!(location.path, r"\Recovery\WindowsRE");
        assert_eq!(location.offset, 290_455_552);
        assert_eq!(agent.installed, Some(true));
        assert_eq!(agent.other.len(), 2);
        assert_eq!(agent.other[1].0, "OsBuildVersion");
        assert_eq!(ReAgent::parse(agent.to_xml().as_bytes()).unwrap(), agent);
    }

    #[test]
    fn lenient_about_what_is_missing_strict_about_what_is_wrong() {
        assert_eq!(ReAgent::parse(b"<WindowsRE/>").unwrap(), ReAgent::default());
        let disabled = br#"<WindowsRE><WinreBCD id=""/><WinreLocation path=""/></WindowsRE>"#;
        let agent = ReAgent::parse(disabled).unwrap();
        assert_eq!((agent.winre_bcd, agent.winre_location), (None, Some(Location::default())));
        let error = ReAgent::parse(br#"<WindowsRE><WinreBCD id="x"/></WindowsRE>"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ReAgent.xml: `id` of `WinreBCD` is `x`, which is not a GUID"
        );
        assert!(ReAgent::parse(b"\xff\xfe<").is_err());
        assert!(ReAgent::parse(b"").is_err());
    }
}
