//! Entities in Cedar's JSON format, read strictly and written back.

use std::collections::HashMap;

use chaperone_api::chaperone::v1::value::Kind;
use chaperone_api::chaperone::v1::{Entity, EntityRef, Value};
use serde_json::json;

use crate::cli::parse::{Json, cedar_value, entity_uid, json as parse_json};

/// Reads an array of `{"uid": …, "attrs": {…}, "parents": […], "tags": {…}}`.
pub fn read_entities(text: &[u8]) -> Result<Vec<Entity>, String> {
    let Json::List(items) = parse_json(text)? else {
        return Err("the file holds an array of entities".to_owned());
    };
    let entities = items.into_iter().enumerate();
    entities
        .map(|(place, item)| read_entity(item).map_err(|message| format!("entity {}: {message}", place + 1)))
        .collect()
}

/// Writes an entity so that [`read_entities`] reads it back.
pub fn write_entity(entity: &Entity) -> serde_json::Value {
    json!({
        "uid": entity.uid.as_ref().map(write_uid),
        "attrs": write_attributes(&entity.attributes),
        "parents": entity.parents.iter().map(write_uid).collect::<Vec<_>>(),
        "tags": write_attributes(&entity.tags),
    })
}

/// Writes attributes as a JSON object, in the order of their names.
pub fn write_attributes(attributes: &HashMap<String, Value>) -> serde_json::Value {
    attributes.iter().map(|(name, value)| (name.clone(), write_value(value))).collect::<serde_json::Map<_, _>>().into()
}

fn read_entity(item: Json) -> Result<Entity, String> {
    let mut entity = Entity::default();
    for (key, value) in item.into_object().ok_or("an entity is an object with uid, attrs, parents and tags")? {
        match key.as_str() {
            "uid" => entity.uid = Some(read_uid(value).ok_or("`uid` takes {\"type\": …, \"id\": …}")?),
            "attrs" => {
                entity.attributes = read_values(value.into_object().ok_or("`attrs` is an object")?, "attribute")?;
            }
            "parents" => {
                let Json::List(parents) = value else { return Err("`parents` is an array".to_owned()) };
                let parents: Option<Vec<EntityRef>> = parents.into_iter().map(read_uid).collect();
                entity.parents = parents.ok_or("each parent is {\"type\": …, \"id\": …}")?;
            }
            "tags" => entity.tags = read_values(value.into_object().ok_or("`tags` is an object")?, "tag")?,
            other => return Err(format!("an entity has no `{other}`; it has uid, attrs, parents and tags")),
        }
    }
    match &entity.uid {
        Some(_) => Ok(entity),
        None => Err("`uid` is missing".to_owned()),
    }
}

fn read_values(entries: Vec<(String, Json)>, what: &str) -> Result<HashMap<String, Value>, String> {
    let read = |(name, value)| match cedar_value(value) {
        Ok(value) => Ok((name, value)),
        Err(message) => Err(format!("{what} `{name}`: {message}")),
    };
    entries.into_iter().map(read).collect()
}

/// An identity with or without `__entity` around it; Cedar takes both here.
fn read_uid(item: Json) -> Option<EntityRef> {
    match item {
        Json::Object(mut entries) if entries.len() == 1 => match entries.pop() {
            Some((key, inner)) if key == "__entity" => entity_uid(inner),
            _ => None,
        },
        other => entity_uid(other),
    }
}

fn write_uid(uid: &EntityRef) -> serde_json::Value {
    json!({ "type": uid.r#type, "id": uid.id })
}

/// Writes a value in Cedar's JSON form.
pub fn write_value(value: &Value) -> serde_json::Value {
    let extension = |function: &str, argument: &str| json!({ "__extn": { "fn": function, "arg": argument } });
    match &value.kind {
        None => serde_json::Value::Null,
        Some(Kind::Bool(value)) => json!(value),
        Some(Kind::Long(value)) => json!(value),
        Some(Kind::String(value)) => json!(value),
        Some(Kind::Entity(uid)) => json!({ "__entity": write_uid(uid) }),
        Some(Kind::Set(set)) => set.values.iter().map(write_value).collect(),
        Some(Kind::Record(record)) => write_attributes(&record.fields),
        Some(Kind::Ip(text)) => extension("ip", text),
        Some(Kind::Decimal(text)) => extension("decimal", text),
        Some(Kind::Datetime(text)) => extension("datetime", text),
        Some(Kind::Duration(text)) => extension("duration", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse::show_entity_ref;

    const ENTITIES: &str = r#"[{
        "uid": {"__entity": {"type": "Agent", "id": "report-bot"}},
        "attrs": {"suspended": false, "level": 3, "home": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}},
                  "boss": {"__entity": {"type": "Agent", "id": "b"}}, "tags": ["a", {"k": "v"}]},
        "parents": [{"type": "Team", "id": "reporting"}],
        "tags": {"zone": "eu", "made": {"__extn": {"fn": "datetime", "arg": "2026-01-31"}}}
    }]"#;

    #[test]
    fn what_is_written_reads_back() {
        let entities = read_entities(ENTITIES.as_bytes()).expect("they parse");
        assert_eq!(show_entity_ref(entities[0].uid.as_ref().expect("a uid")), "Agent::\"report-bot\"");
        assert_eq!((entities[0].attributes.len(), entities[0].tags.len()), (5, 2));
        let written = entities.iter().map(write_entity).collect::<serde_json::Value>().to_string();
        assert_eq!(read_entities(written.as_bytes()), Ok(entities));
    }

    #[test]
    fn malformed_entity_is_refused_with_its_place() {
        for (text, part) in [
            ("{}", "array"),
            ("[1]", "entity 1"),
            (r#"[{"uid":{"type":"A","id":"1"}},{"attrs":{}}]"#, "entity 2: `uid` is missing"),
            (r#"[{"uid":"A::1"}]"#, "`uid`"),
            (r#"[{"uid":{"type":"A","id":"1"},"attr":{}}]"#, "no `attr`"),
            (r#"[{"uid":{"type":"A","id":"1"},"tags":["a"]}]"#, "`tags`"),
            (r#"[{"uid":{"type":"A","id":"1"},"tags":{"x":{"__extn":{}}}}]"#, "tag `x`"),
            (r#"[{"uid":{"type":"A","id":"1"},"attrs":{"x":1.5}}]"#, "line 1"),
            (r#"[{"uid":{"type":"A","id":"1"},"attrs":{"x":{"__extn":{}}}}]"#, "attribute `x`"),
            (r#"[{"uid":{"type":"A","id":"1"},"uid":{"type":"A","id":"2"}}]"#, "twice"),
        ] {
            let message = read_entities(text.as_bytes()).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
