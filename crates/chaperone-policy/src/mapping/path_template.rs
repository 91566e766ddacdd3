//! Templates that routes match paths with.

use std::borrow::Cow;

use super::path::Path;
use super::reading::Reading;

/// What one segment of a path must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Segment {
    /// This text, after decoding. Empty only as the last one: a path that ends in `/`.
    Literal(Box<str>),
    /// Any one segment that is not empty.
    One,
    /// One or more segments, none of them empty. Only as the last one.
    Rest,
}

/// A path with captures: `/documents/{id}/export`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct PathTemplate {
    segments: Vec<Segment>,
}

/// A captured part of a path: where it starts, and whether it goes on to the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Capture {
    position: usize,
    rest: bool,
}

impl PathTemplate {
    /// From its segments: at least one; `Rest` and the empty literal only at the end.
    pub(super) const fn new(segments: Vec<Segment>) -> Self {
        Self { segments }
    }

    /// The segments.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The capture at a position, if there is one.
    pub(super) fn capture(&self, position: usize) -> Option<Capture> {
        match self.segments.get(position)? {
            Segment::Literal(_) => None,
            Segment::One => Some(Capture { position, rest: false }),
            Segment::Rest => Some(Capture { position, rest: true }),
        }
    }

    /// Whether a path is as this says.
    pub(super) fn matches(&self, path: &Path<'_>) -> bool {
        let segments = path.segments();
        let ends_in_slash = segments.last().is_some_and(|last| last.is_empty());
        let enough = match self.segments.last() {
            Some(Segment::Rest) => segments.len() >= self.segments.len() && !ends_in_slash,
            _ => segments.len() == self.segments.len(),
        };
        enough
            && self.segments.iter().zip(segments).all(|(wanted, segment)| match wanted {
                Segment::Literal(text) => **text == **segment,
                Segment::One | Segment::Rest => !segment.is_empty(),
            })
    }

    /// Whether every path that `other` matches is matched by this one too.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let mut others = other.segments.iter();
        for segment in &self.segments {
            let covered = match (segment, others.next()) {
                (Segment::Literal(text), Some(Segment::Literal(other))) => text == other,
                (Segment::One, Some(Segment::Literal(text))) => !text.is_empty(),
                (Segment::One, Some(Segment::One)) => true,
                (Segment::Rest, Some(next)) => {
                    return std::iter::once(next).chain(others).all(|segment| match segment {
                        Segment::Literal(text) => !text.is_empty(),
                        Segment::One | Segment::Rest => true,
                    });
                }
                (Segment::Literal(_), Some(Segment::One | Segment::Rest))
                | (Segment::One, Some(Segment::Rest))
                | (_, None) => false,
            };
            if !covered {
                return false;
            }
        }
        others.next().is_none()
    }
}

impl Capture {
    /// The captured text of a path that its template matches.
    pub(super) fn read<'p>(self, path: &'p Path<'_>) -> Reading<'p> {
        match path.segments().get(self.position..) {
            Some(rest @ [_, _, ..]) if self.rest => Reading::One(Cow::Owned(rest.join("/"))),
            Some([segment, ..]) => Reading::One(Cow::Borrowed(segment)),
            _ => Reading::Absent,
        }
    }
}
