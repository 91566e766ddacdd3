//! Which decoders a bundle uses, and the part of the schema that Chaperone supplies for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use chaperone_decode::{ClassSet, Classes, Decoder, FactSpec, FactType};
use smol_str::{SmolStr, format_smolstr};

use crate::schema::NAMESPACE;

/// What every operation tells beside the facts of its decoder: fields of `context.request` with their Cedar types.
const COMMON: [(&str, &str); 5] = [
    ("decoder", "__cedar::String"),
    ("object", "__cedar::String"),
    ("peer?", "__cedar::String"),
    ("source_ip?", "__cedar::ipaddr"),
    ("zone?", "__cedar::String"),
];

/// The decoders that a bundle's mapping names, and what their actions are worth there.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Decoders {
    pub(crate) used: BTreeSet<Decoder>,
    pub(crate) classes: Arc<Classes>,
}

impl Decoders {
    /// What is supplied for them within the namespace `Chaperone`: the types of their resources, and their actions in their groups.
    /// `principals` are the types that can act, separated by commas.
    pub(crate) fn schema(&self, principals: &str) -> String {
        self.used.iter().map(|decoder| self.declarations(*decoder, principals)).collect()
    }

    fn declarations(&self, decoder: Decoder, principals: &str) -> String {
        let fields = decoder.facts().iter().map(field).chain(COMMON.map(|(name, ty)| format!("{name}: {ty}")));
        let fields = fields.collect::<Vec<_>>().join(", ");
        let resources = decoder.resources().iter().map(|kind| format!("{}{kind}", decoder.type_prefix()));
        let (request, resources) =
            (format!("{}Request", decoder.type_prefix()), resources.collect::<Vec<_>>().join(", "));
        let mut text = format!("  type {request} = {{ {fields} }};\n  entity {resources};\n");
        let mut by_classes: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
        for (action, classes) in self.classes.actions(decoder) {
            let action = format!("\"{}\"", action_id(decoder, action).escape_debug());
            by_classes.entry(groups(decoder, classes)).or_default().push(action);
        }
        for (groups, actions) in by_classes {
            let groups = groups.iter().map(|group| format!("\"{group}\"")).collect::<Vec<_>>();
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "  action {} in [{}] appliesTo {{ principal: [{principals}], resource: [{resources}], context: {{ session: \
                 Session, tree: Tree, principal: Principal, request: {request} }} }};",
                actions.join(", "),
                groups.join(", "),
            );
        }
        text
    }
}

/// The id of a decoder's action in `Chaperone::Action`, such as `sql.select`. With the decoder's name before it, since Cedar lets no action
/// outside of namespaces have the id of one in a namespace.
pub(crate) fn action_id(decoder: Decoder, action: &str) -> SmolStr {
    format_smolstr!("{}.{action}", decoder.as_str())
}

/// The type of a decoder's resources, such as `Chaperone::SqlTable`.
pub(crate) fn resource_type(decoder: Decoder, kind: &str) -> SmolStr {
    format_smolstr!("{NAMESPACE}::{}{kind}", decoder.type_prefix())
}

/// The names of the groups that an action is in: the one of its decoder first.
fn groups(decoder: Decoder, classes: ClassSet) -> Vec<&'static str> {
    std::iter::once(decoder.as_str()).chain(classes.iter().map(chaperone_decode::Class::as_str)).collect()
}

fn field(fact: &FactSpec) -> String {
    let ty = match fact.ty {
        FactType::Bool => "__cedar::Bool",
        FactType::Long => "__cedar::Long",
        FactType::Text => "__cedar::String",
        FactType::Texts => "Set<__cedar::String>",
    };
    format!("{}{}: {ty}", fact.name, if fact.required { "" } else { "?" })
}
