//! What a bundle makes of a request, told step by step: for people who write mappings. Nothing here decides.

use std::sync::Arc;

use super::credential::{self, Source};
use super::http::HttpRequest;
use super::plan::PlannedChange;
use super::{Credential, Mapped, Mapping, Needs, Recorded, Undecodable};
use crate::bundle::Bundle;
use crate::request::Request;
use crate::value::{EntityRef, Value};

/// What a bundle makes of a request.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// Where the session comes from.
    pub session: SessionFound,
    /// Whether a peer without a session may act for itself.
    pub peer: bool,
    /// The route that matched; `None` for the generic action, and where it is not known.
    pub route: Option<Arc<str>>,
    /// The decoder of the route.
    pub decoder: Option<DecoderNamed>,
    /// What the request does, or why nobody can say.
    pub actions: Result<Vec<ActionExplained>, Undecodable>,
    /// Why sessions would be denied whose scopes read attributes that no policy reads.
    pub unread: Option<Undecodable>,
    /// What would be changed for the upstream and in the response.
    pub changes: Vec<PlannedChange>,
}

/// Where a request presents its session. Never its secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SessionFound {
    /// Nowhere.
    Absent,
    /// In more than one way.
    Ambiguous,
    /// There: `header:x-chaperone-session` or `bearer`, as the mapping writes it.
    In(String),
}

/// A decoder of a mapping.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DecoderNamed {
    /// As the mapping names it.
    pub name: String,
    /// What it decodes, such as `sql`.
    pub kind: &'static str,
}

/// One action of a request.
#[derive(Clone, Debug)]
pub struct ActionExplained {
    /// The action.
    pub action: EntityRef,
    /// Whether the schema has it. No policy can permit it otherwise.
    pub is_declared: bool,
    /// The groups that it is in, near and far, in order.
    pub groups: Vec<EntityRef>,
    /// What it acts on.
    pub resource: EntityRef,
    /// The fields of `context.request` that the schema has for it, in the order of their names.
    pub attributes: Vec<AttributeExplained>,
}

/// One attribute of an action.
#[derive(Clone, Debug)]
pub struct AttributeExplained {
    /// Its name.
    pub name: String,
    /// Its type, as the schema writes it.
    pub ty: String,
    /// Its value; `None` where it is absent.
    pub value: Option<Value>,
    /// Whether any policy of the bundle reads it.
    pub is_read: bool,
    /// In which form the trail records it.
    pub recorded: Recorded,
}

/// Tells what a bundle makes of a request.
pub fn explain(bundle: &Bundle, request: &HttpRequest<'_>) -> Explanation {
    let mapping = bundle.mapping();
    let (route, decoder) = mapping.find_route(request);
    let mut explanation = Explanation {
        session: mapping.session_found(request),
        peer: mapping.peer,
        route,
        decoder,
        actions: Ok(Vec::new()),
        unread: None,
        changes: Vec::new(),
    };
    let read = |needs| {
        let mut mapped = mapping.map_http(request)?;
        mapped.read_attributes(needs)?;
        Ok(mapped)
    };
    let mapped: Result<Mapped<'_>, Undecodable> = read(Needs::Policies).map(|mapped| match read(Needs::All) {
        Ok(all) => all,
        Err(undecodable) => {
            explanation.unread = Some(undecodable);
            mapped
        }
    });
    match mapped {
        Ok(mapped) => {
            explanation.actions = Ok(mapped.requests.iter().map(|request| action(bundle, request)).collect());
            explanation.changes = mapping.planned(&mapped, request);
        }
        Err(undecodable) => explanation.actions = Err(undecodable),
    }
    explanation
}

fn action(bundle: &Bundle, request: &Request) -> ActionExplained {
    let shape = request.shape();
    let values: Vec<_> = bundle.attributes(request).collect();
    let attributes = shape.into_iter().flat_map(|shape| &*shape.attributes).map(|(name, field)| AttributeExplained {
        name: name.to_string(),
        ty: field.ty.name(),
        value: values.iter().find(|(known, _)| *known == name.as_str()).map(|(_, value)| value.clone()),
        is_read: bundle.reads(name),
        recorded: bundle.mapping().recorded(&request.action, name),
    });
    ActionExplained {
        action: request.action.clone(),
        is_declared: shape.is_some(),
        groups: bundle.own_entities().groups_of(&request.action),
        resource: request.resource.clone(),
        attributes: attributes.collect(),
    }
}

impl Mapping {
    fn session_found(&self, request: &HttpRequest<'_>) -> SessionFound {
        match (self.credential(request), credential::source(&self.sources, request)) {
            (Credential::Ambiguous, _) => SessionFound::Ambiguous,
            (Credential::Handle(_), Some(Source::Header(name))) => SessionFound::In(format!("header:{name}")),
            (Credential::Handle(_), Some(Source::Bearer)) => SessionFound::In("bearer".to_owned()),
            (Credential::Absent, _) | (Credential::Handle(_), None) => SessionFound::Absent,
        }
    }

    /// The route, as far as the request can be read.
    fn find_route(&self, request: &HttpRequest<'_>) -> (Option<Arc<str>>, Option<DecoderNamed>) {
        let Ok(view) = self.view(request) else { return (None, None) };
        let Ok(Some(route)) = self.routes.find(&view) else { return (None, None) };
        let decoder = route.decoding.as_ref().and_then(|decoding| self.decoders.get(decoding.decoder));
        let named = |decoder: &super::NamedDecoder| DecoderNamed {
            name: decoder.name.to_string(),
            kind: decoder.settings.decoder().as_str(),
        };
        (Some(Arc::clone(&route.name)), decoder.map(named))
    }

    /// What would be changed, as far as it is known before a decision.
    fn planned(&self, mapped: &Mapped<'_>, request: &HttpRequest<'_>) -> Vec<PlannedChange> {
        let mut changes = mapped.answer.planned(&mapped.read);
        if self.strip {
            let names = credential::headers_to_strip(&self.sources, request);
            changes.extend(names.map(PlannedChange::strip));
        }
        changes
    }
}
