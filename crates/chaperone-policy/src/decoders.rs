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
///
/// Cedar checks every policy against every action, and decoders have thousands. Policies tell actions apart by their groups, and by the
/// names that they write out. So of all that are in equal groups and are named nowhere, Cedar is shown one, which stands for the others.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Decoders {
    pub(crate) used: BTreeSet<Decoder>,
    pub(crate) classes: Arc<Classes>,
    /// The ids of the actions that are named somewhere.
    named: BTreeSet<SmolStr>,
}

/// The actions of a decoder that are in the same groups.
#[derive(Default)]
struct Family {
    named: Vec<SmolStr>,
    /// The first one stands for all.
    unnamed: Vec<SmolStr>,
}

impl Decoders {
    /// Those that are used, with these classes.
    pub(crate) fn new(used: BTreeSet<Decoder>, classes: Classes) -> Self {
        Self { used, classes: Arc::new(classes), named: BTreeSet::new() }
    }

    /// Notes the actions that a text names, and says whether any of them is new.
    pub(crate) fn note_names(&mut self, text: &str) -> bool {
        let known = self.named.len();
        for decoder in &self.used {
            for (start, _) in text.match_indices(&format!("\"{}.", decoder.as_str())) {
                let id = text.get(start + 1..).and_then(|rest| rest.split('"').next()).unwrap_or_default();
                let action = id.split_once('.').map_or("", |(_, action)| action);
                if self.classes.get(*decoder, action).is_some() {
                    self.named.insert(id.into());
                }
            }
        }
        self.named.len() > known
    }

    /// What is supplied for them within the namespace `Chaperone`: the types of their resources, and their actions in their groups.
    /// `principals` are the types that can act, separated by commas.
    pub(crate) fn schema(&self, principals: &str) -> String {
        self.used.iter().map(|decoder| self.declarations(*decoder, principals)).collect()
    }

    /// The actions that Cedar is not shown, each with the one that stands for it.
    pub(crate) fn unnamed(&self) -> impl Iterator<Item = (SmolStr, SmolStr)> {
        let families = self.used.iter().flat_map(|decoder| self.families(*decoder).into_values());
        families.flat_map(|family| {
            let mut unnamed = family.unnamed.into_iter();
            let first = unnamed.next().unwrap_or_default();
            unnamed.map(move |id| (id, first.clone()))
        })
    }

    /// Every action with its groups, named or not.
    pub(crate) fn actions(&self) -> impl Iterator<Item = (SmolStr, Vec<&'static str>)> {
        self.used.iter().flat_map(|decoder| {
            self.classes
                .actions(*decoder)
                .map(|(action, classes)| (action_id(*decoder, action), groups(*decoder, classes)))
        })
    }

    fn families(&self, decoder: Decoder) -> BTreeMap<Vec<&'static str>, Family> {
        let mut families: BTreeMap<_, Family> = BTreeMap::new();
        for (action, classes) in self.classes.actions(decoder) {
            let (id, family) = (action_id(decoder, action), families.entry(groups(decoder, classes)).or_default());
            // A text can write it in several ways, of which only one is looked for.
            let is_escaped = id.contains(|c: char| c.escape_debug().len() > 1);
            if is_escaped || self.named.contains(&id) { family.named.push(id) } else { family.unnamed.push(id) }
        }
        families
    }

    fn declarations(&self, decoder: Decoder, principals: &str) -> String {
        let fields = decoder.facts().iter().map(field).chain(COMMON.map(|(name, ty)| format!("{name}: {ty}")));
        let fields = fields.collect::<Vec<_>>().join(", ");
        let resources = decoder.resources().iter().map(|kind| format!("{}{kind}", decoder.type_prefix()));
        let (request, resources) =
            (format!("{}Request", decoder.type_prefix()), resources.collect::<Vec<_>>().join(", "));
        let mut text = format!("  type {request} = {{ {fields} }};\n  entity {resources};\n");
        for (groups, family) in self.families(decoder) {
            let actions = family.named.iter().chain(family.unnamed.first());
            let actions = actions.map(|id| format!("\"{}\"", id.escape_debug())).collect::<Vec<_>>();
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
