//! Where a page goes on: an opaque token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chaperone_api::chaperone::v1 as api;
use chaperone_policy::Timestamp;
use chaperone_trail::{ChainId, Digest, Place};
use prost::Message as _;
use uuid::Uuid;

/// The page before's question, shortened: a token goes on with no other.
const QUESTION_BYTES: usize = 8;

/// The token with which the question goes on after `place`.
pub(super) fn token(question: Question, place: Place) -> String {
    let mut bytes = Vec::with_capacity(QUESTION_BYTES + 32);
    bytes.extend_from_slice(&question.0);
    bytes.extend_from_slice(&place.at.as_micros().to_be_bytes());
    bytes.extend_from_slice(place.chain.as_uuid().as_bytes());
    bytes.extend_from_slice(&place.seq.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a token; `None` when it is none, or one of another question.
pub(super) fn place(question: Question, token: &str) -> Option<Place> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (asked, rest) = bytes.split_first_chunk::<QUESTION_BYTES>()?;
    let (at, rest) = rest.split_first_chunk()?;
    let (chain, rest) = rest.split_first_chunk()?;
    let place = Place {
        at: Timestamp::from_micros(i64::from_be_bytes(*at)),
        chain: ChainId::new(Uuid::from_bytes(*chain)),
        seq: u64::from_be_bytes(rest.try_into().ok()?),
    };
    (*asked == question.0).then_some(place)
}

/// What was asked for, page after page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Question([u8; QUESTION_BYTES]);

impl Question {
    /// From what must stay the same.
    pub(super) fn of(filter: &api::TrailFilter, order: api::TrailOrder) -> Self {
        let mut bytes = filter.encode_to_vec();
        bytes.push(u8::from(order == api::TrailOrder::Oldest));
        Self(Digest::of(&bytes).as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(owner: &str) -> Question {
        Question::of(&api::TrailFilter { owner: owner.to_owned(), ..Default::default() }, api::TrailOrder::Newest)
    }

    proptest! {
        #[test]
        fn token_leads_back_to_its_place(at in any::<i64>(), chain in any::<u128>(), seq in any::<u64>()) {
            let at = Timestamp::from_micros(at);
            let there = Place { at, chain: ChainId::new(Uuid::from_u128(chain)), seq };
            let token = token(question("ann"), there);
            prop_assert_eq!(place(question("ann"), &token), Some(there));
            prop_assert_eq!(place(question("bob"), &token), None);
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>()) {
            let _ = place(question("ann"), &text);
        }
    }

    #[test]
    fn order_is_part_of_the_question() {
        let filter = api::TrailFilter::default();
        let of = |order| Question::of(&filter, order);
        assert_ne!(of(api::TrailOrder::Oldest), of(api::TrailOrder::Newest));
        assert_eq!(of(api::TrailOrder::Unspecified), of(api::TrailOrder::Newest));
    }
}
