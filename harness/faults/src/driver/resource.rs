//! The version resource of a driver: what Windows shows on the file's details page and crash analysis
//! quotes (Microsoft: "VS_VERSIONINFO structure").

use super::checksum::{checksum_field, patch_checksum};

const RT_VERSION: u32 = 16;
const LANGUAGE: u32 = 0x0409;
const UNICODE: u32 = 1200;
/// What VS_FIXEDFILEINFO begins with: signature and version of the structure.
const FIXED_BEGIN: [u32; 2] = [0xfeef_04bd, 0x0001_0000];

/// Name and version in the version resource, and on the image itself.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) file_name: String,
    pub(crate) description: String,
    pub(crate) version: [u16; 4],
}

/// The bytes of a `.rsrc` section that lies at `base` relative to the image and holds one version
/// resource.
pub(crate) fn version(identity: &Identity, base: u32) -> Vec<u8> {
    let block = version_info(identity);
    let mut bytes = Vec::new();
    // Three levels of directories with one entry each: type, name, language.
    for (id, next) in [(RT_VERSION, 0x18 | 0x8000_0000), (1, 0x30 | 0x8000_0000), (LANGUAGE, 0x48)]
    {
        bytes.extend_from_slice(&[0; 14]);
        bytes.extend_from_slice(&1u16.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
        bytes.extend_from_slice(&u32::to_le_bytes(next));
    }
    // IMAGE_RESOURCE_DATA_ENTRY: address, size, code page, reserved.
    for field in [base + 0x58, block.len() as u32, 0, 0] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(&block);
    bytes
}

/// Puts another version into a program that has a version resource, and corrects its checksum. Both the
/// file's and the product's number are changed; the texts beside them stay.
///
/// # Errors
/// The program has no version resource.
pub(crate) fn set_version(image: &mut [u8], version: [u16; 4]) -> Result<(), &'static str> {
    let begin: Vec<u8> = FIXED_BEGIN.into_iter().flat_map(u32::to_le_bytes).collect();
    let at = image
        .windows(begin.len())
        .position(|window| window == begin)
        .ok_or("it is not a program with a version resource")?;
    let [major, minor, build, revision] = version.map(u32::from);
    let words = [major << 16 | minor, build << 16 | revision].repeat(2);
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    image
        .get_mut(at + begin.len()..)
        .and_then(|rest| rest.get_mut(..bytes.len()))
        .ok_or("its version resource is cut off")?
        .copy_from_slice(&bytes);
    // The image is a guest's.
    if image.len() < 0x40 || checksum_field(image) + 4 > image.len() {
        return Err("it is not a PE image");
    }
    patch_checksum(image);
    Ok(())
}

fn version_info(identity: &Identity) -> Vec<u8> {
    let [major, minor, build, revision] = identity.version.map(u32::from);
    let dotted = identity.version.map(|part| part.to_string()).join(".");
    let words = [
        FIXED_BEGIN[0],
        FIXED_BEGIN[1],
        major << 16 | minor,
        build << 16 | revision,
        major << 16 | minor,
        build << 16 | revision,
        0x3f,
        0,
        0x0004_0004, // VOS_NT_WINDOWS32
        3,           // VFT_DRV
        7,           // VFT2_DRV_SYSTEM
        0,
        0,
    ];
    let fixed: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let strings = [
        ("CompanyName", "loopbreak project"),
        ("FileDescription", identity.description.as_str()),
        ("FileVersion", dotted.as_str()),
        ("InternalName", identity.file_name.as_str()),
        ("LegalCopyright", "Apache-2.0 OR MIT"),
        ("OriginalFilename", identity.file_name.as_str()),
        ("ProductName", "loopbreak test driver, not a product of any vendor"),
        ("ProductVersion", dotted.as_str()),
    ];
    let strings: Vec<Vec<u8>> = strings
        .into_iter()
        .map(|(name, value)| {
            let mut text = utf16(value);
            text.extend_from_slice(&[0, 0]);
            // The length of a text is counted in characters.
            block(name, 1, (text.len() / 2) as u16, &text, &[])
        })
        .collect();
    let table = block(&format!("{LANGUAGE:04X}{UNICODE:04X}"), 1, 0, &[], &strings);
    let translation = (UNICODE << 16 | LANGUAGE).to_le_bytes();
    let variable = block("Translation", 0, 4, &translation, &[]);
    let children = [
        block("StringFileInfo", 1, 0, &[], &[table]),
        block("VarFileInfo", 1, 0, &[], &[variable]),
    ];
    block("VS_VERSION_INFO", 0, fixed.len() as u16, &fixed, &children)
}

/// One block: length, length of the value, type, key, value, children, each aligned to 4.
fn block(key: &str, kind: u16, value_length: u16, value: &[u8], children: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0, 0];
    bytes.extend_from_slice(&value_length.to_le_bytes());
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&utf16(key));
    bytes.extend_from_slice(&[0, 0]);
    align(&mut bytes);
    bytes.extend_from_slice(value);
    for child in children {
        align(&mut bytes);
        bytes.extend_from_slice(child);
    }
    let length = (bytes.len() as u16).to_le_bytes();
    bytes[..2].copy_from_slice(&length);
    bytes
}

fn align(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
