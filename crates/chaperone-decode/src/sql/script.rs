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

/// How many tokens a script may have, since it is by them rather than by its bytes that the parser takes long.
const TOKENS_MAX: usize = 32_000;

/// How deep brackets, types and joins may be within each other. The parser counts how deep it is only in some of its functions.
const NESTING_MAX: usize = 48;

/// How deep a statement may be nested to be read on the caller's stack.
const NESTING_AT_HAND: usize = 8;

/// The tokens of a statement.
pub(super) struct Tokens {
    pub tokens: Vec<TokenWithSpan>,
    /// Whether the parser may need more of a stack than there is at hand: 64 KiB for each level in a debug build.
    pub deep: bool,
}

/// Splits a script into the tokens of each statement, without comments and without the semicolons.
pub(super) fn statements(script: &str, dialect: Dialect) -> Result<Vec<Tokens>, Undecodable> {
    let regions = lexis::regions(script, dialect)?;
    let tokens = parsing::guarded(|| Tokenizer::new(dialect.grammar(), script).tokenize_with_location())?
        .map_err(|_| Undecodable::new("the script is not made of this dialect's tokens"))?;
    if tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).count() > TOKENS_MAX {
        return Err(Undecodable::new("the script has too many tokens"));
    }
    agree(&regions, &tokens)?;
    let mut statements: Vec<Vec<TokenWithSpan>> = Vec::new();
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
    let deep = |tokens: &[TokenWithSpan]| Ok(bound_depth(tokens)? > NESTING_AT_HAND || may_hold_statements(tokens));
    statements.into_iter().map(|tokens| Ok(Tokens { deep: deep(&tokens)?, tokens })).collect()
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

/// How much deeper the tree may become at one level of brackets.
#[derive(Clone, Copy, Default)]
struct Level {
    /// Operators and keywords since the last comma: each may put one level more onto what stands before it. The members of a list stand
    /// side by side.
    chain: usize,
    /// Operators of sets, which are between lists.
    sets: usize,
    /// Joins whose condition is yet to come, for the parser takes `a JOIN b JOIN c ON … ON …` to be nested.
    joins: usize,
}

/// The levels at one place of a statement.
#[derive(Default)]
struct Depth {
    outer: Vec<Level>,
    level: Level,
    /// The sums over `outer`.
    tree_outside: usize,
    joins_outside: usize,
    /// Types with parameters in angle brackets so far.
    angles: usize,
}

impl Depth {
    fn open(&mut self) {
        self.level.chain += 1;
        self.tree_outside += self.level.chain + self.level.sets;
        self.joins_outside += self.level.joins;
        self.outer.push(std::mem::take(&mut self.level));
    }

    fn close(&mut self) {
        if let Some(level) = self.outer.pop() {
            self.level = level;
            self.tree_outside -= level.chain + level.sets;
            self.joins_outside -= level.joins;
        } else {
            self.level = Level::default();
        }
    }

    fn keyword(&mut self, keyword: Keyword, before: Keyword) {
        match keyword {
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => self.level.sets += 1,
            Keyword::NoKeyword | Keyword::NULL | Keyword::TRUE | Keyword::FALSE | Keyword::DEFAULT => {}
            Keyword::JOIN if matches!(before, Keyword::CROSS | Keyword::NATURAL) => self.level.chain += 1,
            Keyword::JOIN => self.level.joins += 1,
            Keyword::ON | Keyword::USING => self.level.joins = self.level.joins.saturating_sub(1),
            _ => self.level.chain += 1,
        }
    }

    fn tree(&self) -> usize {
        self.tree_outside + self.level.chain + self.level.sets
    }

    fn nesting(&self) -> usize {
        self.outer.len() + self.angles + self.joins_outside + self.level.joins
    }
}

/// Refuses a statement whose tree could be deeper than [`DEPTH_MAX`], or that is nested deeper than [`NESTING_MAX`]. Returns how deep it is
/// nested.
fn bound_depth(tokens: &[TokenWithSpan]) -> Result<usize, Undecodable> {
    let mut depth = Depth::default();
    let mut nesting = 0;
    let mut before = Keyword::NoKeyword;
    let mut after_word = false;
    for token in tokens {
        let mut keyword = Keyword::NoKeyword;
        let mut is_word = false;
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket | Token::LBrace => depth.open(),
            Token::RParen | Token::RBracket | Token::RBrace => depth.close(),
            Token::Comma => depth.level.chain = 0,
            Token::Word(word) => {
                is_word = true;
                if word.quote_style.is_none() {
                    keyword = word.keyword;
                    depth.keyword(keyword, before);
                }
            }
            Token::Number(..) | Token::Period | Token::Placeholder(_) => {}
            Token::Lt | Token::Neq if after_word => {
                depth.level.chain += 1;
                depth.angles += usize::from(takes_types(before));
            }
            token if is_region(token) => {}
            _ => depth.level.chain += 1,
        }
        (before, after_word) = (keyword, is_word);
        nesting = nesting.max(depth.nesting());
        if depth.tree() > DEPTH_MAX || nesting > NESTING_MAX {
            return Err(Undecodable::new(format!(
                "line {}, column {}: a statement that is too deep",
                token.span.start.line, token.span.start.column
            )));
        }
    }
    Ok(nesting)
}

/// Whether a statement may hold others without brackets, as `EXPLAIN` does.
fn may_hold_statements(tokens: &[TokenWithSpan]) -> bool {
    let first = tokens.iter().find(|token| !matches!(token.token, Token::Whitespace(_)));
    !first.is_some_and(|first| {
        matches!(&first.token, Token::Word(word) if matches!(
            word.keyword,
            Keyword::SELECT | Keyword::INSERT | Keyword::UPDATE | Keyword::DELETE | Keyword::WITH | Keyword::MERGE
        ))
    })
}

/// Whether angle brackets behind this word hold types.
fn takes_types(word: Keyword) -> bool {
    matches!(word, Keyword::ARRAY | Keyword::STRUCT | Keyword::MAP | Keyword::TABLE | Keyword::RANGE | Keyword::SETOF)
}
