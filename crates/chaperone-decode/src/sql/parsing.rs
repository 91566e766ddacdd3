//! Calls of the parser.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sqlparser::ast::Statement;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::Dialect;
use crate::Undecodable;

/// How deep the parser may go.
const RECURSION_MAX: usize = 50;

/// Runs code of the parser's crate. That it panics on some text would be its mistake, and is no reason to take down the request's task.
pub(super) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Undecodable> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| Undecodable::new("the parser failed"))
}

/// A parser of these tokens.
pub(super) fn parser(tokens: Vec<TokenWithSpan>, dialect: Dialect) -> Parser<'static> {
    Parser::new(dialect.grammar()).with_recursion_limit(RECURSION_MAX).with_tokens_with_locations(tokens)
}

/// Parses the tokens of one statement, all of them.
pub(super) fn statement(tokens: Vec<TokenWithSpan>, dialect: Dialect) -> Result<Statement, Undecodable> {
    let start = tokens.first().map_or_else(Span::empty, |token| token.span).start;
    let refuse =
        |what: &str| Undecodable::new(format!("the statement at line {}, column {} {what}", start.line, start.column));
    guarded(|| {
        let mut parser = parser(tokens, dialect);
        let statement = parser.parse_statement().map_err(|_| refuse("is not understood"))?;
        if parser.peek_token_ref().token != Token::EOF {
            return Err(refuse("is understood only in part"));
        }
        Ok(statement)
    })?
}
