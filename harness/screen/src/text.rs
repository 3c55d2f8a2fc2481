//! What the text of a stop screen says, read with a reader's mistakes.
//!
//! Only what is the same in every language is looked for: names of stop codes, hexadecimal numbers,
//! names of modules. Readers take a 0 for an O, a B for an 8, a 1 for an l, and lose digits; a name of twenty
//! letters survives that, a number does not. So where the two disagree, the name is believed; and a number alone
//! counts only where the whole stop line is as Windows writes it, with all digits of its code and of its four
//! parameters. Else the code could not be read, which is better than a guess.

use winfmt::bugcheck;

/// What was found in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The stop code.
    pub code: Option<u32>,
    /// Its name.
    pub name: Option<&'static str>,
    /// Its four parameters, in hexadecimal on the screen.
    pub parameters: Option<[u64; 4]>,
    /// The first name of a module, lower case.
    pub module: Option<String>,
    /// A status of the boot manager (`0xC000000F`).
    pub status: Option<u32>,
    /// What does not fit together.
    pub doubt: Option<String>,
}

impl Found {
    /// True where a stop was read.
    pub fn is_stop(&self) -> bool {
        self.code.is_some()
    }
}

/// Longest text that is looked at.
const LONGEST: usize = 16 * 1024;

/// Reads the text of a screen, as a reader with its mistakes took it from there.
pub fn read(text: &str) -> Found {
    look(text, false)
}

/// Reads a text that has no mistakes, such as that of a QR code.
pub(crate) fn read_exact(text: &str) -> Found {
    look(text, true)
}

fn look(text: &str, exact: bool) -> Found {
    let text: String = text.chars().take(LONGEST).collect();
    let name = named(&text);
    let numbers = numbers(&text);
    let number = stop_number(&numbers);
    let status = numbers
        .iter()
        .flatten()
        .filter_map(|number| u32::try_from(number.value).ok())
        .find(|value| (0xC000_0000..0xC001_0000).contains(value));
    let whole = number.filter(|number| number.is_whole || exact);
    let code = name.map(|(code, _)| code).or(whole.map(|number| number.code));
    let doubt = match (name, number) {
        (Some((code, name)), Some(StopNumber { code: number, .. })) if code != number => {
            Some(format!("the name {name} is that of 0x{code:X}, the number reads 0x{number:X}"))
        }
        (None, Some(number)) if whole.is_none() => Some(format!(
            "the stop line could not be read: 0x{:X} is a guess without its name and all of its parameters",
            number.code
        )),
        _ => None,
    };
    Found {
        code,
        name: name.map(|(_, name)| name).or_else(|| code.and_then(bugcheck::name)),
        parameters: number.filter(|_| code.is_some()).and_then(|number| number.parameters),
        module: code.and_then(|_| module(&text)),
        status: status.filter(|_| code.is_none()),
        doubt,
    }
}

/// The longest name of a stop code in the text: `FOO_BAR` is part of `FOO_BAR_M`. Underscores are often
/// lost, so letters and digits count alone.
fn named(text: &str) -> Option<(u32, &'static str)> {
    // A name stands on one line.
    let lines: Vec<String> = text.lines().map(plain).collect();
    bugcheck::names()
        .filter(|(_, name)| name.len() >= 10 && name.contains('_'))
        .filter(|(_, name)| {
            let name = plain(name);
            lines.iter().any(|line| line.contains(&name))
        })
        .max_by_key(|(_, name)| name.len())
}

fn plain(text: &str) -> String {
    let same = |c: char| match c.to_ascii_uppercase() {
        '0' => 'O',
        '1' | '|' => 'I',
        '5' => 'S',
        upper => upper,
    };
    text.chars().map(same).filter(char::is_ascii_alphanumeric).collect()
}

/// A hexadecimal number, and of how many digits it was read.
#[derive(Debug, Clone, Copy)]
struct Number {
    value: u64,
    digits: usize,
}

/// The hexadecimal numbers of each line.
fn numbers(text: &str) -> Vec<Vec<Number>> {
    text.lines()
        .map(|line| {
            let chars: Vec<char> = line.chars().collect();
            let mut values = Vec::new();
            let mut at = 0;
            while at + 2 < chars.len() {
                let zero = matches!(chars[at], '0' | 'O' | 'o' | '@' | 'Q' | 'C' | '(');
                let before = at.checked_sub(1).map(|before| chars[before]);
                let begins = before.is_none_or(|c| !c.is_ascii_alphanumeric() || c == 'C');
                if zero && begins && matches!(chars[at + 1], 'x' | 'X') {
                    let digits: String =
                        chars[at + 2..].iter().map_while(|c| hex_digit(*c)).take(17).collect();
                    at += 2 + digits.len();
                    if (1..=16).contains(&digits.len())
                        && let Ok(value) = u64::from_str_radix(&digits, 16)
                    {
                        values.push(Number { value, digits: digits.len() });
                    }
                } else {
                    at += 1;
                }
            }
            values
        })
        .collect()
}

/// A hexadecimal digit, or what readers take one for.
fn hex_digit(c: char) -> Option<char> {
    match c {
        '0'..='9' | 'A'..='F' | 'a'..='f' => Some(c),
        'O' | 'o' | 'Q' | '@' => Some('0'),
        'l' | 'I' | '|' => Some('1'),
        'Z' | 'z' => Some('2'),
        'S' | 's' => Some('5'),
        'G' => Some('6'),
        _ => None,
    }
}

/// A number that is a stop code, with what stands behind it.
#[derive(Debug, Clone, Copy)]
struct StopNumber {
    code: u32,
    parameters: Option<[u64; 4]>,
    /// Code and parameters have all their digits: eight, and eight or sixteen each.
    is_whole: bool,
}

/// The first number that is a stop code with a name, and what follows it as parameters.
fn stop_number(lines: &[Vec<Number>]) -> Option<StopNumber> {
    let (index, at, code) = lines.iter().enumerate().find_map(|(index, line)| {
        line.iter().enumerate().find_map(|(at, number)| {
            let code = u32::try_from(number.value).ok()?;
            bugcheck::name(code).map(|_| (index, at, code))
        })
    })?;
    // The last of the four may stand on the next line.
    let next = lines.get(index + 1).map_or(&[][..], |next| &next[..]);
    let rest: Vec<Number> = lines[index][at + 1..].iter().chain(next).copied().collect();
    let digits = rest.first().map_or(0, |first| first.digits);
    // A digit that was lost makes another number of it.
    let even = matches!(digits, 8 | 16) && rest.iter().all(|number| number.digits == digits);
    let values: Vec<u64> = rest.iter().map(|number| number.value).collect();
    let parameters = <[u64; 4]>::try_from(values).ok().filter(|_| even);
    let is_whole = parameters.is_some() && lines[index][at].digits == 8;
    Some(StopNumber { code, parameters, is_whole })
}

/// The first thing that looks like the name of a kernel module.
fn module(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.split(|c: char| !plain(c)).find_map(|word| {
        let word = word.trim_matches('.').to_ascii_lowercase();
        let (stem, extension) = word.rsplit_once('.')?;
        let fits = (1..=60).contains(&stem.len()) && matches!(extension, "sys" | "dll" | "exe");
        fits.then_some(word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_clean_stop_line() {
        let found = read(
            "PAGE_FAULT_IN_NONPAGED_AREA\n*** STOP: 0x00000050 \
             (0xF1234568,0x00000000,0xF710C00F,0x00000000)\n***  csagent.sys - Address F710C00F",
        );
        assert_eq!(found.code, Some(0x50));
        assert_eq!(found.parameters, Some([0xF123_4568, 0, 0xF710_C00F, 0]));
        assert_eq!(found.module.as_deref(), Some("csagent.sys"));
        assert_eq!(found.doubt, None);
    }

    #[test]
    fn what_readers_make_of_it() {
        // As tesseract 5.3 read the pictures.
        let found = read(
            "SYSTEM SERVICE_EXCEPTION\nwee STOP: OxO000003B COx00000000C000001D, \
             OxFFFFF800010495C6, OxFFFFFADFSEF6F240, 0\nxoooooo0000000000)",
        );
        assert_eq!((found.code, found.name), (Some(0x3B), Some("SYSTEM_SERVICE_EXCEPTION")));
        let found = read("DRIVER_CORRUPTED_MMPOOL\n\u{201c}STOP: 0x90000000 (0x00000008");
        assert_eq!((found.code, found.parameters), (Some(0xD0), None));
        let found = read("Stop code: PAGE_FAULT_IN_NONPAGED_AREA (@x5Q)\nWhat failed: csagent.sys");
        assert_eq!((found.code, found.module.as_deref()), (Some(0x50), Some("csagent.sys")));
        let found = read("SYSTEM_SERVICE_EXCEPTION\n*** STOP: 0x00000050 (");
        assert_eq!(found.code, Some(0x3B), "the name is believed");
        assert!(found.doubt.is_some());
    }

    #[test]
    fn a_number_alone_counts_only_as_a_whole() {
        let line = "*** STOP: 0x0000001E (0xC0000005,0xF6FF0084,0xF75E282C,0x00000000)";
        let found = read(line);
        assert_eq!((found.code, found.name), (Some(0x1E), Some("KMODE_EXCEPTION_NOT_HANDLED")));
        assert_eq!(found.parameters, Some([0xC000_0005, 0xF6FF_0084, 0xF75E_282C, 0]));
        for (right, wrong) in [
            // A digit is lost, in the code or in a parameter, or a parameter is not there.
            ("0x0000001E", "0x000001E"),
            ("0x0000001E", "0x0000000000F"),
            ("0xC0000005", "0xC000005"),
            (",0x00000000", ""),
        ] {
            let found = read(&line.replace(right, wrong));
            assert_eq!((found.code, found.parameters), (None, None), "{wrong}");
            assert!(found.doubt.is_some(), "{wrong}");
        }
    }

    #[test]
    fn other_texts_are_no_stops() {
        for text in ["", "0x", "C:\\> dir csagent.sys", "Error code: 0xc000000f", "0x12345678"] {
            assert!(!read(text).is_stop(), "{text}");
        }
        assert_eq!(read("Error code: 0xc000000f").status, Some(0xC000_000F));
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in ".{0,300}", hex in "[0Oox@Q,() \n0-9A-Fa-fSl]{0,200}") {
            let _ = read(&text);
            let _ = read(&hex);
        }
    }
}
