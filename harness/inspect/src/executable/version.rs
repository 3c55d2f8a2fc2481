//! The version resource (Microsoft, "VS_VERSIONINFO structure").

use serde::{Deserialize, Serialize};

use super::headers::Headers;
use super::{u16_at, u32_at};

const RT_VERSION: u32 = 16;
/// Entries of one resource directory that are looked at.
const MAX_ENTRIES: usize = 512;
/// A version resource is a few kilobytes.
const MAX_SIZE: usize = 64 << 10;
const MAX_CHILDREN: usize = 256;
const MAX_TEXT: usize = 256;

/// What a version resource says. The numbers are binary and the same in every language; the texts are
/// those of the first language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Version {
    /// Four numbers with dots.
    pub file: String,
    /// Four numbers with dots.
    pub product: String,
    /// `CompanyName`.
    pub company: Option<String>,
    /// `FileDescription`.
    pub description: Option<String>,
    /// `OriginalFilename`.
    pub original_name: Option<String>,
    /// `ProductName`.
    pub product_name: Option<String>,
}

pub(super) fn read(bytes: &[u8], headers: &Headers) -> Result<Option<Version>, &'static str> {
    let Some((address, _)) = headers.resources else { return Ok(None) };
    let resources =
        headers.at_address(bytes, address).ok_or("its resources lie outside the file")?;
    let Some(kind) = entry(resources, 0, Some(RT_VERSION))? else { return Ok(None) };
    let name = entry(resources, below(kind)?, None)?.ok_or("its version resource is empty")?;
    let language = entry(resources, below(name)?, None)?.ok_or("its version resource is empty")?;
    if language & 0x8000_0000 != 0 {
        return Err("its resources are nested too deep");
    }
    let data = language as usize;
    let place = u32_at(resources, data).ok_or("its version resource lies outside the file")?;
    let size = u32_at(resources, data + 4).ok_or("its version resource lies outside the file")?;
    let block = headers
        .at_address(bytes, place)
        .and_then(|block| block.get(..size as usize))
        .ok_or("its version resource lies outside the file")?;
    parse(block.get(..MAX_SIZE).unwrap_or(block)).map(Some)
}

/// The offset in an entry of a resource directory: the one with an id, or the first one.
fn entry(resources: &[u8], at: usize, id: Option<u32>) -> Result<Option<u32>, &'static str> {
    let cut = "its resources are cut off";
    let named = usize::from(u16_at(resources, at + 12).ok_or(cut)?);
    let numbered = usize::from(u16_at(resources, at + 14).ok_or(cut)?);
    for index in 0..(named + numbered).min(MAX_ENTRIES) {
        let own = u32_at(resources, at + 16 + 8 * index).ok_or(cut)?;
        if id.is_none_or(|id| id == own) {
            return u32_at(resources, at + 20 + 8 * index).ok_or(cut).map(Some);
        }
    }
    Ok(None)
}

/// Where the directory is that an entry leads to.
fn below(entry: u32) -> Result<usize, &'static str> {
    match entry & 0x8000_0000 {
        0 => Err("its resources are not nested as they should be"),
        _ => Ok((entry & 0x7fff_ffff) as usize),
    }
}

/// One block: its key, its value, and the blocks in it.
struct Block<'b> {
    key: String,
    value: &'b [u8],
    children: &'b [u8],
    size: usize,
}

fn block(bytes: &[u8]) -> Option<Block<'_>> {
    let size = usize::from(u16_at(bytes, 0)?);
    let bytes = bytes.get(..size).filter(|_| size >= 6)?;
    let text = u16_at(bytes, 4)? == 1;
    let units: Vec<u16> = (6..size).step_by(2).map_while(|at| u16_at(bytes, at)).collect();
    let end = units.iter().position(|&unit| unit == 0)?;
    let value_at = (6 + 2 * (end + 1)).next_multiple_of(4);
    // Texts count in characters, and some writers in bytes; a text ends at its terminator.
    let length = usize::from(u16_at(bytes, 2)?) * if text { 2 } else { 1 };
    let value = bytes.get(value_at..value_at.saturating_add(length));
    let value = value.or_else(|| bytes.get(value_at..)).unwrap_or_default();
    let children = bytes.get((value_at + value.len()).next_multiple_of(4)..).unwrap_or_default();
    Some(Block { key: String::from_utf16_lossy(&units[..end]), value, children, size })
}

fn children<'b>(mut bytes: &'b [u8]) -> impl Iterator<Item = Block<'b>> {
    std::iter::from_fn(move || {
        let next = block(bytes)?;
        bytes = bytes.get(next.size.next_multiple_of(4)..).unwrap_or_default();
        Some(next)
    })
    .take(MAX_CHILDREN)
}

fn parse(bytes: &[u8]) -> Result<Version, &'static str> {
    let root = block(bytes).ok_or("its version resource is damaged")?;
    if root.key != "VS_VERSION_INFO" || u32_at(root.value, 0) != Some(0xfeef_04bd) {
        return Err("its version resource is damaged");
    }
    let four = |at: usize| -> Option<String> {
        let (high, low) = (u32_at(root.value, at)?, u32_at(root.value, at + 4)?);
        Some(format!("{}.{}.{}.{}", high >> 16, high & 0xffff, low >> 16, low & 0xffff))
    };
    let numbers = four(8).zip(four(16)).ok_or("its version resource is damaged")?;
    let mut version = Version { file: numbers.0, product: numbers.1, ..Version::default() };
    let tables = children(root.children)
        .filter(|own| own.key == "StringFileInfo")
        .filter_map(|own| children(own.children).next());
    if let Some(table) = tables.into_iter().next() {
        for text in children(table.children) {
            let slot = match text.key.as_str() {
                "CompanyName" => &mut version.company,
                "FileDescription" => &mut version.description,
                "OriginalFilename" => &mut version.original_name,
                "ProductName" => &mut version.product_name,
                _ => continue,
            };
            let units =
                text.value.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            let units: Vec<u16> = units.take_while(|&unit| unit != 0).take(MAX_TEXT).collect();
            *slot = Some(String::from_utf16_lossy(&units).trim().to_owned());
        }
    }
    Ok(version)
}
