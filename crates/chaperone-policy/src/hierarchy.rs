//! The closure of the entity hierarchy: every entity with all the groups that it is in.
//!
//! Computed here because Cedar's own computation recurses along the hierarchy, without a limit.

use std::collections::{HashMap, HashSet};

use cedar_policy_core::ast::{Entity, EntityUID};

/// How many groups an entity may be in, near and far.
pub(crate) const ANCESTORS_MAX: usize = 1_000;

/// A hierarchy that has no closure, or none of a bounded size.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum HierarchyError {
    /// A cycle.
    #[error("it is among its own ancestors, or one of its ancestors is")]
    Cycle(EntityUID),
    /// Too many groups.
    #[error("it is in more than {ANCESTORS_MAX} groups, near and far")]
    TooManyAncestors(EntityUID),
}

impl HierarchyError {
    /// The entity at fault.
    pub(crate) fn uid(&self) -> &EntityUID {
        match self {
            Self::Cycle(uid) | Self::TooManyAncestors(uid) => uid,
        }
    }
}

/// Completes the ancestors of entities that know their parents. Identities must be distinct.
///
/// # Errors
/// With the first entity at fault, in order of identity among those of a cycle.
pub(crate) fn close(entities: Vec<Entity>) -> Result<Vec<Entity>, HierarchyError> {
    let mut waiting: HashMap<EntityUID, Waiting> = HashMap::with_capacity(entities.len());
    let known: HashSet<EntityUID> = entities.iter().map(|entity| entity.uid().clone()).collect();
    let mut children: HashMap<EntityUID, Vec<EntityUID>> = HashMap::new();
    let mut free = Vec::new();
    for entity in entities {
        let uid = entity.uid().clone();
        let parents_left = entity.parents().filter(|parent| known.contains(*parent)).count();
        for parent in entity.parents().filter(|parent| known.contains(*parent)) {
            children.entry(parent.clone()).or_default().push(uid.clone());
        }
        if parents_left == 0 {
            free.push(uid.clone());
        }
        waiting.insert(uid, Waiting { entity, parents_left });
    }
    // From the top: an entity is closed when all of its parents are.
    let mut closed: HashMap<EntityUID, Entity> = HashMap::with_capacity(waiting.len());
    while let Some(uid) = free.pop() {
        let Some(Waiting { entity, .. }) = waiting.remove(&uid) else { continue };
        let entity = with_ancestors(entity, &closed)?;
        closed.insert(uid.clone(), entity);
        for child in children.get(&uid).into_iter().flatten() {
            if let Some(waiting) = waiting.get_mut(child) {
                waiting.parents_left -= 1;
                if waiting.parents_left == 0 {
                    free.push(child.clone());
                }
            }
        }
    }
    match waiting.into_keys().min() {
        Some(uid) => Err(HierarchyError::Cycle(uid)),
        None => Ok(closed.into_values().collect()),
    }
}

/// An entity whose parents are not all closed yet.
struct Waiting {
    entity: Entity,
    parents_left: usize,
}

fn with_ancestors(mut entity: Entity, closed: &HashMap<EntityUID, Entity>) -> Result<Entity, HierarchyError> {
    let parents: Vec<&Entity> = entity.parents().filter_map(|parent| closed.get(parent)).collect();
    let ancestors: HashSet<EntityUID> = parents.into_iter().flat_map(Entity::ancestors).cloned().collect();
    for ancestor in ancestors {
        if !entity.is_child_of(&ancestor) {
            entity.add_indirect_ancestor(ancestor);
        }
    }
    if entity.ancestors().count() > ANCESTORS_MAX {
        return Err(HierarchyError::TooManyAncestors(entity.uid().clone()));
    }
    Ok(entity)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use cedar_policy_core::ast::{Eid, EntityType};

    use super::*;

    fn uid(number: usize) -> EntityUID {
        static TEAM: LazyLock<EntityType> =
            LazyLock::new(|| EntityType::from_normalized_str("Team").expect("valid type"));
        EntityUID::from_components(TEAM.clone(), Eid::new(number.to_string()), None)
    }

    fn entity(number: usize, parents: impl IntoIterator<Item = usize>) -> Entity {
        let mut entity = Entity::with_uid(uid(number));
        parents.into_iter().for_each(|parent| entity.add_parent(uid(parent)));
        entity
    }

    fn ancestors(entities: &[Entity], number: usize) -> Vec<String> {
        let entity = entities.iter().find(|entity| *entity.uid() == uid(number)).expect("there");
        let mut found: Vec<_> = entity.ancestors().map(|uid| AsRef::<str>::as_ref(uid.eid()).to_owned()).collect();
        found.sort();
        found
    }

    #[test]
    fn ancestors_of_ancestors_are_found_along_every_way() {
        // 4 → 3 → {1, 2} → 0, and 2 → 9, which is not known.
        let closed = close(vec![entity(4, [3]), entity(3, [1, 2]), entity(2, [0, 9]), entity(1, [0]), entity(0, [])])
            .expect("no cycle");
        assert_eq!(ancestors(&closed, 4), ["0", "1", "2", "3", "9"]);
        assert_eq!(ancestors(&closed, 1), ["0"]);
    }

    #[test]
    fn cycles_are_refused_and_named() {
        let error = close(vec![entity(0, []), entity(1, [2]), entity(2, [1]), entity(3, [3])]).expect_err("cycles");
        assert_eq!(error, HierarchyError::Cycle(uid(1)));
    }

    #[test]
    fn long_chains_are_refused_without_recursion() {
        let chain = (0..100_000).map(|number| entity(number, [number + 1])).collect();
        assert!(matches!(close(chain), Err(HierarchyError::TooManyAncestors(_))));
    }
}
