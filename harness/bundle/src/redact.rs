//! Taking out what the rules find: in texts by a word in its place, in everything else by stars of the same length, so
//! that captures and dumps can still be read.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::Redaction;
use crate::rules::{Found, RULES, Rule, host_path, name_at, secret_at};

/// Names of the host and of who uses it. A name that cannot be told from other words is not looked for, and that is told.
#[derive(Debug, Clone, Default)]
pub struct HostNames {
    /// What the host is called.
    pub host: Option<String>,
    /// Who runs the command.
    pub user: Option<String>,
    /// Folders of the host that are known: the state directory, those of the scenarios, home. The first name of each begins
    /// a path of the host.
    pub paths: Vec<String>,
    /// Words that a run needs: names of images and scenarios, and what its record is made of. A name that is one of them
    /// is not taken out.
    pub needed: BTreeSet<String>,
}

/// First names of paths on hosts. A run that was brought from another host has its paths, too.
const ROOTS: [&str; 19] = [
    "home",
    "root",
    "Users",
    "tmp",
    "var",
    "usr",
    "opt",
    "srv",
    "mnt",
    "media",
    "run",
    "etc",
    "nix",
    "work",
    "workspace",
    "builds",
    "data",
    "private",
    "scratch",
];
/// They are in no path that tells of somebody.
const NEUTRAL: [&str; 4] = ["dev", "proc", "sys", "machine"];
/// Names that many hosts and users have, and that are words of their own.
const COMMON: [&str; 5] = ["root", "localhost", "user", "admin", "build"];
/// A shorter name is part of too many texts.
const SHORTEST_NAME: usize = 4;

/// The rules with the names of one host, and what they have found so far.
#[derive(Debug)]
pub struct Redactor {
    roots: Vec<String>,
    folders: Vec<String>,
    names: Vec<(Rule, String)>,
    not_searched: Vec<String>,
    count: BTreeMap<Rule, (u64, u64)>,
}

impl Redactor {
    /// The rules for what a host recorded.
    pub fn new(host: &HostNames) -> Self {
        let firsts = host.paths.iter().filter_map(|path| path.strip_prefix('/')?.split('/').next());
        let roots: BTreeSet<&str> = ROOTS.into_iter().chain(firsts).collect();
        let roots = roots.into_iter().filter(|root| !root.is_empty() && !NEUTRAL.contains(root));
        let (mut names, mut not_searched) = (Vec::new(), Vec::new());
        for (rule, what, name) in
            [(Rule::HostName, "host", &host.host), (Rule::UserName, "user", &host.user)]
        {
            let Some(name) = name else {
                not_searched.push(format!("the {what}'s name, which is not known"));
                continue;
            };
            if COMMON.contains(&name.as_str()) {
                not_searched.push(format!("the {what}'s name, which is a common one"));
            } else if name.len() < SHORTEST_NAME || host.needed.contains(name) {
                not_searched
                    .push(format!("the {what}'s name, which cannot be told from other words"));
            } else {
                names.push((rule, name.clone()));
            }
        }
        not_searched.push("pictures of the display, which are as they were".to_owned());
        not_searched.push(
            "names and paths of the host in files that are no text; secrets in them are, as plain and as UTF-16 text"
                .to_owned(),
        );
        not_searched.push("what is compressed or encrypted within a file".to_owned());
        // One name alone would be found as a root, or is of no one host.
        let folders = host.paths.iter().filter(|path| path.matches('/').count() > 1);
        Self {
            roots: roots.map(str::to_owned).collect(),
            folders: folders.map(|path| as_in_json(path.trim_end_matches('/'))).collect(),
            names,
            not_searched,
            count: BTreeMap::new(),
        }
    }

    /// A file's content without what the rules find. `picture`: it is left as it is.
    pub fn redact(&mut self, content: Vec<u8>, picture: bool) -> Vec<u8> {
        if picture {
            return content;
        }
        let (content, found) = match String::from_utf8(content) {
            Ok(text) if !text.contains('\0') => self.text(&text),
            Ok(text) => masked(text.into_bytes()),
            Err(error) => masked(error.into_bytes()),
        };
        let mut rules = BTreeSet::new();
        for rule in found {
            let count = self.count.entry(rule).or_default();
            count.0 += 1;
            count.1 += u64::from(rules.insert(rule));
        }
        content
    }

    fn text(&self, text: &str) -> (Vec<u8>, Vec<Rule>) {
        let bytes = text.as_bytes();
        let (mut out, mut rules, mut at, mut kept) =
            (Vec::with_capacity(bytes.len()), Vec::new(), 0, 0);
        while at < bytes.len() {
            let name =
                || self.names.iter().find_map(|(rule, name)| name_at(bytes, at, name, *rule));
            let found = secret_at(bytes, at)
                .or_else(|| host_path(bytes, at, &self.roots, &self.folders))
                .or_else(name);
            let Some(Found { rule, start, end }) = found else {
                at += 1;
                continue;
            };
            out.extend_from_slice(&bytes[kept..start]);
            let word = if rule == Rule::HostPath { "host" } else { rule.name() };
            out.extend_from_slice(format!("<{word}>").as_bytes());
            rules.push(rule);
            (at, kept) = (end, end);
        }
        out.extend_from_slice(&bytes[kept..]);
        (out, rules)
    }

    /// What was found, by rule.
    pub fn found(&self) -> Vec<Redaction> {
        let of = |rule: Rule| {
            let (count, files) = self.count.get(&rule).copied().unwrap_or_default();
            Redaction { rule: rule.name().to_owned(), count, files }
        };
        RULES.into_iter().map(of).collect()
    }

    /// What the rules do not reach.
    pub fn not_searched(&self) -> Vec<String> {
        self.not_searched.clone()
    }
}

/// A path as a record has it: a quote and a backslash in it are escaped.
fn as_in_json(path: &str) -> String {
    let text = serde_json::Value::from(path).to_string();
    text[1..text.len() - 1].to_owned()
}

/// The words that a file of JSON, or of lines of JSON, is made of: every key, and every value that is one plain word, as
/// names of kinds and verdicts are. What is no JSON has none.
pub fn words_of(content: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for value in serde_json::Deserializer::from_str(content).into_iter::<serde_json::Value>() {
        let Ok(value) = value else { break };
        let mut pending = vec![value];
        while let Some(value) = pending.pop() {
            match value {
                serde_json::Value::Object(map) => {
                    for (key, value) in map {
                        words.insert(key);
                        pending.push(value);
                    }
                }
                serde_json::Value::Array(values) => pending.extend(values),
                serde_json::Value::String(text)
                    if text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') =>
                {
                    words.insert(text);
                }
                _ => {}
            }
        }
    }
    words
}

/// Secrets in what is no text, plain and in both places where a UTF-16 text can lie.
fn masked(mut content: Vec<u8>) -> (Vec<u8>, Vec<Rule>) {
    let mut rules = Vec::new();
    mask(&mut content, 0, 1, &mut rules);
    mask(&mut content, 0, 2, &mut rules);
    mask(&mut content, 1, 2, &mut rules);
    (content, rules)
}

fn mask(content: &mut [u8], first: usize, step: usize, rules: &mut Vec<Rule>) {
    let lane: Vec<u8> = match step {
        1 => content.to_vec(),
        // What is no Latin letter of UTF-16 is part of nothing.
        _ => content[first.min(content.len())..]
            .chunks_exact(2)
            .map(|unit| if unit[1] == 0 { unit[0] } else { 0 })
            .collect(),
    };
    let mut at = 0;
    while at < lane.len() {
        let Some(Found { rule, start, end }) = secret_at(&lane, at) else {
            at += 1;
            continue;
        };
        for place in start..end {
            content[first + place * step] = b'*';
        }
        rules.push(rule);
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> HostNames {
        HostNames {
            host: Some("build-17".to_owned()),
            user: Some("jdoe".to_owned()),
            paths: vec!["/ci/state".to_owned(), r#"/dev/shm/a "b"/c"#.to_owned()],
            needed: BTreeSet::new(),
        }
    }

    fn text(text: &str) -> String {
        let redacted = Redactor::new(&names()).redact(text.as_bytes().to_vec(), false);
        String::from_utf8(redacted).unwrap()
    }

    const KEY: &str = "111111-222222-333333-444444-555555-666666-000011-123456";

    #[test]
    fn each_rule_takes_out_what_it_is_for_and_nothing_beside_it() {
        for (before, after) in [
            (format!("key {KEY}."), "key <recovery-key>."),
            (format!("{KEY}-1"), "<recovery-key>-1"),
            ("111111-222222-333333".to_owned(), "111111-222222-333333"),
            (
                "x-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----\ny".to_owned(),
                "x<private-key>\ny",
            ),
            (
                r#"{"key":"-----BEGIN PRIVATE KEY-----\nMHc=\nAA","b":1}"#.to_owned(),
                r#"{"key":"<private-key>","b":1}"#,
            ),
            (
                "-----BEGIN CERTIFICATE-----\nMHc=\n-----END CERTIFICATE-----".to_owned(),
                "-----BEGIN CERTIFICATE-----\nMHc=\n-----END CERTIFICATE-----",
            ),
            (
                "Authorization: Bearer abcdefghijklmnop1234".to_owned(),
                "Authorization: Bearer <token>",
            ),
            (r#"{"token": "s3cr3t-value"}"#.to_owned(), r#"{"token": "<token>"}"#),
            ("password=hunter2hunter2;x".to_owned(), "password=<token>;x"),
            ("PublicKeyToken=31bf3856ad364e35".to_owned(), "PublicKeyToken=31bf3856ad364e35"),
            ("a token of trust".to_owned(), "a token of trust"),
            ("git ghp_0123456789abcdefABCDEF x".to_owned(), "git <token> x"),
            ("qemu+ssh://jane:pw@h/system".to_owned(), "qemu+ssh://<token>@h/system"),
            (r#"{"path":"/tmp/lb-1/a b/cable"}"#.to_owned(), r#"{"path":"<host>/cable"}"#),
            ("see /ci/state/runs/x, and /v1/scan".to_owned(), "see <host>/x, and /v1/scan"),
            ("file:///home/jane/x.toml:3".to_owned(), "file://<host>/x.toml:3"),
            (r#"{"path":"/dev/shm/a \"b\"/c/d/x.snap"}"#.to_owned(), r#"{"path":"<host>/x.snap"}"#),
            ("see /dev/shm/x".to_owned(), "see /dev/shm/x"),
            ("/machine/peripheral/cable".to_owned(), "/machine/peripheral/cable"),
            (r"C:\Windows\tmp\x https://a/tmp/b".to_owned(), r"C:\Windows\tmp\x https://a/tmp/b"),
            (r#"{"line":"x\nghp_0123456789abcdefABCDEF"}"#.to_owned(), r#"{"line":"x\n<token>"}"#),
            (r#""\u001bghp_0123456789abcdefABCDEF""#.to_owned(), r#""\u001b<token>""#),
            (format!(r#""\u0000{KEY}\n{KEY}""#), r#""\u0000<recovery-key>\n<recovery-key>""#),
            (format!("key-{KEY}, --{KEY}"), "key-<recovery-key>, --<recovery-key>"),
            ("DB_PASSWORD=hunter2hunter2".to_owned(), "DB_PASSWORD=<token>"),
            (r#"{"access_token":"s3cr3t-value"}"#.to_owned(), r#"{"access_token":"<token>"}"#),
            (r#"{"accessToken":"s3cr3t-value"}"#.to_owned(), r#"{"accessToken":"<token>"}"#),
            (
                r#""at\n/home/jane/x.toml, \tbuild-17""#.to_owned(),
                r#""at\n<host>/x.toml, \t<host-name>""#,
            ),
            (
                r#""{\"line\":\"\\nghp_0123456789abcdefABCDEF\"}""#.to_owned(),
                r#""{\"line\":\"\\n<token>\"}""#,
            ),
            ("on build-17 by jdoe, jdoes".to_owned(), "on <host-name> by <user-name>, jdoes"),
        ] {
            assert_eq!(text(&before), after);
            // What is redacted has nothing more to be redacted.
            assert_eq!(text(after), after);
        }
    }

    #[test]
    fn what_is_no_text_keeps_its_length_and_loses_its_secrets_in_both_encodings() {
        let wide: Vec<u8> = KEY.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for offset in 0..2 {
            let mut content = vec![0xff; 3 + offset];
            content.extend(&wide);
            content.extend([0xfe, 0x00]);
            content.extend(KEY.as_bytes());
            let mut redactor = Redactor::new(&names());
            let redacted = redactor.redact(content.clone(), false);
            assert_eq!(redacted.len(), content.len());
            assert!(crate::rules::find(&redacted, &wide).is_none());
            assert!(crate::rules::find(&redacted, KEY.as_bytes()).is_none());
            let found = redactor.found();
            assert_eq!(
                (found[0].rule.as_str(), found[0].count, found[0].files),
                ("recovery-key", 2, 1)
            );
        }
    }

    #[test]
    fn a_name_that_is_a_common_word_stays_and_that_is_told() {
        let mut redactor = Redactor::new(&HostNames {
            host: Some("vm".to_owned()),
            user: Some("root".to_owned()),
            ..HostNames::default()
        });
        let text = b"vm root".to_vec();
        assert_eq!(redactor.redact(text.clone(), false), text);
        let told = redactor.not_searched();
        assert!(told[0].contains("cannot be told from other words"), "{told:?}");
        assert!(told[1].contains("common"), "{told:?}");
    }

    #[test]
    fn a_name_that_a_record_is_made_of_stays_and_that_is_told() {
        let record = r#"{"kind":"boot-started","host":"build-17"}
{"verdict":"recovered"}"#;
        let needed = words_of(record);
        assert_eq!(
            needed.iter().collect::<Vec<_>>(),
            ["boot-started", "host", "kind", "recovered", "verdict"]
        );
        for name in ["kind", "recovered"] {
            let names =
                HostNames { host: Some(name.to_owned()), needed: needed.clone(), ..names() };
            let mut redactor = Redactor::new(&names);
            let text = record.as_bytes().to_vec();
            assert_eq!(redactor.redact(text.clone(), false), text);
            assert!(redactor.not_searched()[0].contains("the host's name"));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_taken(content: Vec<u8>, picture: bool) {
            Redactor::new(&names()).redact(content, picture);
        }

        #[test]
        fn a_key_is_found_wherever_it_stands(before in "[^0-9]{0,20}", after in "[^0-9]{0,20}") {
            let line = format!("{before}{KEY}{after}");
            // As it is, and as a line of a record has it.
            for line in [serde_json::to_string(&line).unwrap(), line] {
                let redacted = text(&line);
                proptest::prop_assert!(!redacted.contains(KEY), "{redacted}");
            }
        }
    }
}
