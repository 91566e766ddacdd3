//! The caller's place in a trace, as W3C Trace Context writes it.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// How long a `traceparent` of version 00 is, in bytes.
const LENGTH: usize = 55;

/// The caller's span, from its `traceparent`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParentContext {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
}

impl ParentContext {
    /// Reads a `traceparent` (W3C Trace Context section 3.2). `None` for one that a receiver must ignore.
    pub fn from_traceparent(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (known, rest) = bytes.split_at_checked(LENGTH)?;
        let [version, trace_id, span_id, flags] = fields(known)?;
        let version = number(version)?;
        // Version 00 ends here; a later one may go on after another dash; ff is forbidden.
        let ends_well = match version {
            0x00 => rest.is_empty(),
            0xff => false,
            _ => rest.first().is_none_or(|byte| *byte == b'-'),
        };
        let trace_id = TraceId::from(number(trace_id)?);
        let span_id = SpanId::from(u64::try_from(number(span_id)?).ok()?);
        let flags = u8::try_from(number(flags)?).ok()?;
        let is_valid = ends_well && trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
        is_valid.then_some(Self { trace_id, span_id, flags: TraceFlags::new(flags) & TraceFlags::SAMPLED })
    }

    /// Whether the caller records its span.
    pub fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }

    /// The caller's trace.
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The caller's span.
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }

    pub(super) fn span_context(&self) -> SpanContext {
        SpanContext::new(self.trace_id, self.span_id, self.flags, true, TraceState::NONE)
    }
}

/// The four fields of a version 00 header, which the caller cut to its length.
fn fields(header: &[u8]) -> Option<[&[u8]; 4]> {
    let (version, rest) = header.split_at_checked(2)?;
    let (trace_id, rest) = rest.strip_prefix(b"-")?.split_at_checked(32)?;
    let (span_id, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
    Some([version, trace_id, span_id, rest.strip_prefix(b"-")?])
}

/// Lower-case hexadecimal digits only, as the standard has it; the standard library would take more.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn example_of_the_standard_is_read() {
        let parent = ParentContext::from_traceparent(GOOD).expect("it is valid");
        assert_eq!(parent.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.span_id().to_string(), "00f067aa0ba902b7");
        assert!(parent.is_sampled());
    }

    #[test]
    fn flag_says_whether_the_caller_samples() {
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("03", true), ("ff", true), ("fe", false)]
        {
            let text = format!("{}{flags}", &GOOD[..53]);
            assert_eq!(ParentContext::from_traceparent(&text).expect("it is valid").is_sampled(), sampled, "{flags}");
        }
    }

    #[test]
    fn later_version_is_read_as_far_as_it_is_known() {
        for tail in ["", "-", "-what-the-future-will-be-like"] {
            let text = format!("cc{}{tail}", &GOOD[2..]);
            assert_eq!(ParentContext::from_traceparent(&text), ParentContext::from_traceparent(GOOD), "{text}");
        }
        assert_eq!(ParentContext::from_traceparent(&format!("cc{}.x", &GOOD[2..])), None);
    }

    #[test]
    fn what_the_standard_forbids_is_ignored() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-011",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01a",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00F067AA0BA902B7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0.",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-é",
        ] {
            assert_eq!(ParentContext::from_traceparent(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "\\PC{0,80}") {
            let _ = ParentContext::from_traceparent(&text);
        }
    }
}
