//! An error with what caused it, in one line.

use std::error::Error;

/// An error with its causes, each named once.
///
/// Log lines carry this, and not the error: as JSON an error is written without its causes.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Step(&'static str, #[source] Option<Box<Step>>);

    #[test]
    fn every_cause_is_named_once() {
        let disk = Step("no space left", None);
        let file = Step("cannot write: no space left", Some(Box::new(disk)));
        let trail = Step("the trail cannot be written", Some(Box::new(file)));
        assert_eq!(causes(&trail), "the trail cannot be written: cannot write: no space left");
        assert_eq!(causes(&Step("alone", None)), "alone");
    }
}
