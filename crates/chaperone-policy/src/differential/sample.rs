//! One random bundle with its entities and scopes, as texts and compiled.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy_core::ast::{PolicyID, SlotId, Template};
use cedar_policy_core::parser::parse_policyset;
use serde_json::Value as Json;

use super::chance::Chance;
use super::policies::{Author, Draft};
use super::world::World;
use crate::bundle::Bundle;
use crate::convert;
use crate::diagnostics::File;
use crate::effects;
use crate::entities::{Entity, EntityStore};
use crate::policy_set::ParsedPolicy;
use crate::policy_text;
use crate::problem::Problem;
use crate::schema::CompiledSchema;
use crate::scope::Scope;
use crate::source::BundleSource;

/// Everything of a bundle, in parts that can be left out one by one.
#[derive(Clone)]
pub(super) struct Sample {
    /// The schema's text.
    pub(super) text: String,
    /// The schema, which takes longer to compile than everything else.
    pub(super) schema: Arc<CompiledSchema>,
    /// The policies; templates have slots.
    pub(super) policies: Vec<Arc<Draft>>,
    /// `entities.json`.
    pub(super) base: Json,
    /// The entities that are stored.
    pub(super) stored: Vec<Entity>,
    /// Scopes of sessions.
    pub(super) scopes: Vec<String>,
    /// How many points of risk an hour takes away.
    pub(super) decay_per_hour: u32,
}

/// A sample, compiled.
pub(super) struct Compiled {
    /// The bundle.
    pub(super) bundle: Bundle,
    /// Its entities, and those that are stored.
    pub(super) store: EntityStore,
    /// The scopes; the first is unrestricted.
    pub(super) scopes: Vec<Scope>,
}

impl Sample {
    /// Any sample of a schema.
    pub(super) fn new(chance: &mut Chance, world: &World, schema: &Arc<CompiledSchema>) -> Self {
        let mut author = Author::new(world);
        let policies = (0..chance.between(2, 9)).map(|_| {
            let with_slots = chance.percent(12);
            Arc::new(author.write(chance, with_slots))
        });
        let mut policies: Vec<_> = policies.collect();
        policies.extend(author.write_keepers(chance).into_iter().map(Arc::new));
        let scopes = (0..2)
            .map(|_| (0..chance.between(1, 3)).map(|_| author.write(chance, false).text).collect())
            .map(|text: String| text.replacen("forbid (", "permit (", 1))
            .collect();
        let (base, stored) = world.entities(chance);
        let decay_per_hour = *chance.choose(&[0, 0, 1, 1_000, 3_600]);
        Self { text: world.schema(), schema: Arc::clone(schema), policies, base, stored, scopes, decay_per_hour }
    }

    /// What is uploaded of it: everything but templates, which no bundle may have.
    pub(super) fn source(&self) -> BundleSource {
        let mut text =
            "@id(\"none\") permit (principal == Chaperone::Workload::\"none\", action, resource);\n".to_owned();
        for (place, policy) in self.policies.iter().enumerate().filter(|(_, policy)| !policy.is_template()) {
            text.push_str(&annotated(place, policy));
        }
        let mut source = BundleSource::default();
        source.files.insert("bundle.toml".into(), format!("[risk]\ndecay_per_hour = {}\n", self.decay_per_hour));
        source.files.insert("schema.cedarschema".into(), self.text.clone());
        source.files.insert("policies/main.cedar".into(), text);
        source.files.insert("entities.json".into(), format!("{:#}", self.base));
        source
    }

    /// Its templates with what stands for their slots.
    pub(super) fn templates(&self) -> impl Iterator<Item = (String, &Draft)> {
        let templates = self.policies.iter().enumerate().filter(|(_, policy)| policy.is_template());
        templates.map(|(place, policy)| (annotated(place, policy), policy.as_ref()))
    }

    /// Compiles it.
    ///
    /// # Errors
    /// When it is not valid, which is a shortcoming of what generates it.
    pub(super) fn compile(&self) -> Result<Compiled, Vec<Problem>> {
        let mut links = Vec::new();
        for (text, draft) in self.templates() {
            links.push(link(&text, draft));
        }
        let bundle = Bundle::compile_with(&self.source(), Ok(Arc::clone(&self.schema)), links)?;
        let store = bundle.entities(&self.stored).map_err(|errors| {
            errors
                .iter()
                .map(|error| Problem::of_file("stored", "entities_type", error.to_string()))
                .collect::<Vec<_>>()
        })?;
        let mut scopes = vec![Scope::Unrestricted];
        for text in &self.scopes {
            let scope =
                Scope::parse(text).map_err(|error| vec![Problem::of_file("scope", "scope", error.to_string())])?;
            bundle.check_scope(&scope)?;
            scopes.push(scope);
        }
        Ok(Compiled { bundle, store, scopes })
    }
}

fn annotated(place: usize, draft: &Draft) -> String {
    // Some reasons, so that they are compared, too.
    let reason = if place.is_multiple_of(3) { "@reason(\"{principal} may {action} on {resource}\")\n" } else { "" };
    format!("@id(\"p{place}\")\n{reason}{}{}", draft.annotations, draft.text)
}

/// A link of a template, as the policies that a bundle's text has.
fn link(text: &str, draft: &Draft) -> ParsedPolicy {
    let set = parse_policyset(text).expect("a template");
    let id = text.split('"').nth(1).expect("an id").to_owned();
    // Templates of one set have names of their own.
    let template = set.templates().next().expect("a template").new_id(PolicyID::from_string(format!("template {id}")));
    let slots = [(SlotId::principal(), &draft.principal_slot), (SlotId::resource(), &draft.resource_slot)];
    let values: HashMap<_, _> = slots
        .into_iter()
        .filter_map(|(slot, entity)| Some((slot, convert::uid(entity.as_ref()?).expect("a type's name"))))
        .collect();
    let core = Template::link(Arc::new(template), PolicyID::from_string(&id), values).expect("every slot");
    let file = File { path: "template", text };
    let reason = policy_text::reason(file, &core).expect("a valid reason");
    let annotations = effects::parse(file, &core).expect("valid annotations");
    ParsedPolicy { id: id.into(), reason, annotations, core }
}
