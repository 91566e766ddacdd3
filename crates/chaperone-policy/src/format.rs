//! Policies in one spelling: white space and breaks of lines as Cedar's formatter puts them, comments kept.

use cedar_policy_formatter::{Config, policies_str_to_pretty};

use crate::diagnostics::File;
use crate::policy_text::parse;
use crate::problem::Problem;

/// The text of a file of policies, formatted. It means the same and has the same comments.
///
/// # Errors
/// With the problems of a text that is no Cedar policies; and with `policy_format` where the formatter would change more than white
/// space: the text is then to be left as it is.
pub fn format_policies(path: &str, text: &str) -> Result<String, Vec<Problem>> {
    let policies = parse(File { path, text })?;
    let formatted = policies_str_to_pretty(text, &Config::default());
    let formatted = formatted.map_err(|error| vec![refused(path, &error.to_string())])?;
    let formatted = match formatted.trim() {
        "" => String::new(),
        formatted => format!("{formatted}\n"),
    };
    let again = parse(File { path, text: &formatted })?;
    // Without places, and otherwise whole.
    if !policies.iter().map(ToString::to_string).eq(again.iter().map(ToString::to_string)) {
        return Err(vec![refused(path, "it would mean something else")]);
    }
    if !comments(text).eq(comments(&formatted)) {
        return Err(vec![refused(path, "a comment would be lost")]);
    }
    Ok(formatted)
}

fn refused(path: &str, why: &str) -> Problem {
    Problem::of_file(path, "policy_format", format!("this cannot be formatted: {why}"))
}

/// Every comment, in order.
fn comments(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (start, comment) = next_comment(rest)?;
        rest = rest.get(start + comment.len()..).unwrap_or_default();
        Some(comment.trim_end())
    })
}

/// The first comment, which no `//` in a string begins, and where it stands.
fn next_comment(text: &str) -> Option<(usize, &str)> {
    let mut bytes = text.bytes().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'"' => {
                // A string: escapes matter only in that `\"` does not end it.
                while let Some((_, byte)) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
            b'/' => {
                let rest = text.get(offset..)?;
                if rest.starts_with("//") {
                    return Some((offset, rest.split('\n').next()?));
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(text: &str) -> String {
        format_policies("policies/main.cedar", text).unwrap_or_else(|problems| panic!("{problems:#?}"))
    }

    #[test]
    fn policies_are_spaced_and_keep_comments_and_meaning() {
        let text = "// why\n@id(\"a\")   @reason( \"no // comment \\\" // here\" )\nforbid(principal,action,resource)when{\n// in it\n1>2 };// behind\n\n\n// the end";
        let once = formatted(text);
        assert_eq!(comments(&once).collect::<Vec<_>>(), ["// why", "// in it", "// behind", "// the end"]);
        assert!(once.contains("forbid (principal, action, resource)"), "{once}");
        assert!(once.ends_with("// the end\n"), "{once}");
        assert_eq!(formatted(&once), once);
    }

    #[test]
    fn text_that_is_no_cedar_is_refused_with_its_place() {
        let problems = format_policies("policies/main.cedar", "permit (principal,\n action;").expect_err("no Cedar");
        assert_eq!((problems[0].line, problems[0].code), (2, "policy_syntax"));
    }

    #[test]
    fn comments_are_found_outside_of_strings() {
        let text = "a // one\r\n\"// none \\\" // none\" // two\n/ not / one\n// three";
        assert_eq!(comments(text).collect::<Vec<_>>(), ["// one", "// two", "// three"]);
    }

    #[test]
    fn file_without_policies_stays_empty() {
        assert_eq!(formatted("// only this\n"), "// only this\n");
        assert_eq!(formatted(""), "");
    }
}
