//! Putting, deleting and listing entities.

#![allow(missing_docs, reason = "the names of the cases say what they prove")]

use std::sync::Arc;

use chaperone_policy::{Entity, EntityRef, Value};

use super::fixtures::{at, attributes, entity, follow};
use crate::feed::{Changed, Cursor};
use crate::store::Store;

pub async fn entities_of_every_type_survive(store: Arc<dyn Store>) {
    let values = [
        Value::Bool(true),
        Value::Long(i64::MIN),
        Value::String("it's \"x\"\\ \u{0} 🦀".into()),
        Value::Entity(EntityRef::new("Team", "a\"b")),
        Value::Set(vec![Value::Long(2), Value::Long(1)]),
        Value::Record(attributes("ada")),
        Value::Ip("10.0.0.0/8".into()),
        Value::Decimal("12.50".into()),
        Value::Datetime("2026-01-31T12:00:00Z".into()),
        Value::Duration("1h30m".into()),
    ];
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"].map(Into::into);
    let stored = Entity {
        attributes: names.clone().into_iter().zip(values.clone()).collect(),
        tags: names.into_iter().zip(values).skip(1).collect(),
        parents: vec![EntityRef::new("Team", "z"), EntityRef::new("Acme::Team", "a'b")],
        ..entity("Acme::Document", "it's 🦀; --")
    };
    store.put_entities(std::slice::from_ref(&stored), at(1)).await.expect("it is stored");
    assert_eq!(store.entities(None, None, 10).await.expect("it answers"), [stored]);
}

pub async fn entities_are_found_by_identity(store: Arc<dyn Store>) {
    let all = [entity("A", "1"), entity("A", "2"), entity("B", "1"), entity("B", "it's 🦀; --")];
    store.put_entities(&all, at(1)).await.expect("they are stored");
    let named = |uids: &[(&str, &str)]| uids.iter().map(|(kind, id)| EntityRef::new(*kind, *id)).collect::<Vec<_>>();
    let asked = named(&[("B", "it's 🦀; --"), ("A", "2"), ("A", "2"), ("B", "2"), ("C", "1")]);
    let mut found = store.entities_named(&asked).await.expect("it answers");
    found.sort_by(|one, other| one.uid.cmp(&other.uid));
    assert_eq!(found, [all[1].clone(), all[3].clone()]);
    assert_eq!(store.entities_named(&[]).await.expect("it answers"), []);
    let many: Vec<_> = (0..1_000).map(|number| EntityRef::new("A", number.to_string())).collect();
    assert_eq!(store.entities_named(&many).await.expect("it answers").len(), 2);
}

pub async fn put_replaces_and_the_last_wins(store: Arc<dyn Store>) {
    let with = |owner: &str| Entity { attributes: attributes(owner), ..entity("Document", "1") };
    store.put_entities(&[with("ada"), entity("Document", "2")], at(1)).await.expect("they are stored");
    store.put_entities(&[with("bob"), with("cy")], at(2)).await.expect("it is replaced");
    store.put_entities(&[], at(3)).await.expect("nothing is stored");
    assert_eq!(store.entities(None, None, 10).await.expect("it answers"), [with("cy"), entity("Document", "2")]);
}

pub async fn delete_counts_what_existed(store: Arc<dyn Store>) {
    let [one, two] = ["1", "2"].map(|id| entity("Document", id));
    store.put_entities(&[one.clone(), two.clone()], at(1)).await.expect("they are stored");
    let end = store.feed_end().await.expect("it answers");
    let gone = [one.uid.clone(), EntityRef::new("Folder", "1"), one.uid.clone()];
    assert_eq!(store.delete_entities(&gone, at(2)).await.expect("it is deleted"), 1);
    assert_eq!(store.delete_entities(&gone, at(3)).await.expect("none is left"), 0);
    assert_eq!(store.delete_entities(&[], at(3)).await.expect("nothing is deleted"), 0);
    assert_eq!(store.entities(None, None, 10).await.expect("it answers"), [two]);
    let (seen, _) = follow(&*store, end, 10).await;
    assert_eq!(seen, [Changed::Entity(one.uid)], "only what existed changed");
}

pub async fn entities_are_paged_in_byte_order(store: Arc<dyn Store>) {
    let names = [("A", "b"), ("A", "é"), ("A", "Z"), ("B", "a"), ("a", "_"), ("A::B", "0"), ("A", "")];
    let entities = names.map(|(kind, id)| entity(kind, id));
    store.put_entities(&entities, at(1)).await.expect("they are stored");
    let mut wanted: Vec<Entity> = entities.to_vec();
    wanted.sort_by(|a, b| a.uid.cmp(&b.uid));

    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = store.entities(None, after.as_ref(), 2).await.expect("it answers");
        let Some(last) = page.last() else { break };
        after = Some(last.uid.clone());
        paged.extend(page);
    }
    assert_eq!(paged, wanted);

    let of_kind = store.entities(Some("A"), Some(&EntityRef::new("A", "Z")), 10).await.expect("it answers");
    assert_eq!(of_kind, [entity("A", "b"), entity("A", "é")]);
    let (seen, _) = follow(&*store, Cursor::default(), 3).await;
    assert_eq!(seen.len(), names.len(), "each is in the feed");
}
