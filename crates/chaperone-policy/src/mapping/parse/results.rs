//! `[results.<action>]`: what reports may tell of an action, with types.

use super::action::{action_ref, shape};
use super::reader::{Node, Reader};
use crate::fact::{FACTS_MAX, FactType, ResultFacts, Results, is_fact_name};
use crate::shape::{Shapes, Type};

/// Reads the facts of each action.
pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>, shapes: Option<&Shapes>) -> Results {
    let mut results = Results::new();
    let Some(table) = reader.open_table(node, "`results`") else { return results };
    for (name, node) in table.iter() {
        let Some(action) = action_ref(reader, &name) else { continue };
        if shapes.is_some_and(|shapes| shape(reader, &action, &name.span, shapes).is_none()) {
            continue;
        }
        let facts = facts(reader, node, shapes);
        if results.insert(action, facts).is_some() {
            let message = format!("the action `{}` is there twice", name.value);
            reader.problem(&name.span, "mapping_result", message);
        }
    }
    results
}

fn facts(reader: &mut Reader<'_>, node: &Node<'_>, shapes: Option<&Shapes>) -> ResultFacts {
    let mut facts = ResultFacts::new();
    let Some(table) = reader.open_table(node, "the results of an action") else { return facts };
    for (name, node) in table.iter() {
        if !is_fact_name(name.value) {
            let message = format!("`{}` is no name of a result", name.value);
            let help = "a name has 1 to 64 letters, digits and `_`, and does not begin with a digit";
            reader.problem_with_help(&name.span, "mapping_result", message, help);
            continue;
        }
        let Some(text) = reader.text(node, &format!("the type of `{}`", name.value)) else { continue };
        let ty = FactType::parse(text.value).filter(|ty| shapes.is_none_or(|shapes| is_known(ty, shapes)));
        let Some(ty) = ty else {
            let message = format!("`{}` is no type of a result", text.value);
            let help =
                "write `Long`, `decimal`, `String`, `ipaddr`, or the type of entities that some action has to do with";
            reader.problem_with_help(&text.span, "mapping_result", message, help);
            continue;
        };
        if facts.len() == FACTS_MAX {
            let message = format!("an action has more than {FACTS_MAX} results");
            reader.problem(&name.span, "mapping_limit", message);
            break;
        }
        facts.insert(name.value.into(), ty);
    }
    facts
}

/// Whether some action has entities of this type as principal, resource or attribute.
fn is_known(ty: &FactType, shapes: &Shapes) -> bool {
    let FactType::Entity(kind) = ty else { return true };
    shapes.values().any(|shape| {
        let of_attribute = |field: &crate::shape::Field| matches!(&field.ty, Type::Entity(of) if of == kind);
        shape.principals.contains(kind) || shape.resources.contains(kind) || shape.attributes.values().any(of_attribute)
    })
}
