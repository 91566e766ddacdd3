//! The schema, by what it declares, each as Cedar writes it.

use cedar_policy_core::ast::Name;
use cedar_policy_core::est::Annotations;
use cedar_policy_core::validator::RawName;
use cedar_policy_core::validator::json_schema::{Fragment, NamespaceDefinition};

use super::{DiffPart, Parts};
use crate::diagnostics::File;
use crate::problem::Problem;
use crate::schema::{self, PATH};

type Definition = NamespaceDefinition<RawName>;

pub(super) fn parts(text: &str) -> Result<Parts, Vec<Problem>> {
    let failed = |error: &dyn std::fmt::Display| vec![Problem::of_file(PATH, "schema_syntax", error.to_string())];
    let parsed = schema::parse(File { path: PATH, text })?.to_json_value().map_err(|error| failed(&error))?;
    let Fragment::<RawName>(namespaces) = Fragment::from_json_value(parsed).map_err(|error| failed(&error))?;
    let mut parts = Parts::new();
    for (namespace, mut definition) in namespaces {
        let entity_types = std::mem::take(&mut definition.entity_types);
        let common_types = std::mem::take(&mut definition.common_types);
        let actions = std::mem::take(&mut definition.actions);
        definition.annotations = Annotations::default();
        let empty = definition;
        let mut add = |part, name: String, declared: Definition| {
            let name = namespace.as_ref().map_or_else(|| name.clone(), |namespace| format!("{namespace}::{name}"));
            let text = alone(namespace.clone(), declared).map_err(|error| failed(&error))?;
            parts.insert((part, name), text);
            Ok::<_, Vec<Problem>>(())
        };
        for (name, declared) in entity_types {
            let mut only = empty.clone();
            only.entity_types.insert(name.clone(), declared);
            add(DiffPart::EntityType, name.to_string(), only)?;
        }
        for (name, declared) in common_types {
            let mut only = empty.clone();
            only.common_types.insert(name.clone(), declared);
            add(DiffPart::CommonType, name.to_string(), only)?;
        }
        for (name, declared) in actions {
            let mut only = empty.clone();
            only.actions.insert(name.clone(), declared);
            add(DiffPart::Action, format!("Action::\"{}\"", name.escape_debug()), only)?;
        }
    }
    Ok(parts)
}

/// A declaration as a schema of its own, which refers to what is elsewhere.
fn alone(namespace: Option<Name>, declared: Definition) -> Result<String, impl std::fmt::Display> {
    let fragment = Fragment::<RawName>([(namespace, declared)].into());
    fragment.to_cedarschema().map(|text| format!("{}\n", text.trim()))
}
