//! Decimals: numbers with four digits after the point.

use super::digits;

/// How many digits after the point there are at most.
const FRACTION_DIGITS_MAX: u32 = 4;

/// The ten-thousandths of `decimal("12.50")`; `None` when Cedar refuses the text.
pub(crate) fn parse_decimal(text: &str) -> Option<i64> {
    let (sign, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (-1, magnitude),
        None => (1, text),
    };
    let (whole, fraction) = magnitude.split_once('.')?;
    let missing = FRACTION_DIGITS_MAX.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let (whole, fraction): (i128, i128) = (digits(whole)?, digits(fraction)?);
    let magnitude = whole.checked_mul(10_000)?.checked_add(fraction * 10_i128.pow(missing))?;
    i64::try_from(sign * magnitude).ok()
}
