//! Values of the registry as manifests write them.

use crate::hive::{Data, ValueType};

/// The `value` of a `registryValue`; `None` of data that is no canonical value of its type and would not read back.
pub(super) fn written(data: &Data) -> Option<String> {
    let text = match data.kind {
        ValueType::String | ValueType::ExpandString => data.as_string()?,
        ValueType::MultiString => {
            let texts = data.as_multi_string()?;
            if texts.iter().any(|text| text.contains('"')) {
                return None;
            }
            let quoted: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
            quoted.join(",")
        }
        ValueType::Dword => format!("0x{:08x}", data.as_dword()?),
        ValueType::Qword => format!("0x{:016x}", data.as_qword()?),
        ValueType::None | ValueType::Binary => {
            data.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        }
        _ => return None,
    };
    (read(&data.kind.to_string(), &text).as_ref() == Some(data)).then_some(text)
}

/// The data of a `registryValue`; `None` where it is not one of the types that are known here.
pub(super) fn read(kind: &str, text: &str) -> Option<Data> {
    let kind: ValueType = kind.parse().ok()?;
    match kind {
        ValueType::MultiString if text.is_empty() => Some(Data::multi_string::<&str>([])),
        ValueType::MultiString => {
            let inner = text.strip_prefix('"')?.strip_suffix('"')?;
            let texts: Vec<&str> = inner.split("\",\"").collect();
            texts.iter().all(|text| !text.contains('"')).then_some(())?;
            Data::from_text(kind, &texts).ok()
        }
        ValueType::Other(_) => None,
        _ => Data::from_text(kind, &[text]).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{read, written};
    use crate::hive::{Data, ValueType};

    #[test]
    fn what_is_written_reads_back_and_nothing_else_is_written() {
        for (data, text) in [
            (Data::string("a <b>"), "a <b>"),
            (Data::expand_string(r"%SystemRoot%\x"), r"%SystemRoot%\x"),
            (Data::dword(4), "0x00000004"),
            (Data::qword(1 << 40), "0x0000010000000000"),
            (Data::binary([1, 0xff]), "01ff"),
            (Data::binary([]), ""),
            (Data::multi_string(["a", "b,c"]), r#""a","b,c""#),
            (Data::multi_string::<&str>([]), ""),
        ] {
            assert_eq!(written(&data).as_deref(), Some(text));
            assert_eq!(read(&data.kind.to_string(), text), Some(data));
        }
        for odd in [
            Data { kind: ValueType::String, bytes: vec![b'a', 0] },
            Data { kind: ValueType::Dword, bytes: vec![1] },
            Data { kind: ValueType::Other(0x1234), bytes: vec![1] },
            Data::multi_string(["a\"b"]),
        ] {
            assert_eq!(written(&odd), None, "{odd:?}");
        }
        assert_eq!(read("REG_MULTI_SZ", r#""a",b"#), None);
        assert_eq!(read("REG_DWORD", "four"), None);
    }
}
