//! Addresses and ranges of addresses.

use std::net::IpAddr;

/// An address, or a range of them: an address with the length of its prefix in bits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct IpRange {
    address: IpAddr,
    prefix: u8,
}

impl IpRange {
    /// From Cedar's text; `None` when Cedar refuses it.
    pub(crate) fn parse(_text: &str) -> Option<Self> {
        None
    }

    /// One address.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }
}
