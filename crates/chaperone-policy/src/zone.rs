//! Network zones: names for ranges of addresses.

use std::fmt;
use std::net::IpAddr;

use smol_str::SmolStr;

/// How long a zone's name may be, in bytes.
pub const ZONE_NAME_BYTES_MAX: usize = 64;

/// Whether a text can be the name of a zone: `a-z`, `0-9`, `-`, `_` and `.`, at most 64 of them.
pub fn is_zone_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    !text.is_empty() && text.len() <= ZONE_NAME_BYTES_MAX && text.bytes().all(allowed)
}

/// Every address that begins with the same bits (RFC 4632 section 3.1, RFC 4291 section 2.3).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Cidr {
    /// Its first address: what is behind the prefix is zero.
    network: IpAddr,
    /// How many bits are common.
    length: u8,
}

/// Why a text is no CIDR.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CidrError {
    /// It does not have the form.
    #[error("`{0}` is not a range of addresses such as `10.0.0.0/8` or `fd00::/8`")]
    Form(String),
    /// Bits are set behind its prefix: another range may have been meant.
    #[error("`{text}` has bits behind its prefix; write `{meant}`")]
    HostBits {
        /// As it was written.
        text: String,
        /// The range that the address is in.
        meant: Cidr,
    },
    /// It is IPv4 within IPv6. Addresses are looked up as IPv4 then, and would never be found in it.
    #[error("`{0}` is IPv4 within IPv6; write it as IPv4")]
    Mapped(String),
}

impl Cidr {
    /// From text; an address without a prefix is a range of one.
    ///
    /// # Errors
    /// When it is none, or could be read as another one.
    pub fn parse(text: &str) -> Result<Self, CidrError> {
        let form = || CidrError::Form(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| form())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = match length {
            Some(digits) => {
                let plain =
                    digits.bytes().all(|byte| byte.is_ascii_digit()) && !(digits.len() > 1 && digits.starts_with('0'));
                digits.parse::<u8>().ok().filter(|length| plain && *length <= bits).ok_or_else(form)?
            }
            None => bits,
        };
        if length >= 96 && address.to_canonical() != address {
            return Err(CidrError::Mapped(text.to_owned()));
        }
        let meant = Self { network: masked(address, length), length };
        if meant.network == address { Ok(meant) } else { Err(CidrError::HostBits { text: text.to_owned(), meant }) }
    }

    /// Whether an address is in it. One of IPv4 is in no range of IPv6, nor the other way round.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.network.is_ipv4() == address.is_ipv4() && masked(address, self.length) == self.network
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

/// The address with all bits zero but the first `length`.
fn masked(address: IpAddr, length: u8) -> IpAddr {
    let behind = u32::from(length);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(behind)).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(behind)).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

/// Which zone an address is in: that of the longest prefix which it has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Zones {
    names: Vec<SmolStr>,
    /// Ranges by the length of their prefix, the longest first; in each, in the order of their networks, with the place of the name.
    lengths: Vec<(u8, Vec<(IpAddr, usize)>)>,
}

/// The same range is in two places: an address in it would be in two zones, none of which is nearer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{cidr}` is there already, in the zone `{zone}`")]
pub struct RangeTaken {
    /// The range.
    pub cidr: Cidr,
    /// The zone that has it.
    pub zone: SmolStr,
}

impl Zones {
    /// Adds a zone without ranges, where there is none of this name.
    pub fn declare(&mut self, name: &str) {
        if !self.declares(name) {
            self.names.push(name.into());
        }
    }

    /// Adds a range to a zone.
    ///
    /// # Errors
    /// When some zone has the range already.
    pub fn add(&mut self, name: &str, cidr: Cidr) -> Result<(), RangeTaken> {
        self.declare(name);
        let place = self.names.iter().position(|known| known == name).unwrap_or_default();
        let level = match self.lengths.binary_search_by(|(length, _)| cidr.length.cmp(length)) {
            Ok(level) => level,
            Err(level) => {
                self.lengths.insert(level, (cidr.length, Vec::new()));
                level
            }
        };
        let Some((_, ranges)) = self.lengths.get_mut(level) else { return Ok(()) };
        match ranges.binary_search_by_key(&cidr.network, |(network, _)| *network) {
            Ok(taken) => {
                let zone = ranges.get(taken).and_then(|(_, place)| self.names.get(*place)).cloned().unwrap_or_default();
                Err(RangeTaken { cidr, zone })
            }
            Err(position) => {
                ranges.insert(position, (cidr.network, place));
                Ok(())
            }
        }
    }

    /// The zone of an address; `None` when it is in none. IPv4 within IPv6 is looked up as IPv4.
    pub fn find(&self, address: IpAddr) -> Option<&SmolStr> {
        let address = address.to_canonical();
        self.lengths.iter().find_map(|(length, ranges)| {
            if address.is_ipv4() && *length > 32 {
                return None;
            }
            let network = masked(address, *length);
            let found = ranges.binary_search_by_key(&network, |(network, _)| *network).ok()?;
            self.names.get(ranges.get(found)?.1)
        })
    }

    /// Whether there is a zone of this name.
    pub fn declares(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names of the zones.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(SmolStr::as_str)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).expect(text)
    }

    #[test]
    fn range_is_written_as_it_is_read_and_in_one_way_only() {
        for (text, shown) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(cidr(text).to_string(), shown);
        }
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "office",
            "fe80::1%1/64",
            "1.2.3.4/8/8",
        ] {
            assert!(matches!(Cidr::parse(text), Err(CidrError::Form(_))), "{text}");
        }
        let host_bits = Cidr::parse("10.1.0.0/8").expect_err("bits behind the prefix");
        assert_eq!(host_bits.to_string(), "`10.1.0.0/8` has bits behind its prefix; write `10.0.0.0/8`");
        for text in ["::ffff:10.0.0.0/104", "::ffff:0:0/96", "::ffff:a00:1"] {
            assert_eq!(Cidr::parse(text), Err(CidrError::Mapped(text.to_owned())));
        }
    }

    #[test]
    fn most_specific_prefix_wins_and_families_are_apart() {
        let mut zones = Zones::default();
        for (name, text) in [
            ("office", "10.0.0.0/8"),
            ("lab", "10.1.0.0/16"),
            ("office", "10.1.2.0/24"),
            ("office", "fd00::/8"),
            ("any", "::/0"),
        ] {
            zones.add(name, cidr(text)).expect("it is free");
        }
        let zone = |text: &str| zones.find(text.parse().expect(text)).map(SmolStr::as_str);
        assert_eq!(zone("10.9.9.9"), Some("office"));
        assert_eq!(zone("10.1.9.9"), Some("lab"));
        assert_eq!(zone("10.1.2.9"), Some("office"));
        assert_eq!(zone("::ffff:10.1.9.9"), Some("lab"));
        assert_eq!(zone("fd00::1"), Some("office"));
        assert_eq!(zone("2001:db8::1"), Some("any"));
        assert_eq!(zone("192.0.2.1"), None);
        let taken = zones.add("lab", cidr("10.0.0.0/8")).expect_err("it is taken");
        assert_eq!(taken.to_string(), "`10.0.0.0/8` is there already, in the zone `office`");
    }

    /// Few different bits, so that ranges are within others and addresses within them.
    fn addresses() -> impl Strategy<Value = IpAddr> {
        let v4 = prop::sample::select(vec![0_u32, 0x0a00_0000, 0x0a01_0000, 0x0a01_0203, 0x0a80_0000, u32::MAX]);
        let v6 = prop::sample::select(vec![0_u128, 1, 0xfd << 120, (0xfd << 120) | 1, 0xffff_0a01_0203, u128::MAX]);
        prop_oneof![v4.prop_map(|bits| Ipv4Addr::from(bits).into()), v6.prop_map(|bits| Ipv6Addr::from(bits).into())]
    }

    fn ranges() -> impl Strategy<Value = Cidr> {
        (addresses(), 0_u8..=128).prop_map(|(address, length)| {
            let length = if address.is_ipv4() { length % 33 } else { length };
            Cidr { network: masked(address, length), length }
        })
    }

    proptest! {
        #[test]
        fn lookup_equals_brute_force(
            ranges in prop::collection::vec((ranges(), 0_usize..4), 0..24),
            addresses in prop::collection::vec(addresses(), 1..16),
        ) {
            let (mut zones, mut accepted) = (Zones::default(), Vec::<(Cidr, String)>::new());
            for (cidr, number) in ranges {
                let name = format!("zone-{number}");
                let is_free = accepted.iter().all(|(known, _)| *known != cidr);
                prop_assert_eq!(zones.add(&name, cidr).is_ok(), is_free);
                if is_free {
                    accepted.push((cidr, name));
                }
            }
            for address in addresses {
                let canonical = address.to_canonical();
                let nearest = accepted.iter().filter(|(cidr, _)| cidr.contains(canonical)).max_by_key(|(cidr, _)| cidr.length);
                prop_assert_eq!(zones.find(address).map(SmolStr::as_str), nearest.map(|(_, name)| name.as_str()));
            }
        }
    }
}
