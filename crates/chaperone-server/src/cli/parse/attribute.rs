//! Attributes on the command line: `name=value` and `name:type=value`.

use chaperone_api::chaperone::v1::Value;
use chaperone_api::chaperone::v1::value::Kind;

use super::entity_ref;

/// Reads `name=text`, or `name:type=value` with one of Cedar's scalar types.
pub fn attribute(text: &str) -> Result<(String, Value), String> {
    let (left, value) =
        text.split_once('=').ok_or("write name=value or name:type=value, such as format=csv or rows:long=5")?;
    let (name, kind) = left.split_once(':').unwrap_or((left, "string"));
    if name.is_empty() {
        return Err("the attribute's name is missing before `=`".to_owned());
    }
    let owned = value.to_owned();
    let kind = match kind {
        "string" => Kind::String(owned),
        "long" => Kind::Long(value.parse().map_err(|_| format!("`{value}` is not a 64-bit integer"))?),
        "bool" => Kind::Bool(value.parse().map_err(|_| format!("`{value}` is neither true nor false"))?),
        "entity" => Kind::Entity(entity_ref(value)?),
        "ip" => Kind::Ip(owned),
        "decimal" => Kind::Decimal(owned),
        "datetime" => Kind::Datetime(owned),
        "duration" => Kind::Duration(owned),
        other => {
            return Err(format!(
                "`{other}` is not a type that fits here; string, long, bool, entity, ip, decimal, datetime and \
                 duration are; sets and records go into --attrs-json"
            ));
        }
    };
    Ok((name.to_owned(), Value { kind: Some(kind) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_is_string_unless_named() {
        for (text, name, kind) in [
            ("format=csv", "format", Kind::String("csv".into())),
            ("query=a=b:c", "query", Kind::String("a=b:c".into())),
            ("empty=", "empty", Kind::String(String::new())),
            ("rows:long=5", "rows", Kind::Long(5)),
            ("rows:long=-9223372036854775808", "rows", Kind::Long(i64::MIN)),
            ("bulk:bool=true", "bulk", Kind::Bool(true)),
            ("from:ip=10.0.0.0/8", "from", Kind::Ip("10.0.0.0/8".into())),
            ("price:decimal=12.50", "price", Kind::Decimal("12.50".into())),
        ] {
            assert_eq!(attribute(text), Ok((name.to_owned(), Value { kind: Some(kind) })), "{text}");
        }
    }

    #[test]
    fn value_that_is_not_of_its_type_is_refused() {
        for text in
            ["rows", "=5", ":long=5", "rows:long=five", "rows:long=9223372036854775808", "b:bool=yes", "s:set=a"]
        {
            assert!(attribute(text).is_err(), "{text}");
        }
    }
}
