//! The rules: what is a secret, and what is a name of the host. This is the only place that knows.
//!
//! Each looks at one place of a text and says how many bytes from there are to be taken out. Texts are bytes, so that the
//! rules hold for packet captures and dumps as well.

/// The most bytes of a private key: RSA with 16384 bits has some 13,000.
const LONGEST_KEY: usize = 16 * 1024;
/// Shorter values are no secrets that anybody could not guess.
const SHORTEST_TOKEN: usize = 8;

/// A rule by its name, with what stands in its place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Eight groups of six digits: a recovery password of BitLocker.
    RecoveryKey,
    /// A private key in PEM.
    PrivateKey,
    /// What gives access: tokens and passwords.
    Token,
    /// A path of the host.
    HostPath,
    /// The host's name.
    HostName,
    /// The name of who ran it.
    UserName,
}

/// In the order in which they are listed.
pub(crate) const RULES: [Rule; 6] = [
    Rule::RecoveryKey,
    Rule::PrivateKey,
    Rule::Token,
    Rule::HostPath,
    Rule::HostName,
    Rule::UserName,
];

impl Rule {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RecoveryKey => "recovery-key",
            Self::PrivateKey => "private-key",
            Self::Token => "token",
            Self::HostPath => "host-path",
            Self::HostName => "host-name",
            Self::UserName => "user-name",
        }
    }
}

/// What is to be taken out: so many bytes from a place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rule: Rule,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

/// Whether a word may begin at `at`: at the beginning, after what is no letter and no digit, and after an escape of JSON,
/// whose last letter is none of the word (`\nghp_`, `\u001bghp_`).
fn begins_word(text: &[u8], at: usize) -> bool {
    at == 0 || !text[at - 1].is_ascii_alphanumeric() || is_after_escape(text, at)
}

/// Whether what may be an escape of JSON ends before `at`. A backslash before it may be escaped, and then it is none; but
/// a line of JSON within a line of JSON has many, and a word too much taken out is better than a secret left.
fn is_after_escape(text: &[u8], at: usize) -> bool {
    match &text[..at] {
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        [.., b'\\', b'u', a, b, c, d] => [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit),
        _ => false,
    }
}

fn run_of(text: &[u8], from: usize, is: impl Fn(u8) -> bool) -> usize {
    text[from.min(text.len())..].iter().take_while(|byte| is(**byte)).count()
}

/// The secret that begins at `at`, if one does.
pub(crate) fn secret_at(text: &[u8], at: usize) -> Option<Found> {
    let first = *text.get(at)?;
    let found = |rule, start, end| Some(Found { rule, start, end });
    if first.is_ascii_digit() {
        return found(Rule::RecoveryKey, at, recovery_key(text, at)?);
    }
    if first == b'-' {
        return found(Rule::PrivateKey, at, private_key(text, at)?);
    }
    if first == b':' {
        let (start, end) = credentials(text, at)?;
        return found(Rule::Token, start, end);
    }
    if !first.is_ascii_alphabetic() || !begins_word(text, at) {
        return None;
    }
    let (start, end) = token(text, at)?;
    found(Rule::Token, start, end)
}

/// 8 groups of 6 digits with hyphens, as BitLocker shows it.
fn recovery_key(text: &[u8], at: usize) -> Option<usize> {
    if at > 0 && text[at - 1].is_ascii_digit() && !is_after_escape(text, at) {
        return None;
    }
    let mut place = at;
    for group in 0..8 {
        if group > 0 {
            if text.get(place) != Some(&b'-') {
                return None;
            }
            place += 1;
        }
        if run_of(text, place, |byte| byte.is_ascii_digit()) != 6 {
            return None;
        }
        place += 6;
    }
    Some(place)
}

fn private_key(text: &[u8], at: usize) -> Option<usize> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    let rest = &text[at..];
    let kind = rest.strip_prefix(BEGIN)?;
    let label = kind.get(..kind.len().min(48))?;
    let label_end = find(label, b"PRIVATE KEY-----")?;
    if !label[..label_end].iter().all(|byte| byte.is_ascii_uppercase() || *byte == b' ') {
        return None;
    }
    let body = at + BEGIN.len() + label_end + b"PRIVATE KEY-----".len();
    let within = &text[body..text.len().min(body + LONGEST_KEY)];
    // One that is cut off is a key as well.
    let end = match find(within, b"-----END ") {
        Some(end) => {
            let tail = body + end + b"-----END ".len();
            tail + find(&text[tail..text.len().min(tail + 48)], b"-----").map_or(0, |it| it + 5)
        }
        None => body + run_of(within, 0, |byte| is_token(byte) || b"\r\n\\ ".contains(&byte)),
    };
    Some(end)
}

/// `://user:password@host`, from the colon on.
fn credentials(text: &[u8], at: usize) -> Option<(usize, usize)> {
    text[at..].strip_prefix(b"://")?;
    let start = at + 3;
    let long = run_of(text, start, |byte| byte.is_ascii_graphic() && !b"/@\"'<>".contains(&byte));
    (long > 0 && text.get(start + long) == Some(&b'@')).then_some((start, start + long))
}

/// What begins like a token of a known service, or is the value of a name that says it is secret.
fn token(text: &[u8], at: usize) -> Option<(usize, usize)> {
    const KNOWN: [&[u8]; 9] = [
        b"ghp_",
        b"gho_",
        b"ghs_",
        b"ghu_",
        b"github_pat_",
        b"glpat-",
        b"xoxb-",
        b"xoxp-",
        b"AKIA",
    ];
    const SCHEMES: [&[u8]; 2] = [b"bearer ", b"basic "];
    const NAMES: [&[u8]; 11] = [
        b"token",
        b"accesstoken",
        b"refreshtoken",
        b"authtoken",
        b"password",
        b"passwd",
        b"secret",
        b"api_key",
        b"api-key",
        b"apikey",
        b"clientsecret",
    ];
    let rest = &text[at..];
    let long = run_of(rest, 0, |byte| is_token(byte) && byte != b'/');
    if KNOWN.iter().any(|known| rest.starts_with(known)) && long >= 16 {
        return Some((at, at + long));
    }
    // A JSON web token: two dots, and its first part is JSON.
    if rest.starts_with(b"eyJ")
        && long >= 32
        && rest[..long].iter().filter(|it| **it == b'.').count() == 2
    {
        return Some((at, at + long));
    }
    let begins =
        |known: &[u8]| rest.len() >= known.len() && rest[..known.len()].eq_ignore_ascii_case(known);
    if let Some(scheme) = SCHEMES.iter().find(|scheme| begins(scheme)) {
        let start = at + scheme.len();
        let long = run_of(text, start, is_token);
        return (long >= 16).then_some((start, start + long));
    }
    let name = NAMES.iter().filter(|name| begins(name)).max_by_key(|name| name.len())?;
    let mut place = at + name.len();
    let mut skip = |bytes: &[u8], most: usize| {
        let long = run_of(text, place, |byte| bytes.contains(&byte)).min(most);
        place += long;
        long
    };
    skip(b"\\\"'", 2);
    skip(b" ", 1);
    if skip(b":=", 1) == 0 {
        return None;
    }
    skip(b" ", 1);
    skip(b"\\\"'", 2);
    let long =
        run_of(text, place, |byte| byte.is_ascii_graphic() && !b"\"'\\,;<>{}[]()".contains(&byte));
    (long >= SHORTEST_TOKEN).then_some((place, place + long))
}

/// Where `what` begins.
pub(crate) fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

/// The path of the host that begins at `at`: below one of `roots`, the first names of host's paths, or of `folders`, which
/// are known as a whole. What is taken out ends before the last name, which says what file it was.
pub(crate) fn host_path(
    text: &[u8],
    at: usize,
    roots: &[String],
    folders: &[String],
) -> Option<Found> {
    if text.get(at) != Some(&b'/') {
        return None;
    }
    let before = at.checked_sub(1).and_then(|before| text.get(before)).copied();
    let fits = before
        .is_none_or(|byte| byte.is_ascii_whitespace() || b"\"'`=([{,;:>".contains(&byte))
        || is_after_escape(text, at)
        || text[..at].ends_with(b"file://");
    if !fits || text.get(at + 1) == Some(&b'/') {
        return None;
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let first = run_of(text, at + 1, is_name);
    let name = &text[at + 1..at + 1 + first];
    let is_below_root =
        roots.iter().any(|root| root.as_bytes() == name) && text.get(at + 1 + first) == Some(&b'/');
    let is_in = |folder: &&String| {
        text[at..].strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
    };
    let sure = folders.iter().filter(is_in).map(String::len).max();
    let sure = sure.or(is_below_root.then_some(1 + first))?;
    // In quotes a path may have blanks.
    let ends = |byte: u8| match before {
        Some(quote @ (b'"' | b'\'' | b'`')) => byte == quote || byte < b' ' || byte == b'\\',
        _ => byte <= b' ' || b"\"'`,;)]}>\\".contains(&byte),
    };
    // What is known may have any character.
    let long = sure + run_of(text, at + sure, |byte| !ends(byte));
    let last = text[at..at + long].iter().rposition(|byte| *byte == b'/')?;
    Some(Found { rule: Rule::HostPath, start: at, end: at + last.max(sure) })
}

/// A name as a whole word.
pub(crate) fn name_at(text: &[u8], at: usize, name: &str, rule: Rule) -> Option<Found> {
    let end = at + name.len();
    let fits = text[at..].starts_with(name.as_bytes())
        && (at == 0 || !is_word(text[at - 1]) || is_after_escape(text, at))
        && !text.get(end).copied().is_some_and(is_word);
    fits.then_some(Found { rule, start: at, end })
}
