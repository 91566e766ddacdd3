//! Addresses and ranges of addresses.

use std::net::IpAddr;

use smol_str::{SmolStr, format_smolstr};

use super::digits;
use crate::short_text::ShortText;

/// How long a text may be, in bytes: eight groups of four digits, and a prefix of three.
const TEXT_BYTES_MAX: usize = 43;

/// An address, or a range of them: an address with the length of its prefix in bits.
///
/// Ranges with equal members are different when their addresses are: the text says which is meant.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct IpRange {
    address: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// From Cedar's text; `None` when Cedar refuses it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // IPv4 inside of IPv6, such as `::ffff:10.0.0.1`, would be one address with two readings.
        let is_mixed = text.contains(':') && text.contains('.');
        if text.len() > TEXT_BYTES_MAX || is_mixed {
            return None;
        }
        let Some((address, prefix)) = text.split_once('/') else {
            return text.parse().ok().map(Self::of);
        };
        let address = address.parse().ok()?;
        let has_leading_zero = prefix.len() > 1 && prefix.starts_with('0');
        let prefix = digits(prefix).filter(|prefix| !has_leading_zero && *prefix <= bits(address))?;
        Some(Self { address, prefix })
    }

    /// One address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self { address, prefix: bits(address) }
    }

    /// Whether it is of IPv4.
    pub(crate) fn is_ipv4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether it is of IPv6.
    pub(crate) fn is_ipv6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// Whether every address in it is one of the host itself.
    pub(crate) fn is_loopback(&self) -> bool {
        let prefix_min = if self.is_ipv4() { 8 } else { 128 };
        self.address.is_loopback() && self.prefix >= prefix_min
    }

    /// Whether every address in it is one of many receivers.
    pub(crate) fn is_multicast(&self) -> bool {
        let prefix_min = if self.is_ipv4() { 4 } else { 8 };
        self.address.is_multicast() && self.prefix >= prefix_min
    }

    /// Whether every address in it is also in `other`.
    pub(crate) fn is_in_range(&self, other: &Self) -> bool {
        if self.prefix < other.prefix {
            return false;
        }
        match (self.address, other.address) {
            (IpAddr::V4(own), IpAddr::V4(others)) => {
                // The bits that the other's prefix fixes; shifting by all of them leaves none.
                let differing = own.to_bits() ^ others.to_bits();
                differing.checked_shr(32 - u32::from(other.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(others)) => {
                let differing = own.to_bits() ^ others.to_bits();
                differing.checked_shr(128 - u32::from(other.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// A text that reads the same.
    pub(crate) fn to_smolstr(self) -> SmolStr {
        match self.address {
            IpAddr::V4(address) => {
                let mut text = ShortText::new();
                for (place, octet) in address.octets().into_iter().enumerate() {
                    text.push(if place == 0 { "" } else { "." });
                    text.push(itoa::Buffer::new().format(octet));
                }
                text.push("/");
                text.push(itoa::Buffer::new().format(self.prefix));
                text.into()
            }
            // Written out, because the short form of some addresses is one that is refused.
            IpAddr::V6(address) => {
                let groups = address.segments().map(|group| format!("{group:x}"));
                format_smolstr!("{}/{}", groups.join(":"), self.prefix)
            }
        }
    }
}

/// How many bits an address has.
fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}
