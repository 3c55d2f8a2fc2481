//! Small XML files of Windows: decoding and bounded reading.

use roxmltree::{Document, Node, ParsingOptions};

/// Settings files are a few hundred bytes.
const MAX_SIZE: usize = 1 << 20;
const MAX_NODES: u32 = 10_000;

/// Why an XML file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Far larger than any such file.
    #[error("the file has {size} bytes, more than {MAX_SIZE}; it is not read")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// Neither UTF-8 nor UTF-16.
    #[error("the file is neither UTF-8 nor UTF-16 with a byte order mark")]
    Encoding,
    /// No well-formed XML.
    #[error("the file is not well-formed XML: {0}")]
    Syntax(String),
    /// Another document.
    #[error("the root element is `{found}`, it should be `{wanted}`")]
    Root {
        /// The root element.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
}

/// The text of a file in UTF-8 (with or without byte order mark) or UTF-16 with one.
pub(crate) fn decode(bytes: &[u8]) -> Result<String, XmlError> {
    if bytes.len() > MAX_SIZE {
        return Err(XmlError::TooLarge { size: bytes.len() });
    }
    let units = |from_bytes: fn([u8; 2]) -> u16| {
        let units: Vec<u16> =
            bytes[2..].chunks_exact(2).map(|pair| from_bytes([pair[0], pair[1]])).collect();
        String::from_utf16(&units).map_err(|_| XmlError::Encoding)
    };
    match bytes {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => text(rest),
        _ => text(bytes),
    }
}

fn text(bytes: &[u8]) -> Result<String, XmlError> {
    // Some writers pad the file with NULs.
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    std::str::from_utf8(&bytes[..end]).map(str::to_owned).map_err(|_| XmlError::Encoding)
}

/// Parses a document whose root element is `WindowsRE`.
pub(crate) fn parse_windows_re(text: &str) -> Result<Document<'_>, XmlError> {
    parse(text, "WindowsRE")
}

/// Parses a document with this root element.
pub(crate) fn parse<'t>(text: &'t str, wanted: &'static str) -> Result<Document<'t>, XmlError> {
    let options =
        ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| XmlError::Syntax(error.to_string()))?;
    let root = document.root_element();
    if !named(root, wanted) {
        return Err(XmlError::Root { found: root.tag_name().name().to_owned(), wanted });
    }
    Ok(document)
}

/// Whether an element has a name; case does not matter to the readers in Windows.
pub(crate) fn named(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name().eq_ignore_ascii_case(name)
}

/// An attribute, whatever its case.
pub(crate) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes().find(|own| own.name().eq_ignore_ascii_case(name)).map(|own| own.value())
}
