//! The settings of Quick Machine Recovery: the `WindowsRE` XML that `reagentc /setrecoverysettings`
//! takes (windows-facts.md 1.4).
//!
//! Windows keeps it as `C:\Windows\System32\Recovery\SrSettings.ini` and mirrors it to
//! `\Recovery\WindowsRE\SrSettings.ini` on the recovery partition, where it counts (1.6).

use std::time::Duration;

use quick_xml::escape::escape;

use crate::xml::{self, XmlError};

/// The longest total wait and interval: 72 hours (the CSP's range, windows-facts.md 1.4).
pub const MAX_WAIT: Duration = Duration::from_secs(4320 * 60);

/// The settings. What a file does not say is `None`; the defaults depend on edition and management
/// (windows-facts.md 1.3) and are for the reader to choose.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoverySettings {
    /// Whether the recovery environment asks the update service for a remediation.
    pub cloud_remediation: Option<bool>,
    /// Whether, and how long, it tries by itself.
    pub auto_remediation: Option<AutoRemediation>,
    /// Whether it works without anyone at the screen.
    pub headless: Option<bool>,
    /// The wireless network that it may use.
    pub wifi: Option<WifiCredential>,
}

/// Automatic remediation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoRemediation {
    /// Whether it tries by itself. Off: a person must go on through the menus.
    pub enabled: bool,
    /// How long it tries before it restarts into Windows; whole minutes, 1 to 4320.
    pub total_wait: Option<Duration>,
    /// How long it waits from one try to the next; whole minutes, at most the total wait. Zero: one
    /// try only.
    pub wait_interval: Option<Duration>,
}

/// A wireless network with a password (WPA or WPA2).
#[derive(Clone, PartialEq, Eq)]
pub struct WifiCredential {
    /// Its name.
    pub ssid: String,
    /// Its password, in clear: the format has no other way.
    pub password: String,
}

impl std::fmt::Debug for WifiCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WifiCredential({:?}, password not shown)", self.ssid)
    }
}

/// The settings could not be read, or break a documented rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoverySettingsError {
    /// No such XML.
    #[error("the recovery settings: {0}")]
    Xml(#[from] XmlError),
    /// An attribute that must be there is not.
    #[error("the recovery settings: `{element}` has no attribute `{attribute}`")]
    Missing {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute has a value of another kind.
    #[error("the recovery settings: `{attribute}` of `{element}` is `{value}`; write {wanted}")]
    BadValue {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// An element stands there twice.
    #[error("the recovery settings: `{element}` stands there more than once")]
    Twice {
        /// The element.
        element: &'static str,
    },
    /// A retry after the end.
    #[error(
        "the recovery settings: `waitinterval` ({interval} minutes) is longer than `totalwaittime` ({total} minutes), so nothing would be tried again"
    )]
    IntervalTooLong {
        /// Minutes.
        interval: u64,
        /// Minutes.
        total: u64,
    },
}

impl RecoverySettings {
    /// Reads the XML, in UTF-8 or UTF-16. Elements that are not known are passed over.
    ///
    /// # Errors
    /// [`RecoverySettingsError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RecoverySettingsError> {
        let text = xml::decode(bytes)?;
        let document = xml::parse_windows_re(&text)?;
        let root = document.root_element();
        let one = |parent: roxmltree::Node<'_, '_>, element: &'static str| {
            let mut found = parent.children().filter(|child| xml::named(*child, element));
            match (found.next(), found.next()) {
                (_, Some(_)) => Err(RecoverySettingsError::Twice { element }),
                (first, None) => Ok(first.map(|node| node.id())),
            }
        };
        let node = |id: roxmltree::NodeId| document.get_node(id);

        let mut settings = Self::default();
        if let Some(cloud) = one(root, "CloudRemediation")?.and_then(node) {
            settings.cloud_remediation = Some(state(cloud, "CloudRemediation")?);
        }
        if let Some(headless) = one(root, "Headless")?.and_then(node) {
            settings.headless = Some(state(headless, "Headless")?);
        }
        if let Some(auto) = one(root, "AutoRemediation")?.and_then(node) {
            settings.auto_remediation = Some(AutoRemediation {
                enabled: state(auto, "AutoRemediation")?,
                total_wait: minutes(auto, "totalwaittime", 1)?,
                wait_interval: minutes(auto, "waitinterval", 0)?,
            });
        }
        if let Some(list) = one(root, "WifiCredential")?.and_then(node)
            && let Some(wifi) = one(list, "Wifi")?.and_then(node)
        {
            let part = |attribute| {
                xml::attribute(wifi, attribute)
                    .map(str::to_owned)
                    .ok_or(RecoverySettingsError::Missing { element: "Wifi", attribute })
            };
            settings.wifi =
                Some(WifiCredential { ssid: part("ssid")?, password: part("password")? });
        }
        settings.validate()?;
        Ok(settings)
    }

    /// Checks what the documentation demands: ranges, and no interval longer than the whole.
    ///
    /// # Errors
    /// [`RecoverySettingsError::BadValue`], [`RecoverySettingsError::IntervalTooLong`].
    pub fn validate(&self) -> Result<(), RecoverySettingsError> {
        let Some(auto) = &self.auto_remediation else { return Ok(()) };
        let rules =
            [("totalwaittime", auto.total_wait, 1), ("waitinterval", auto.wait_interval, 0)];
        for (attribute, wait, least) in rules {
            let in_range = |wait: &Duration| {
                *wait >= Duration::from_secs(60 * least)
                    && *wait <= MAX_WAIT
                    && wait.as_secs().is_multiple_of(60)
                    && wait.subsec_nanos() == 0
            };
            if let Some(wait) = wait.filter(|wait| !in_range(wait)) {
                return Err(bad_minutes(attribute, format!("{wait:?}"), least));
            }
        }
        match (auto.wait_interval, auto.total_wait) {
            (Some(interval), Some(total)) if interval > total => {
                Err(RecoverySettingsError::IntervalTooLong {
                    interval: interval.as_secs() / 60,
                    total: total.as_secs() / 60,
                })
            }
            _ => Ok(()),
        }
    }

    /// The XML, as the documentation shows it.
    pub fn to_xml(&self) -> String {
        let mut xml = "<?xml version='1.0' encoding='utf-8'?>\r\n<WindowsRE>\r\n".to_owned();
        let mut line = |text: String| {
            xml.push_str("  ");
            xml.push_str(&text);
            xml.push_str("\r\n");
        };
        if let Some(wifi) = &self.wifi {
            let (ssid, password) = (escape(&wifi.ssid), escape(&wifi.password));
            line(format!(
                "<WifiCredential><Wifi ssid=\"{ssid}\" password=\"{password}\"/></WifiCredential>"
            ));
        }
        if let Some(on) = self.cloud_remediation {
            line(format!("<CloudRemediation state=\"{}\"/>", u8::from(on)));
        }
        if let Some(auto) = &self.auto_remediation {
            let mut text = format!("<AutoRemediation state=\"{}\"", u8::from(auto.enabled));
            let waits = [("totalwaittime", auto.total_wait), ("waitinterval", auto.wait_interval)];
            for (name, wait) in waits {
                if let Some(wait) = wait {
                    text.push_str(&format!(" {name}=\"{}\"", wait.as_secs() / 60));
                }
            }
            line(text + "/>");
        }
        if let Some(on) = self.headless {
            line(format!("<Headless state=\"{}\"/>", u8::from(on)));
        }
        xml.push_str("</WindowsRE>\r\n");
        xml
    }
}

fn state(
    node: roxmltree::Node<'_, '_>,
    element: &'static str,
) -> Result<bool, RecoverySettingsError> {
    let attribute = "state";
    match xml::attribute(node, attribute).map(str::trim) {
        Some("1") => Ok(true),
        Some("0") => Ok(false),
        Some(other) => Err(RecoverySettingsError::BadValue {
            element,
            attribute,
            value: other.to_owned(),
            wanted: "0 or 1",
        }),
        None => Err(RecoverySettingsError::Missing { element, attribute }),
    }
}

fn minutes(
    node: roxmltree::Node<'_, '_>,
    attribute: &'static str,
    least: u64,
) -> Result<Option<Duration>, RecoverySettingsError> {
    let Some(text) = xml::attribute(node, attribute) else { return Ok(None) };
    text.trim()
        .parse::<u64>()
        .ok()
        .and_then(|minutes| minutes.checked_mul(60))
        .map(|seconds| Some(Duration::from_secs(seconds)))
        .ok_or_else(|| bad_minutes(attribute, text.to_owned(), least))
}

fn bad_minutes(attribute: &'static str, value: String, least: u64) -> RecoverySettingsError {
    let wanted =
        if least == 0 { "whole minutes from 0 to 4320" } else { "whole minutes from 1 to 4320" };
    RecoverySettingsError::BadValue { element: "AutoRemediation", attribute, value, wanted }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DOCUMENTED: &str = r#"<?xml version='1.0' encoding='utf-8'?>
<WindowsRE>
  <WifiCredential><Wifi ssid="a &amp; b" password="&quot;&lt;"/></WifiCredential>
  <CloudRemediation state="1"/>
  <AutoRemediation state="1" totalwaittime="2400" waitinterval="120"/>
</WindowsRE>"#;

    #[test]
    fn the_documented_sample_round_trips() {
        let settings = RecoverySettings::parse(DOCUMENTED.as_bytes()).unwrap();
        assert_eq!(settings.cloud_remediation, Some(true));
        let auto = settings.auto_remediation.unwrap();
        assert!(auto.enabled);
        assert_eq!(auto.total_wait, Some(Duration::from_secs(2400 * 60)));
        assert_eq!(auto.wait_interval, Some(Duration::from_secs(120 * 60)));
        assert_eq!(settings.headless, None);
        let wifi = settings.wifi.clone().unwrap();
        assert_eq!((wifi.ssid.as_str(), wifi.password.as_str()), ("a & b", "\"<"));
        assert!(!format!("{settings:?}").contains("\"<"), "a password in a log");
        assert_eq!(RecoverySettings::parse(settings.to_xml().as_bytes()).unwrap(), settings);
    }

    #[test]
    fn utf16_and_missing_parts() {
        let text = "<WindowsRE><CloudRemediation state='0'/><Headless state='1'/></WindowsRE>";
        let mut bytes = vec![0xff, 0xfe];
        bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
        let settings = RecoverySettings::parse(&bytes).unwrap();
        assert_eq!(settings.cloud_remediation, Some(false));
        assert_eq!((settings.auto_remediation, settings.headless), (None, Some(true)));
    }

    #[test]
    fn errors_name_element_and_fix() {
        let error = |body: &str| {
            let text = format!("<WindowsRE>{body}</WindowsRE>");
            RecoverySettings::parse(text.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            error("<CloudRemediation state='yes'/>"),
            "the recovery settings: `state` of `CloudRemediation` is `yes`; write 0 or 1"
        );
        assert_eq!(
            error("<CloudRemediation/>"),
            "the recovery settings: `CloudRemediation` has no attribute `state`"
        );
        assert!(error("<AutoRemediation state='1' totalwaittime='0'/>").contains("1 to 4320"));
        assert!(error("<AutoRemediation state='1' waitinterval='-1'/>").contains("0 to 4320"));
        assert!(error("<AutoRemediation state='1' totalwaittime='4321'/>").contains("4320"));
        let long = "<AutoRemediation state='1' totalwaittime='10' waitinterval='11'/>";
        assert!(error(long).contains("longer than"));
        assert!(error("<Headless state='1'/><Headless state='0'/>").contains("more than once"));
        let other = RecoverySettings::parse(b"<Settings/>").unwrap_err().to_string();
        assert!(other.contains("`Settings`"), "{other}");
        let bomb = b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><WindowsRE>&a;</WindowsRE>";
        assert!(RecoverySettings::parse(bomb).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = RecoverySettings::parse(&bytes);
        }

        #[test]
        fn any_settings_round_trip(
            cloud: Option<bool>,
            headless: Option<bool>,
            auto in prop::option::of((any::<bool>(), 1u64..=4320, 0u64..=4320)),
            wifi in prop::option::of(("[ -~äß]{1,32}", "[ -~€]{0,63}")),
        ) {
            let minutes = |count: u64| Duration::from_secs(60 * count);
            let settings = RecoverySettings {
                cloud_remediation: cloud,
                headless,
                auto_remediation: auto.map(|(enabled, total, interval)| AutoRemediation {
                    enabled,
                    total_wait: Some(minutes(total)),
                    wait_interval: Some(minutes(interval.min(total))),
                }),
                wifi: wifi.map(|(ssid, password)| WifiCredential { ssid, password }),
            };
            prop_assert_eq!(RecoverySettings::parse(settings.to_xml().as_bytes()).unwrap(), settings);
        }
    }
}
