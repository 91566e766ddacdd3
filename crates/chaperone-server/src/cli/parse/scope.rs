//! Short scopes: `read:Document::"welcome"`.

use chaperone_api::chaperone::v1::ScopeGrant;

use super::entity_ref;

/// Reads `action:resource`, or `action` alone for any resource; the action `*` is any action.
pub fn scope_grant(text: &str) -> Result<ScopeGrant, String> {
    let (action, resource) = match separator(text) {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    };
    if action.is_empty() {
        return Err("the action is missing; write 'read:Document::\"welcome\"', or read for any resource".to_owned());
    }
    if action == "*" && resource.is_none() {
        return Err("this would allow everything; leave the scope out for that".to_owned());
    }
    let resources = resource.map(entity_ref).transpose()?.into_iter().collect();
    let actions = if action == "*" { Vec::new() } else { vec![action.to_owned()] };
    Ok(ScopeGrant { actions, resources })
}

/// Where the single colon is that is neither part of `::` nor inside quotes.
fn separator(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut quoted) = (0, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            // An escaped character cannot end the quotes.
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b':' if !quoted && bytes.get(at + 1) == Some(&b':') => at += 1,
            b':' if !quoted => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::show_entity_ref;

    fn parsed(text: &str) -> (Vec<String>, Vec<String>) {
        let grant = scope_grant(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        (grant.actions, grant.resources.iter().map(show_entity_ref).collect())
    }

    #[test]
    fn action_and_resource_are_told_apart() {
        for (text, actions, resources) in [
            ("read", vec!["read"], vec![]),
            (r#"read:Document::"welcome""#, vec!["read"], vec![r#"Document::"welcome""#]),
            ("read:Files::Document::a", vec!["read"], vec![r#"Files::Document::"a""#]),
            (r#"*:Document::"a:b""#, vec![], vec![r#"Document::"a:b""#]),
            (
                r#"Chaperone::Action::"data.\"read":Document::"x""#,
                vec![r#"Chaperone::Action::"data.\"read""#],
                vec![r#"Document::"x""#],
            ),
            (r#"Chaperone::Action::"data:read""#, vec![r#"Chaperone::Action::"data:read""#], vec![]),
        ] {
            let resources: Vec<String> = resources.into_iter().map(str::to_owned).collect();
            assert_eq!(parsed(text), (actions.into_iter().map(str::to_owned).collect(), resources), "{text}");
        }
    }

    #[test]
    fn scope_without_an_action_or_with_half_a_resource_is_refused() {
        for text in ["", "*", ":Document::\"x\"", "read:", "read:Document"] {
            assert!(scope_grant(text).is_err(), "{text}");
        }
    }
}
