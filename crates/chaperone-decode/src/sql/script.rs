//! A script, split into its statements.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};

use super::{Dialect, lexis, parsing};
use crate::Undecodable;

/// How deep the tree of a statement may become.
///
/// The parser bounds nesting, but a chain such as `1+1+1+…` becomes a tree that is as deep as the chain is long, and whoever walks or drops
/// it needs as much of the stack.
const DEPTH_MAX: usize = 1_000;

/// How many types may have parameters in angle brackets, which the parser follows without a bound.
const ANGLES_MAX: usize = 48;

/// Splits a script into the tokens of each statement, without comments and without the semicolons.
pub(super) fn statements(script: &str, dialect: Dialect) -> Result<Vec<Vec<TokenWithSpan>>, Undecodable> {
    let regions = lexis::regions(script, dialect)?;
    let tokens = parsing::guarded(|| Tokenizer::new(dialect.grammar(), script).tokenize_with_location())?
        .map_err(|_| Undecodable::new("the script is not made of this dialect's tokens"))?;
    agree(&regions, &tokens)?;
    let mut statements = Vec::new();
    let mut statement = Vec::new();
    for mut token in tokens {
        match token.token {
            Token::SemiColon => statements.push(std::mem::take(&mut statement)),
            Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => {
                token.token = Token::Whitespace(Whitespace::Space);
                statement.push(token);
            }
            _ => statement.push(token),
        }
    }
    statements.push(statement);
    statements.retain(|statement| statement.iter().any(|token| !matches!(token.token, Token::Whitespace(_))));
    for statement in &statements {
        bound_depth(statement)?;
    }
    Ok(statements)
}

/// Whether the parser's tokens are quotations and comments exactly where the regions are.
fn agree(regions: &[lexis::Region], tokens: &[TokenWithSpan]) -> Result<(), Undecodable> {
    let mut expected = regions.iter().peekable();
    for token in tokens {
        if !is_region(&token.token) {
            continue;
        }
        // `0x1F` is a number with letters in it.
        let quoted = expected.peek().is_some_and(|region| region.start < token.span.end);
        if matches!(token.token, Token::HexStringLiteral(_)) && !quoted {
            continue;
        }
        let fits = expected.next().is_some_and(|region| {
            let span = token.span;
            // A prefix such as `E` or `rb` belongs to the token, not to the region.
            let prefix = region.start.column.wrapping_sub(span.start.column);
            region.end == span.end && region.start.line == span.start.line && prefix <= 2
        });
        if !fits {
            return Err(Undecodable::new(format!(
                "line {}, column {}: a quotation or comment that databases may read differently",
                token.span.start.line, token.span.start.column
            )));
        }
    }
    match expected.next() {
        None => Ok(()),
        Some(region) => Err(Undecodable::new(format!(
            "line {}, column {}: a quotation or comment that databases may read differently",
            region.start.line, region.start.column
        ))),
    }
}

fn is_region(token: &Token) -> bool {
    match token {
        Token::Word(word) => word.quote_style.is_some(),
        Token::Whitespace(space) => {
            matches!(space, Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_))
        }
        Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::TripleSingleQuotedString(_)
        | Token::TripleDoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::SingleQuotedByteStringLiteral(_)
        | Token::DoubleQuotedByteStringLiteral(_)
        | Token::TripleSingleQuotedByteStringLiteral(_)
        | Token::TripleDoubleQuotedByteStringLiteral(_)
        | Token::SingleQuotedRawStringLiteral(_)
        | Token::DoubleQuotedRawStringLiteral(_)
        | Token::TripleSingleQuotedRawStringLiteral(_)
        | Token::TripleDoubleQuotedRawStringLiteral(_)
        | Token::NationalStringLiteral(_)
        | Token::QuoteDelimitedStringLiteral(_)
        | Token::NationalQuoteDelimitedStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_) => true,
        _ => false,
    }
}

/// Refuses a statement whose tree could be deeper than [`DEPTH_MAX`].
///
/// Each operator and keyword may put one level more onto what stands before it. A comma begins anew, since the members of a list stand
/// side by side, except for what is between them and the list: the operators of sets.
fn bound_depth(tokens: &[TokenWithSpan]) -> Result<(), Undecodable> {
    let mut outer: Vec<(usize, usize)> = Vec::new();
    let (mut depth_outside, mut chain, mut sets, mut angles) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut after_type = false;
    for token in tokens {
        let mut names_type = false;
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket | Token::LBrace => {
                chain += 1;
                depth_outside += chain + sets;
                outer.push((chain, sets));
                (chain, sets) = (0, 0);
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                (chain, sets) = outer.pop().unwrap_or_default();
                depth_outside = depth_outside.saturating_sub(chain + sets);
            }
            Token::Comma => chain = 0,
            Token::Word(word) if word.quote_style.is_none() => match word.keyword {
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => sets += 1,
                Keyword::NULL | Keyword::TRUE | Keyword::FALSE | Keyword::DEFAULT => {}
                keyword => {
                    names_type = true;
                    chain += usize::from(keyword != Keyword::NoKeyword);
                }
            },
            Token::Word(_) | Token::Number(..) | Token::Period | Token::Placeholder(_) => {}
            Token::Lt | Token::Neq if after_type => {
                angles += 1;
                chain += 1;
            }
            token if is_region(token) => {}
            _ => chain += 1,
        }
        after_type = names_type;
        if depth_outside + chain + sets > DEPTH_MAX || angles > ANGLES_MAX {
            return Err(Undecodable::new(format!(
                "line {}, column {}: a statement that is too deep",
                token.span.start.line, token.span.start.column
            )));
        }
    }
    Ok(())
}
