//! `[trail]`: in which form attributes are recorded.

use smol_str::SmolStr;

use super::reader::{Node, Reader};
use crate::mapping::recording::{Recorded, Recording};
use crate::shape::Shapes;

/// The lists, by their keys.
const LISTS: [(&str, Recorded); 3] =
    [("kept", Recorded::Kept), ("hashed", Recorded::Hashed), ("dropped", Recorded::Dropped)];

/// Reads the lists. Each names attributes, of whatever action, and none of them twice.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>, shapes: Option<&Shapes>) -> Recording {
    let mut recording = Recording::default();
    let Some(table) = reader.table(node, "[trail]", &LISTS.map(|(key, _)| key)) else { return recording };
    for (key, form) in LISTS {
        let Some(names) = table.get(key).and_then(|node| reader.texts(node, &format!("`{key}`"))) else { continue };
        for name in names {
            let is_known = shapes.is_none_or(|shapes| {
                shapes.values().any(|shape| shape.attributes.keys().any(|attribute| attribute == name.value))
            });
            if !is_known {
                let message = format!("no action has an attribute `{}`", name.value);
                reader.problem(&name.span, "mapping_trail", message);
            }
            if recording.named.insert(SmolStr::new(name.value), form).is_some() {
                let message = format!("the attribute `{}` is there twice", name.value);
                reader.problem(&name.span, "mapping_trail", message);
            }
        }
    }
    recording
}
