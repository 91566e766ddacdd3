//! Entity identities as Cedar writes them: `Document::"42"`.

use chaperone_api::chaperone::v1::EntityRef;

/// Reads `Type::"id"` with Cedar's escapes, or `Type::id` where the id has no special characters, because shells eat quotes.
pub fn entity_ref(text: &str) -> Result<EntityRef, String> {
    let (kind, id) = if let Some((before, quoted)) = text.split_once('"') {
        let kind = before.strip_suffix("::").ok_or_else(|| shape(text))?;
        let inner = quoted.strip_suffix('"').ok_or("the id's closing quote is missing")?;
        (kind, unescape(inner)?)
    } else {
        let (kind, id) = text.rsplit_once("::").ok_or_else(|| shape(text))?;
        if id.is_empty() || !id.chars().all(is_plain) {
            return Err(format!("the id needs quotes; in a shell write '{kind}::\"…\"', with both kinds of quotes"));
        }
        (kind, id.to_owned())
    };
    if !is_type(kind) {
        return Err(format!("`{kind}` is not an entity type; a type is written like `Document` or `Files::Document`"));
    }
    Ok(EntityRef { r#type: kind.to_owned(), id })
}

/// Writes an identity as Cedar does.
pub fn show_entity_ref(entity: &EntityRef) -> String {
    chaperone_policy::EntityRef::new(entity.r#type.as_str(), entity.id.as_str()).to_string()
}

fn shape(text: &str) -> String {
    format!("`{text}` is not an entity; write Type::\"id\", such as 'Document::\"welcome\"'")
}

/// Characters that neither a shell nor Cedar reads as anything but themselves.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '@' | '+' | ':' | '%' | '=')
}

fn is_type(kind: &str) -> bool {
    kind.split("::").all(|name| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// Replaces Cedar's escapes: `\n \r \t \0 \\ \' \" \x41 \u{1f600}`.
fn unescape(text: &str) -> Result<String, String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => return Err("a quote inside the id is written `\\\"`".to_owned()),
            '\\' => plain.push(match rest.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('0') => '\0',
                Some(same @ ('\\' | '\'' | '"')) => same,
                Some('x') => {
                    let digits: String = rest.by_ref().take(2).collect();
                    code_point(&digits, 2).filter(char::is_ascii).ok_or("`\\x` takes two digits up to 7f")?
                }
                Some('u') => {
                    let inner = rest.as_str().strip_prefix('{').and_then(|after| after.split_once('}'));
                    let (digits, after) = inner.ok_or("`\\u` takes digits in braces, such as `\\u{e9}`")?;
                    let c = code_point(digits, 6).ok_or_else(|| format!("`{digits}` is not a Unicode character"))?;
                    rest = after.chars();
                    c
                }
                Some(other) => return Err(format!("`\\{other}` is not an escape; a backslash is written `\\\\`")),
                None => return Err("the id ends in a backslash; a backslash is written `\\\\`".to_owned()),
            }),
            other => plain.push(other),
        }
    }
    Ok(plain)
}

fn code_point(digits: &str, digits_max: usize) -> Option<char> {
    let hexadecimal = digits.len() <= digits_max && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    hexadecimal.then(|| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (String, String) {
        let entity = entity_ref(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (entity.r#type, entity.id)
    }

    #[test]
    fn quoted_and_plain_forms_are_read() {
        for (text, kind, id) in [
            (r#"Document::"42""#, "Document", "42"),
            (r#"Files::Document::"a \"b\" \u{e9}\x41\\""#, "Files::Document", "a \"b\" éA\\"),
            (r#"Document::"a::b""#, "Document", "a::b"),
            (r#"Document::"""#, "Document", ""),
            ("Document::welcome", "Document", "welcome"),
            ("Chaperone::Workload::spiffe://example.org/ci", "Chaperone::Workload", "spiffe://example.org/ci"),
        ] {
            assert_eq!(parsed(text), (kind.to_owned(), id.to_owned()), "{text}");
        }
    }

    #[test]
    fn malformed_identities_are_refused() {
        for text in [
            "",
            "Document",
            "Document::",
            r#"Document::"42"#,
            r#"Document"42""#,
            r#"::"42""#,
            r#"1x::"42""#,
            r#"Document::"a"b""#,
            r#"Document::"\q""#,
            r#"Document::"\xff""#,
            r#"Document::"\u{110000}""#,
            r#"Document::"\u{+41}""#,
            r#"Document::"\""#,
            "Document::two words",
            "Document::*",
        ] {
            assert!(entity_ref(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(kind in "[A-Za-z_][A-Za-z0-9_]{0,8}(::[A-Z][a-z]{0,4}){0,2}", id in any::<String>()) {
            let entity = EntityRef { r#type: kind, id };
            prop_assert_eq!(entity_ref(&show_entity_ref(&entity)), Ok(entity));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = entity_ref(&text);
        }
    }
}
