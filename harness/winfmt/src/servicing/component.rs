//! What a component has in place.

use quick_xml::escape::escape;

use super::identity::Identity;
use super::manifest::{ServicingError, document, end, start};
use super::values;
use crate::hive::Data;
use crate::xml::{attribute, named};

/// Folders that manifests name by a word, from the root of `C:`. The first that fits is written.
const FOLDERS: [(&str, &str); 8] = [
    ("$(runtime.drivers)", r"Windows\System32\drivers"),
    ("$(runtime.system32)", r"Windows\System32"),
    ("$(runtime.inf)", r"Windows\INF"),
    ("$(runtime.fonts)", r"Windows\Fonts"),
    ("$(runtime.windows)", "Windows"),
    ("$(runtime.programFiles)", "Program Files"),
    ("$(runtime.programData)", "ProgramData"),
    ("$(runtime.systemDrive)", ""),
];

/// A component: its files, and its keys of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Which.
    pub identity: Identity,
    /// The files.
    pub files: Vec<PlacedFile>,
    /// The keys, each with the values that are its own.
    pub keys: Vec<ComponentKey>,
}

/// A file of a component. Its content lies in the component's folder of the store, under the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedFile {
    /// Its name.
    pub name: String,
    /// The folder in which it is in place, from the root of `C:`.
    pub folder: String,
}

/// A key of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentKey {
    /// With its root: `HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Ntfs`.
    pub path: String,
    /// Names and data.
    pub values: Vec<(String, Data)>,
}

impl PlacedFile {
    /// Where it is in place, from the root of `C:`.
    pub fn path(&self) -> String {
        match self.folder.as_str() {
            "" => self.name.clone(),
            folder => format!("{folder}\\{}", self.name),
        }
    }
}

impl Component {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ServicingError`]: among them that the manifest is compressed, as those that Windows keeps itself are.
    pub fn parse(bytes: &[u8]) -> Result<Self, ServicingError> {
        document(bytes, |assembly, identity| {
            let mut component = Self { identity, files: Vec::new(), keys: Vec::new() };
            for node in assembly.children().filter(roxmltree::Node::is_element) {
                if named(node, "file") {
                    component.files.push(file(node)?);
                }
                for key in node
                    .children()
                    .filter(|key| named(node, "registryKeys") && named(*key, "registryKey"))
                {
                    component.keys.push(registry_key(key)?);
                }
            }
            Ok(component)
        })
    }

    /// Writes the manifest.
    ///
    /// # Errors
    /// [`ServicingError::Value`]: data that a manifest has no way to say.
    pub fn to_xml(&self) -> Result<String, ServicingError> {
        let mut xml = start(&[], &self.identity);
        for PlacedFile { name, folder } in &self.files {
            let (name, folder) = (escape(name.as_str()), by_word(folder));
            xml.push_str(&format!(
                "  <file name=\"{name}\" destinationPath=\"{}\\\" sourceName=\"{name}\" importPath=\"$(build.nttree)\\\"/>\r\n",
                escape(&folder)
            ));
        }
        if !self.keys.is_empty() {
            xml.push_str("  <registryKeys>\r\n");
            for key in &self.keys {
                xml.push_str(&format!("    <registryKey keyName=\"{}\">\r\n", escape(&key.path)));
                for (name, data) in &key.values {
                    let value = values::written(data).ok_or_else(|| ServicingError::Value {
                        key: key.path.clone(),
                        name: name.clone(),
                    })?;
                    xml.push_str(&format!(
                        "      <registryValue name=\"{}\" valueType=\"{}\" value=\"{}\"/>\r\n",
                        escape(name),
                        data.kind,
                        escape(&value)
                    ));
                }
                xml.push_str("    </registryKey>\r\n");
            }
            xml.push_str("  </registryKeys>\r\n");
        }
        Ok(end(xml))
    }
}

fn file(node: roxmltree::Node<'_, '_>) -> Result<PlacedFile, ServicingError> {
    let missing = |what| ServicingError::Missing { element: "file".to_owned(), what };
    let name = attribute(node, "name").ok_or(missing("name"))?;
    // Some stand in a folder of their own below the component's.
    if name.is_empty() || name.contains(['\\', '/', ':', '*', '?']) || matches!(name, "." | "..") {
        return Err(ServicingError::FileName(name.to_owned()));
    }
    let to = attribute(node, "destinationPath").ok_or(missing("destinationPath"))?;
    let folder = folder_of(to).ok_or_else(|| ServicingError::Folder(to.to_owned()))?;
    Ok(PlacedFile { name: name.to_owned(), folder })
}

fn registry_key(node: roxmltree::Node<'_, '_>) -> Result<ComponentKey, ServicingError> {
    let path = attribute(node, "keyName")
        .ok_or(ServicingError::Missing { element: "registryKey".to_owned(), what: "keyName" })?;
    let path = path.trim_end_matches('\\').to_owned();
    let mut own = Vec::new();
    for value in node.children().filter(|value| named(*value, "registryValue")) {
        let text = |name| attribute(value, name).unwrap_or_default();
        let name = text("name").to_owned();
        match values::read(text("valueType"), text("value")) {
            Some(data) => own.push((name, data)),
            None => return Err(ServicingError::Value { key: path, name }),
        }
    }
    Ok(ComponentKey { path, values: own })
}

/// A folder as manifests name it.
fn by_word(folder: &str) -> String {
    for (word, known) in FOLDERS {
        let same = folder.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known));
        let rest = folder.get(known.len()..).unwrap_or_default();
        if same && (known.is_empty() && !rest.is_empty()) {
            return format!("{word}\\{rest}");
        }
        if same && (rest.is_empty() || rest.starts_with('\\')) {
            return format!("{word}{rest}");
        }
    }
    folder.to_owned()
}

/// The folder that a manifest names, from the root of `C:`.
fn folder_of(named: &str) -> Option<String> {
    let named = named.trim_end_matches('\\');
    let (word, rest) = match named.split_once(')') {
        Some((word, rest)) => (format!("{word})"), rest),
        None => return None,
    };
    let (_, known) = FOLDERS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&word))?;
    let rest = rest.trim_start_matches('\\');
    let plain = |part: &str| {
        !part.is_empty() && !matches!(part, "." | "..") && !part.contains([':', '/', '$'])
    };
    if !rest.is_empty() && !rest.split('\\').all(plain) {
        return None;
    }
    Some(match (known.is_empty(), rest.is_empty()) {
        (_, true) => (*known).to_owned(),
        (true, false) => rest.to_owned(),
        (false, false) => format!("{known}\\{rest}"),
    })
}

#[cfg(test)]
mod tests {
    use super::{Component, ComponentKey, PlacedFile, ServicingError, by_word, folder_of};
    use crate::hive::Data;
    use crate::servicing::Identity;

    fn component() -> Component {
        Component {
            identity: Identity {
                name: "loopbreak-kb1".to_owned(),
                version: [10, 0, 26100, 2],
                architecture: "amd64".to_owned(),
                language: "neutral".to_owned(),
                token: "31bf3856ad364e35".to_owned(),
            },
            files: vec![
                PlacedFile {
                    name: "a&b.sys".to_owned(),
                    folder: r"Windows\System32\drivers".to_owned(),
                },
                PlacedFile { name: "c.txt".to_owned(), folder: r"Users\Public".to_owned() },
            ],
            keys: vec![ComponentKey {
                path: r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\a".to_owned(),
                values: vec![
                    ("Start".to_owned(), Data::dword(1)),
                    (String::new(), Data::string("<x>")),
                ],
            }],
        }
    }

    #[test]
    fn a_manifest_reads_back() {
        let xml = component().to_xml().unwrap();
        assert_eq!(Component::parse(xml.as_bytes()).unwrap(), component());
        assert!(
            xml.contains(r#"<file name="a&amp;b.sys" destinationPath="$(runtime.drivers)\" "#),
            "{xml}"
        );
        assert!(xml.contains(r#"valueType="REG_DWORD" value="0x00000001"/>"#), "{xml}");
    }

    #[test]
    fn folders_have_words_and_none_leads_elsewhere() {
        for (folder, word) in [
            (r"Windows\System32\drivers\x", r"$(runtime.drivers)\x"),
            (r"Windows\System32", "$(runtime.system32)"),
            ("WindowsOld", r"$(runtime.systemDrive)\WindowsOld"),
            ("", "$(runtime.systemDrive)"),
        ] {
            assert_eq!(by_word(folder), word);
            assert_eq!(folder_of(&format!("{word}\\")).as_deref(), Some(folder));
        }
        for bad in [
            "C:\\x",
            "$(runtime.system32)\\..\\x",
            "$(build.nttree)",
            "$(runtime.windows)\\a:b",
            "x",
            "",
        ] {
            assert_eq!(folder_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let xml = component().to_xml().unwrap();
        let parsed = |from: &str, to: &str| Component::parse(xml.replace(from, to).as_bytes());
        assert!(matches!(
            parsed("$(runtime.drivers)", "$(runtime.else)"),
            Err(ServicingError::Folder(_))
        ));
        assert!(matches!(parsed("a&amp;b.sys", r"..\b.sys"), Err(ServicingError::FileName(_))));
        assert!(matches!(parsed("REG_DWORD", "REG_WORD"), Err(ServicingError::Value { .. })));
        assert!(matches!(Component::parse(b"DCM\x01rest"), Err(ServicingError::Compressed)));
        assert!(matches!(Component::parse(b"<a/>"), Err(ServicingError::Xml(_))));
    }
}
