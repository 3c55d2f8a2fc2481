//! From tokens to an expression.

use super::error::FilterError;
use super::expression::Expression;
use super::predicate::{Predicate, fits};
use super::tokens::{Placed, Token, tokens};

/// Deeper nesting was made to exhaust the stack.
const DEEPEST: usize = 64;

pub(super) fn parse(text: &str) -> Result<Expression, FilterError> {
    let tokens = tokens(text)?;
    let mut parser = Parser { text, tokens: &tokens, next: 0 };
    let expression = parser.either(0)?;
    match parser.peek() {
        None => Ok(expression),
        Some((Token::Close, at)) => Err(parser.error(*at, "this parenthesis was never opened")),
        Some((_, at)) => Err(parser.error(*at, "an operator is missing before this: & | or -")),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: &'t [Placed],
    next: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<&'t Placed> {
        self.tokens.get(self.next)
    }

    fn error(&self, at: usize, what: impl Into<String>) -> FilterError {
        FilterError { text: self.text.to_owned(), at, what: what.into() }
    }

    fn either(&mut self, depth: usize) -> Result<Expression, FilterError> {
        let mut left = self.both(depth)?;
        while let Some((Token::Or, _)) = self.peek() {
            self.next += 1;
            left = Expression::Or(Box::new(left), Box::new(self.both(depth)?));
        }
        Ok(left)
    }

    fn both(&mut self, depth: usize) -> Result<Expression, FilterError> {
        let mut left = self.single(depth)?;
        loop {
            let without = match self.peek() {
                Some((Token::And, _)) => false,
                Some((Token::Without, _)) => true,
                _ => return Ok(left),
            };
            self.next += 1;
            let right = self.single(depth)?;
            let right = if without { Expression::Not(Box::new(right)) } else { right };
            left = Expression::And(Box::new(left), Box::new(right));
        }
    }

    fn single(&mut self, depth: usize) -> Result<Expression, FilterError> {
        let Some((token, at)) = self.peek() else {
            let what = if self.tokens.is_empty() {
                "it is empty; all() chooses every scenario"
            } else {
                "it ends where a predicate is missing, such as name(kb50*)"
            };
            return Err(self.error(self.text.trim_end().len(), what));
        };
        if depth > DEEPEST {
            return Err(self.error(*at, format!("it is nested deeper than {DEEPEST}")));
        }
        self.next += 1;
        match token {
            Token::Not => Ok(Expression::Not(Box::new(self.single(depth + 1)?))),
            Token::Open => {
                let inner = self.either(depth + 1)?;
                match self.peek() {
                    Some((Token::Close, _)) => {
                        self.next += 1;
                        Ok(inner)
                    }
                    Some((_, other)) => {
                        Err(self.error(*other, "an operator is missing before this: & | or -"))
                    }
                    None => Err(self.error(*at, "this parenthesis is not closed")),
                }
            }
            Token::Call { name, pattern, pattern_at } => {
                self.predicate(name, *at, pattern, *pattern_at)
            }
            Token::And | Token::Or | Token::Without | Token::Close => {
                Err(self.error(*at, "a predicate is missing before this, such as name(kb50*)"))
            }
        }
    }

    fn predicate(
        &self,
        name: &str,
        at: usize,
        pattern: &str,
        pattern_at: usize,
    ) -> Result<Expression, FilterError> {
        let Some(predicate) = Predicate::ALL.into_iter().find(|own| own.as_str() == name) else {
            let all: Vec<&str> = Predicate::ALL.iter().map(|own| own.as_str()).collect();
            let what = format!("there is no predicate `{name}`; there are {}", all.join(", "));
            return Err(self.error(at, what));
        };
        match (predicate.stands_alone(), pattern.is_empty()) {
            (true, false) => {
                Err(self.error(pattern_at, format!("{name}() takes no pattern; leave it out")))
            }
            (false, true) => Err(self.error(
                pattern_at,
                format!("{name}() needs a pattern, in which * stands for any text"),
            )),
            _ => match predicate.known() {
                Some(known) if !known.iter().any(|word| fits(pattern, word)) => Err(self.error(
                    pattern_at,
                    format!("no {name} is called `{pattern}`; there are {}", known.join(", ")),
                )),
                _ => Ok(Expression::Asks(predicate, pattern.to_owned())),
            },
        }
    }
}
