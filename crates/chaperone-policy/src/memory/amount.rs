//! How much a counter counts.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::compiled::extension::parse_decimal;
use crate::short_text::ShortText;
use crate::value::Value;

/// How many of a decimal's units one is.
pub(super) const UNITS_PER_ONE: i64 = 10_000;

/// How much a counter counts: whole, or in ten-thousandths.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// Cedar's `Long`.
    Whole(i64),
    /// Cedar's `decimal`, in ten-thousandths.
    Decimal(i64),
}

impl Amount {
    /// From the text of Cedar's `decimal`, such as `12.50`; `None` when Cedar refuses it.
    pub fn parse_decimal(text: &str) -> Option<Self> {
        parse_decimal(text).map(Self::Decimal)
    }

    /// From a `Long` or a `decimal`; `None` when the value is neither.
    pub fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Long(whole) => Some(Self::Whole(*whole)),
            Value::Decimal(text) => Self::parse_decimal(text),
            _ => None,
        }
    }

    /// Whether it is below zero.
    pub const fn is_negative(self) -> bool {
        let (Self::Whole(number) | Self::Decimal(number)) = self;
        number < 0
    }

    /// As a whole number, rounded up: never less than what was counted.
    pub const fn to_whole_up(self) -> i64 {
        match self {
            Self::Whole(whole) => whole,
            Self::Decimal(units) => {
                let floor = units.div_euclid(UNITS_PER_ONE);
                // No overflow: a floor of ten-thousandths is far from the end.
                if units.rem_euclid(UNITS_PER_ONE) == 0 { floor } else { floor + 1 }
            }
        }
    }

    /// In ten-thousandths; the most that a decimal holds when that is too much, which nothing can be added to.
    pub const fn to_decimal(self) -> i64 {
        match self {
            Self::Whole(whole) => whole.saturating_mul(UNITS_PER_ONE),
            Self::Decimal(units) => units,
        }
    }
}

impl From<i64> for Amount {
    /// From Cedar's `Long`.
    fn from(whole: i64) -> Self {
        Self::Whole(whole)
    }
}

impl From<Amount> for Value {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Whole(whole) => Self::Long(whole),
            Amount::Decimal(units) => Self::Decimal(decimal_text(units).into()),
        }
    }
}

impl fmt::Display for Amount {
    /// `12`, or `12.5000` as `decimal` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            Self::Decimal(units) => f.write_str(decimal_text(*units).as_str()),
        }
    }
}

/// As `decimal` takes it, such as `12.5000`.
fn decimal_text(units: i64) -> ShortText {
    let (magnitude, one) = (units.unsigned_abs(), UNITS_PER_ONE.unsigned_abs());
    let mut text = ShortText::new();
    text.push(if units < 0 { "-" } else { "" });
    text.push(itoa::Buffer::new().format(magnitude / one));
    text.push(".");
    // A one before the digits, for the zeros that they begin with.
    let digits = one + magnitude % one;
    text.push(itoa::Buffer::new().format(digits).get(1..).unwrap_or_default());
    text
}
