//! Ids of resources, in which two different things never look alike.

use std::fmt::Write;

use smol_str::SmolStr;

/// What stands for a part that is absent.
const ABSENT: &str = "-";

/// The id of these parts; those that are empty are absent.
pub(super) fn of(parts: &[&str]) -> SmolStr {
    let mut id = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            id.push('/');
        }
        match *part {
            "" => id.push_str(ABSENT),
            ABSENT => id.push_str("%2D"),
            part => escape(part, &mut id),
        }
    }
    id.into()
}

fn escape(part: &str, id: &mut String) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'@' | b'-') {
            id.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(id, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn absent_parts_are_visible() {
        assert_eq!(of(&["", "a", "-"]), "-/a/%2D");
    }

    proptest! {
        #[test]
        fn different_parts_have_different_ids(a in parts(), b in parts()) {
            let texts = |parts: &[String]| of(&parts.iter().map(String::as_str).collect::<Vec<_>>());
            prop_assert_eq!(a == b, texts(&a) == texts(&b));
        }
    }

    fn parts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[-a%/2D]{0,3}", 3)
    }
}
