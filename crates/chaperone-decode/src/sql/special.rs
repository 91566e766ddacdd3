//! Statements that databases have and the parser has not.

use sqlparser::ast::ObjectName;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::action::Action;
use super::facts::FILE;
use super::walk::Walk;
use super::{Dialect, parsing};
use crate::Undecodable;

/// The tokens of a statement without blanks, read from the front.
struct Words<'t> {
    tokens: std::iter::Peekable<std::slice::Iter<'t, TokenWithSpan>>,
}

impl<'t> Words<'t> {
    fn of(tokens: &'t [TokenWithSpan]) -> Self {
        Self { tokens: tokens.iter().peekable() }
    }

    fn peek(&mut self) -> Option<&'t Token> {
        while self.tokens.next_if(|token| matches!(token.token, Token::Whitespace(_))).is_some() {}
        self.tokens.peek().map(|token| &token.token)
    }

    fn next(&mut self) -> Option<&'t Token> {
        self.peek()?;
        self.tokens.next().map(|token| &token.token)
    }

    /// Takes this word, if it is next.
    fn take(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| is_word(token, word));
        if found {
            self.next();
        }
        found
    }

    fn string(&mut self) -> Option<&'t str> {
        match self.next()? {
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => Some(text),
            _ => None,
        }
    }
}

fn is_word(token: &Token, text: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

fn refused() -> Undecodable {
    Undecodable::new("a statement that is not understood")
}

impl Walk<'_> {
    /// Adds what a statement does that the parser does not know. What comes back is left to the parser.
    pub(super) fn special(
        &mut self,
        mut tokens: Vec<TokenWithSpan>,
    ) -> Result<Option<Vec<TokenWithSpan>>, Undecodable> {
        let mut words = Words::of(&tokens);
        match (words.next(), self.options.dialect) {
            (Some(first), Dialect::Postgres) if is_word(first, "do") => self.do_block(words).map(|()| None),
            (Some(first), Dialect::Postgres) if is_word(first, "refresh") => self.refresh(&tokens).map(|()| None),
            (Some(first), Dialect::Postgres) if is_word(first, "load") => {
                let file = words.string().ok_or_else(refused)?;
                self.effect(Action::Load, FILE, file)?;
                if words.next().is_some() { Err(refused()) } else { Ok(None) }
            }
            (Some(first), Dialect::Sqlite) if is_word(first, "pragma") => self.pragma_of(words).map(|()| None),
            (Some(first), Dialect::Mysql) if is_word(first, "do") => {
                self.database(Action::Do)?;
                replace_first(&mut tokens, &[Token::make_keyword("SELECT")]);
                Ok(Some(tokens))
            }
            (Some(first), Dialect::Mysql) if is_word(first, "load") => self.load_data(&tokens).map(|()| None),
            (Some(first), Dialect::Postgres | Dialect::Mysql) if is_word(first, "table") => {
                replace_first(&mut tokens, &[Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")]);
                Ok(Some(tokens))
            }
            (Some(first), Dialect::Mysql) if is_word(first, "delete") => {
                drop_modifiers(&mut tokens, &["low_priority", "quick", "ignore"]);
                Ok(Some(tokens))
            }
            (Some(first), Dialect::Mysql) if is_word(first, "update") => {
                drop_modifiers(&mut tokens, &["low_priority", "ignore"]);
                Ok(Some(tokens))
            }
            (_, Dialect::Mysql) => self.without_outfile(tokens).map(Some),
            _ => Ok(Some(tokens)),
        }
    }

    /// `DO`: code of a procedural language, which nobody can foresee.
    fn do_block(&mut self, mut words: Words<'_>) -> Result<(), Undecodable> {
        let mut blocks = 0;
        while let Some(token) = words.next() {
            match token {
                Token::SingleQuotedString(_) | Token::DollarQuotedString(_) | Token::EscapedStringLiteral(_) => {
                    blocks += 1;
                }
                token if is_word(token, "language") => {
                    words.next();
                }
                _ => return Err(refused()),
            }
        }
        if blocks == 1 { self.database(Action::Do) } else { Err(refused()) }
    }

    /// `PRAGMA [schema.]name [= value | (value)]`
    fn pragma_of(&mut self, mut words: Words<'_>) -> Result<(), Undecodable> {
        let mut name = None;
        while let Some(Token::Word(word)) = words.next() {
            name = Some(word.value.as_str());
            if words.peek() != Some(&Token::Period) {
                break;
            }
            words.next();
        }
        let name = name.ok_or_else(refused)?;
        let has_value = words.peek().is_some();
        self.pragma(name, has_value)
    }

    /// `REFRESH MATERIALIZED VIEW [CONCURRENTLY] name [WITH [NO] DATA]`
    fn refresh(&mut self, tokens: &[TokenWithSpan]) -> Result<(), Undecodable> {
        let dialect = self.options.dialect;
        let name = parsing::guarded(|| {
            let mut parser = parsing::parser(tokens.to_vec(), dialect);
            parser.next_token();
            if !parser.parse_keywords(&[Keyword::MATERIALIZED, Keyword::VIEW]) {
                return None;
            }
            let _ = parser.parse_keyword(Keyword::CONCURRENTLY);
            let name = parser.parse_object_name(false).ok()?;
            if parser.parse_keyword(Keyword::WITH) {
                let _ = parser.parse_keyword(Keyword::NO);
                if !parser.parse_keyword(Keyword::DATA) {
                    return None;
                }
            }
            at_end(&parser).then_some(name)
        })?;
        self.table(Action::RefreshView, &name.ok_or_else(refused)?)
    }

    /// `LOAD DATA [LOW_PRIORITY | CONCURRENT] [LOCAL] INFILE 'file' [REPLACE | IGNORE] INTO TABLE name …`
    fn load_data(&mut self, tokens: &[TokenWithSpan]) -> Result<(), Undecodable> {
        let mut words = Words::of(tokens);
        words.next();
        if !(words.take("data") || words.take("xml")) {
            return Err(refused());
        }
        let _ = words.take("low_priority") || words.take("concurrent");
        words.take("local");
        if !words.take("infile") {
            return Err(refused());
        }
        let file = words.string().ok_or_else(refused)?;
        let replaces = words.take("replace");
        let _ = words.take("ignore");
        if !(words.take("into") && words.take("table")) {
            return Err(refused());
        }
        let rest: Vec<TokenWithSpan> = words.tokens.cloned().collect();
        // `SET column = (SELECT …)` may stand behind it, and anything else would have to be read, too.
        if rest.iter().any(|token| is_word(&token.token, "set") || is_word(&token.token, "select")) {
            return Err(refused());
        }
        let dialect = self.options.dialect;
        let name: Option<ObjectName> =
            parsing::guarded(|| parsing::parser(rest, dialect).parse_object_name(false).ok())?;
        let name = name.ok_or_else(refused)?;
        self.effect(Action::LoadData, FILE, file)?;
        self.table(Action::Insert, &name)?;
        if replaces { self.table(Action::Delete, &name) } else { Ok(()) }
    }

    /// Takes `INTO OUTFILE 'file' …` and `INTO DUMPFILE 'file'` out of a query of MySQL, and adds what they do.
    fn without_outfile(&mut self, tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>, Undecodable> {
        let names_file = |token: &TokenWithSpan| is_word(&token.token, "outfile") || is_word(&token.token, "dumpfile");
        if !tokens.iter().any(names_file) {
            return Ok(tokens);
        }
        let mut kept: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
        let mut tokens = tokens.into_iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).peekable();
        let mut found = false;
        while let Some(token) = tokens.next() {
            if !(is_word(&token.token, "into") && tokens.peek().is_some_and(names_file)) {
                kept.push(token);
                continue;
            }
            tokens.next();
            let Some(Token::SingleQuotedString(file) | Token::DoubleQuotedString(file)) =
                tokens.next().map(|token| token.token)
            else {
                return Err(refused());
            };
            if found {
                return Err(refused());
            }
            found = true;
            self.effect(Action::IntoOutfile, FILE, file)?;
            while tokens.next_if(|token| is_part_of_format(&token.token)).is_some() {}
        }
        Ok(kept)
    }
}

/// Whether a token says how the lines of a file are written, rather than what is queried.
fn is_part_of_format(token: &Token) -> bool {
    const WORDS: &[&str] = &[
        "by",
        "character",
        "charset",
        "columns",
        "enclosed",
        "escaped",
        "fields",
        "lines",
        "optionally",
        "starting",
        "terminated",
        "utf8",
        "utf8mb4",
        "latin1",
        "binary",
        "ascii",
    ];
    matches!(token, Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) | Token::HexStringLiteral(_))
        || is_word(token, "set")
        || WORDS.iter().any(|word| is_word(token, word))
}

fn at_end(parser: &sqlparser::parser::Parser) -> bool {
    parser.peek_token_ref().token == Token::EOF
}

/// Takes the words out that may stand behind the first one, and that the parser would take for a table.
fn drop_modifiers(tokens: &mut Vec<TokenWithSpan>, modifiers: &[&str]) {
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    while tokens.get(1).is_some_and(|token| modifiers.iter().any(|modifier| is_word(&token.token, modifier))) {
        tokens.remove(1);
    }
}

/// Puts these in the place of the first token that is not blank.
fn replace_first(tokens: &mut Vec<TokenWithSpan>, with: &[Token]) {
    let Some(first) = tokens.iter().position(|token| !matches!(token.token, Token::Whitespace(_))) else {
        return;
    };
    let span = tokens.get(first).map_or_else(Span::empty, |token| token.span);
    let with = with.iter().map(|token| TokenWithSpan { token: token.clone(), span });
    tokens.splice(first..=first, with);
}
