//! Parts of all: `5%`, `0.1%`, `100%`.

use chaperone_store::Share;

/// How many digits after the point a per cent has: a millionth of all has four.
const FRACTION_DIGITS: usize = 4;

/// Reads a part of all, in per cent; more than nothing.
pub fn share(text: &str) -> Result<Share, String> {
    let malformed = || format!("`{text}` is not a share; write it in per cent, such as 5% or 0.1%, up to 100%");
    let number = text.strip_suffix('%').ok_or_else(malformed)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) || whole.len() > 3 || fraction.len() > FRACTION_DIGITS {
        return Err(malformed());
    }
    // Per cent times ten thousand is millionths.
    let millionths = format!("{whole}{fraction:0<FRACTION_DIGITS$}").parse().ok();
    millionths.and_then(Share::of_millionths).filter(|share| *share != Share::NONE).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_is_read_as_it_is_written() {
        for text in ["5%", "0.1%", "12.5%", "0.0001%", "100%"] {
            assert_eq!(share(text).expect(text).to_string(), text);
        }
        assert_eq!(share("05.50%").map(Share::millionths), Ok(55_000));
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in [
            "",
            "%",
            "5",
            "0%",
            "0.0%",
            "100.0001%",
            "101%",
            "1000%",
            "-1%",
            "+1%",
            "1.%",
            ".5%",
            "1e1%",
            "0.00001%",
            "5%%",
        ] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
