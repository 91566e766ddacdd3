//! Methods and constructors of extension values.

use super::data::Operand;
use super::extension::{self, IpRange};
use crate::decision::Failure;

/// A function of Cedar's extensions.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Function {
    Ip,
    IsIpv4,
    IsIpv6,
    IsLoopback,
    IsMulticast,
    IsInRange,
    Decimal,
    LessThan,
    LessThanOrEqual,
    GreaterThan,
    GreaterThanOrEqual,
    Datetime,
    Offset,
    DurationSince,
    ToDate,
    ToTime,
    Duration,
    ToMilliseconds,
    ToSeconds,
    ToMinutes,
    ToHours,
    ToDays,
}

impl Function {
    /// The function of this name; `None` for one that this version does not know.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "ip" => Self::Ip,
            "isIpv4" => Self::IsIpv4,
            "isIpv6" => Self::IsIpv6,
            "isLoopback" => Self::IsLoopback,
            "isMulticast" => Self::IsMulticast,
            "isInRange" => Self::IsInRange,
            "decimal" => Self::Decimal,
            "lessThan" => Self::LessThan,
            "lessThanOrEqual" => Self::LessThanOrEqual,
            "greaterThan" => Self::GreaterThan,
            "greaterThanOrEqual" => Self::GreaterThanOrEqual,
            "datetime" => Self::Datetime,
            "offset" => Self::Offset,
            "durationSince" => Self::DurationSince,
            "toDate" => Self::ToDate,
            "toTime" => Self::ToTime,
            "duration" => Self::Duration,
            "toMilliseconds" => Self::ToMilliseconds,
            "toSeconds" => Self::ToSeconds,
            "toMinutes" => Self::ToMinutes,
            "toHours" => Self::ToHours,
            "toDays" => Self::ToDays,
            _ => return None,
        })
    }

    /// Calls it.
    ///
    /// # Errors
    /// When an argument has another type, a text another form, or a result is out of range.
    pub(crate) fn call<'a>(self, arguments: &[Operand<'a>]) -> Result<Operand<'a>, Failure> {
        match arguments {
            [argument] => self.call_unary(*argument),
            [first, second] if self != Self::IsInRange => self.call_binary(*first, *second),
            [address, ranges @ ..] if self == Self::IsInRange && !ranges.is_empty() => {
                let address = ip(*address)?;
                let mut found = false;
                // Every range is looked at: one that is none fails, also behind one that fits.
                for range in ranges {
                    found |= address.is_in_range(&ip(*range)?);
                }
                Ok(Operand::Bool(found))
            }
            _ => Err(Failure::WrongType),
        }
    }

    fn call_unary<'a>(self, argument: Operand<'_>) -> Result<Operand<'a>, Failure> {
        let text = || match argument {
            Operand::String(text) => Ok(text),
            _ => Err(Failure::WrongType),
        };
        let refused = Failure::Extension;
        Ok(match self {
            Self::Ip => Operand::Ip(IpRange::parse(text()?).ok_or(refused)?),
            Self::Decimal => Operand::Decimal(extension::parse_decimal(text()?).ok_or(refused)?),
            Self::Datetime => Operand::Datetime(extension::parse_datetime(text()?).ok_or(refused)?),
            Self::Duration => Operand::Duration(extension::parse_duration(text()?).ok_or(refused)?),
            Self::IsIpv4 => Operand::Bool(ip(argument)?.is_ipv4()),
            Self::IsIpv6 => Operand::Bool(ip(argument)?.is_ipv6()),
            Self::IsLoopback => Operand::Bool(ip(argument)?.is_loopback()),
            Self::IsMulticast => Operand::Bool(ip(argument)?.is_multicast()),
            Self::ToDate => Operand::Datetime(extension::to_date(datetime(argument)?).ok_or(refused)?),
            Self::ToTime => Operand::Duration(extension::to_time(datetime(argument)?)),
            Self::ToMilliseconds => Operand::Long(extension::to_milliseconds(duration(argument)?)),
            Self::ToSeconds => Operand::Long(extension::to_seconds(duration(argument)?)),
            Self::ToMinutes => Operand::Long(extension::to_minutes(duration(argument)?)),
            Self::ToHours => Operand::Long(extension::to_hours(duration(argument)?)),
            Self::ToDays => Operand::Long(extension::to_days(duration(argument)?)),
            Self::IsInRange
            | Self::LessThan
            | Self::LessThanOrEqual
            | Self::GreaterThan
            | Self::GreaterThanOrEqual
            | Self::Offset
            | Self::DurationSince => return Err(Failure::WrongType),
        })
    }

    fn call_binary<'a>(self, first: Operand<'_>, second: Operand<'_>) -> Result<Operand<'a>, Failure> {
        let decimals = || Ok::<_, Failure>((decimal(first)?, decimal(second)?));
        Ok(match self {
            Self::LessThan => decimals().map(|(a, b)| Operand::Bool(a < b))?,
            Self::LessThanOrEqual => decimals().map(|(a, b)| Operand::Bool(a <= b))?,
            Self::GreaterThan => decimals().map(|(a, b)| Operand::Bool(a > b))?,
            Self::GreaterThanOrEqual => decimals().map(|(a, b)| Operand::Bool(a >= b))?,
            Self::Offset => {
                let (at, by) = (datetime(first)?, duration(second)?);
                Operand::Datetime(extension::datetime_offset(at, by).ok_or(Failure::Extension)?)
            }
            Self::DurationSince => {
                let (at, since) = (datetime(first)?, datetime(second)?);
                Operand::Duration(extension::duration_since(at, since).ok_or(Failure::Extension)?)
            }
            _ => return Err(Failure::WrongType),
        })
    }
}

fn ip(operand: Operand<'_>) -> Result<IpRange, Failure> {
    if let Operand::Ip(range) = operand { Ok(range) } else { Err(Failure::WrongType) }
}

fn decimal(operand: Operand<'_>) -> Result<i64, Failure> {
    if let Operand::Decimal(value) = operand { Ok(value) } else { Err(Failure::WrongType) }
}

fn datetime(operand: Operand<'_>) -> Result<i64, Failure> {
    if let Operand::Datetime(value) = operand { Ok(value) } else { Err(Failure::WrongType) }
}

fn duration(operand: Operand<'_>) -> Result<i64, Failure> {
    if let Operand::Duration(value) = operand { Ok(value) } else { Err(Failure::WrongType) }
}
