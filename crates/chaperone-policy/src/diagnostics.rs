//! Cedar's errors as problems with a place.

use cedar_policy_core::parser::Loc;
use miette::{Diagnostic, LabeledSpan};

use crate::problem::Problem;

/// How many problems are reported: enough to work with, and not a way to make a huge answer.
pub(crate) const PROBLEMS_MAX: usize = 500;

/// A file of a bundle, to report problems of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File<'a> {
    /// Its path inside the bundle.
    pub(crate) path: &'a str,
    /// Its content.
    pub(crate) text: &'a str,
}

impl File<'_> {
    /// A problem at a byte range of this file.
    pub(crate) fn problem(
        self,
        offset: usize,
        length: usize,
        code: &'static str,
        message: impl Into<String>,
    ) -> Problem {
        Problem::at(self.path, self.text, offset, length, code, message)
    }

    /// A problem where Cedar says it is, on its first line only.
    pub(crate) fn problem_at(self, loc: Option<&Loc>, code: &'static str, message: impl Into<String>) -> Problem {
        match loc {
            Some(loc) => self.problem(loc.start(), loc.end().saturating_sub(loc.start()), code, message),
            None => Problem::of_file(self.path, code, message),
        }
    }

    /// The problems that a Cedar error reports, with those related to it.
    pub(crate) fn problems_of(self, error: &dyn Diagnostic, code: &'static str) -> Vec<Problem> {
        let related = error.related().into_iter().flatten().map(|related| self.problem_of(related, code));
        std::iter::once(self.problem_of(error, code)).chain(related).take(PROBLEMS_MAX).collect()
    }

    /// Whether a label speaks of this file: an error may also be about the supplied schema, whose places mean nothing here.
    fn is_labelled(self, error: &dyn Diagnostic, label: &LabeledSpan) -> bool {
        let Some(source) = error.source_code() else { return true };
        let here = self.text.as_bytes().get(label.offset()..label.offset().saturating_add(label.len()));
        source.read_span(label.inner(), 0, 0).is_ok_and(|there| Some(there.data()) == here)
    }

    /// The problem that a Cedar error reports, without those related to it.
    pub(crate) fn problem_of(self, error: &dyn Diagnostic, code: &'static str) -> Problem {
        let label = first_label(error).filter(|label| self.is_labelled(error, label));
        let advice = error.help().map(|help| help.to_string());
        let message = message_of(error);
        let problem = match &label {
            Some(label) => self.problem(label.offset(), label.len(), code, message),
            None => Problem::of_file(self.path, code, message),
        };
        let expected = label.as_ref().and_then(|label| label.label()).map(str::to_owned);
        match advice.or(expected) {
            Some(help) => problem.with_help(help),
            None => problem,
        }
    }
}

/// Where Cedar says that an error is, in bytes; 0 when it does not say.
pub(crate) fn offset_of(error: &dyn Diagnostic) -> usize {
    first_label(error).map_or(0, |label| label.offset())
}

fn first_label(error: &dyn Diagnostic) -> Option<LabeledSpan> {
    error.labels().and_then(|mut labels| labels.next())
}

/// An error's message with those of its sources, as one sentence.
pub(crate) fn message_of(error: &dyn Diagnostic) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // A transparent wrapper repeats what it wraps.
        if !message.contains(&cause_text) {
            message = format!("{message}: {cause_text}");
        }
        source = cause.source();
    }
    message
}
