//! From text to tokens.

use super::error::FilterError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A predicate's name with its pattern, which stands in the parentheses behind it, and the place of the pattern.
    Call {
        name: String,
        pattern: String,
        pattern_at: usize,
    },
    And,
    Or,
    Without,
    Not,
    Open,
    Close,
}

/// A token and its place, in bytes.
pub(super) type Placed = (Token, usize);

/// Longer filters were made to be slow.
const LONGEST: usize = 4096;

pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, FilterError> {
    let error = |at: usize, what: String| FilterError { text: text.to_owned(), at, what };
    if text.len() > LONGEST {
        return Err(error(0, format!("it is longer than {LONGEST} bytes")));
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let one = match c {
            '&' => Some(Token::And),
            '|' | '+' => Some(Token::Or),
            '-' => Some(Token::Without),
            '!' => Some(Token::Not),
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            _ => None,
        };
        if let Some(token) = one {
            tokens.push((token, at));
            at += c.len_utf8();
        } else if c.is_whitespace() {
            at += c.len_utf8();
        } else if c.is_ascii_alphabetic() {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            let length = text[at..].find(|c| !is_word(c)).unwrap_or(text.len() - at);
            let word = &text[at..at + length];
            match word {
                "and" => tokens.push((Token::And, at)),
                "or" => tokens.push((Token::Or, at)),
                "not" => tokens.push((Token::Not, at)),
                _ => {
                    let open = at + length;
                    if !text[open..].starts_with('(') {
                        return Err(error(
                            at,
                            format!(
                                "`{word}` stands alone; write a predicate, such as name({word}*)"
                            ),
                        ));
                    }
                    let Some(close) = text[open..].find(')').map(|close| open + close) else {
                        return Err(error(open, "this parenthesis is not closed".to_owned()));
                    };
                    let pattern = text[open + 1..close].trim().to_owned();
                    let name = word.to_owned();
                    tokens.push((Token::Call { name, pattern, pattern_at: open + 1 }, at));
                    at = close + 1;
                    continue;
                }
            }
            at += length;
        } else {
            return Err(error(
                at,
                format!("`{c}` means nothing here; predicates are joined by & | and -"),
            ));
        }
    }
    Ok(tokens)
}
