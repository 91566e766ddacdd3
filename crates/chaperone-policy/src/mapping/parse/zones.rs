//! `[zones]`: the names of zones, each with its ranges of addresses.

use super::reader::{Node, Reader};
use crate::zone::{Cidr, ZONE_NAME_BYTES_MAX, Zones, is_zone_name};

/// How many zones there may be.
const ZONES_MAX: usize = 64;
/// How many ranges all zones may have together.
const RANGES_MAX: usize = 1_000;

const CODE: &str = "mapping_zone";

/// Reads the table. What is wrong with it has been noted as a problem.
pub(super) fn zones(reader: &mut Reader<'_>, node: &Node<'_>) -> Zones {
    let mut zones = Zones::default();
    let Some(table) = reader.open_table(node, "[zones]") else { return zones };
    let mut count = 0;
    for (number, (name, node)) in table.iter().enumerate() {
        if number == ZONES_MAX {
            reader.problem(&name.span, "mapping_limit", format!("at most {ZONES_MAX} zones are accepted"));
            break;
        }
        if !is_zone_name(name.value) {
            let message = format!("`{}` is not the name of a zone", name.value);
            let help = format!("a name is made of a-z, 0-9, `-`, `_` and `.`, at most {ZONE_NAME_BYTES_MAX} of them");
            reader.problem_with_help(&name.span, CODE, message, help);
        }
        zones.declare(name.value);
        let what = format!("the zone `{}`", name.value);
        let Some(texts) = reader.texts(node, &what) else { continue };
        if texts.is_empty() {
            reader.problem(&node.span(), CODE, format!("{what} has no range of addresses"));
        }
        for text in texts {
            count += 1;
            if count > RANGES_MAX {
                let message = format!("at most {RANGES_MAX} ranges of addresses are accepted");
                reader.problem(&text.span, "mapping_limit", message);
                return zones;
            }
            match Cidr::parse(text.value) {
                Ok(cidr) => {
                    if let Err(taken) = zones.add(name.value, cidr) {
                        let help = "an address would be in two zones: of ranges that overlap, the longest prefix wins";
                        reader.problem_with_help(&text.span, CODE, taken.to_string(), help);
                    }
                }
                Err(error) => reader.problem(&text.span, CODE, error.to_string()),
            }
        }
    }
    zones
}
