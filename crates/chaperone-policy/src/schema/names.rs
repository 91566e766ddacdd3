//! Every name of an attribute in a schema.

use std::collections::BTreeSet;

use cedar_policy_core::validator::ValidatorSchema;
use cedar_policy_core::validator::types::{Attributes, Type};
use smol_str::SmolStr;

/// The names of the attributes of all entity types, of tags' values and of requests, near and nested: of whatever is read from texts and
/// requests, and outlives what policies remember.
pub(super) fn of_values(schema: &ValidatorSchema) -> BTreeSet<SmolStr> {
    let mut names = BTreeSet::new();
    for kind in schema.entity_types() {
        add_fields(kind.attributes(), &mut names);
        if let Some(tag) = kind.tag_type() {
            add(tag, &mut names);
        }
    }
    for request in contexts(schema).filter_map(|context| super::action::field(context, "request")) {
        add(request, &mut names);
    }
    names
}

/// The names of the attributes of contexts, near and nested: the counters and sets that policies name are among them.
pub(super) fn of_contexts(schema: &ValidatorSchema) -> BTreeSet<SmolStr> {
    let mut names = BTreeSet::new();
    contexts(schema).for_each(|context| add(context, &mut names));
    names
}

fn contexts(schema: &ValidatorSchema) -> impl Iterator<Item = &Type> {
    schema.action_ids().filter_map(|action| action.context_type())
}

fn add(ty: &Type, names: &mut BTreeSet<SmolStr>) {
    match ty {
        Type::Record { attrs, .. } => add_fields(attrs, names),
        Type::Set { element_type: Some(element) } => add(element, names),
        Type::Set { element_type: None }
        | Type::Never
        | Type::Bool(_)
        | Type::Long
        | Type::String
        | Type::Entity(_)
        | Type::ExtensionType { .. } => {}
    }
}

fn add_fields(attributes: &Attributes, names: &mut BTreeSet<SmolStr>) {
    for (name, attribute) in attributes.iter() {
        names.insert(name.clone());
        add(&attribute.attr_type, names);
    }
}
