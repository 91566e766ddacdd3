//! The hierarchy of entities: groups with their members, and every entity's groups near and far.
//!
//! Computed here because Cedar's own computation recurses along the hierarchy, without a limit, and starts again for each change.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use imbl::OrdSet;

use crate::compiled::{Uid, UidHasher, UidMap, UidSet};
use crate::entities::EntityRecord;
use crate::value::EntityRef;

/// How many groups an entity may be in, near and far.
pub(crate) const ANCESTORS_MAX: usize = 1_000;

/// A hierarchy that has no closure, or none of a bounded size.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum HierarchyError {
    /// A cycle.
    #[error("it is among its own ancestors, or one of its ancestors is")]
    Cycle(EntityRef),
    /// Too many groups.
    #[error("it is in more than {ANCESTORS_MAX} groups, near and far")]
    TooManyAncestors(EntityRef),
}

/// What has members. It need not be known as an entity.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Group {
    /// Itself, and the groups that it is in, near and far: the ancestors of a member that is in no other group.
    reach: Arc<UidSet>,
    /// Who is directly in it.
    members: OrdSet<Arc<Uid>>,
}

/// Every group that has members.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Groups(UidMap<Group>);

impl Groups {
    /// The identity that is kept for a group of this name.
    pub(crate) fn shared(&self, uid: Uid) -> Arc<Uid> {
        self.0.get_key_value(&uid).map_or_else(|| Arc::new(uid), |(known, _)| Arc::clone(known))
    }

    /// Adds a direct member. `records` has the groups that `group` is in, unless it moves too.
    pub(crate) fn join(&mut self, group: &Arc<Uid>, member: &Arc<Uid>, records: &UidMap<Arc<EntityRecord>>) {
        let entry = self.0.entry(Arc::clone(group)).or_insert_with(|| {
            let above = records.get(&**group).map(|record| record.ancestors());
            Group { reach: reach(group, above.map(Arc::as_ref)), members: OrdSet::new() }
        });
        entry.members.insert(Arc::clone(member));
    }

    /// Removes a direct member.
    pub(crate) fn leave(&mut self, group: &Arc<Uid>, member: &Arc<Uid>) {
        if let Some(entry) = self.0.get_mut(&**group) {
            entry.members.remove(member);
            if entry.members.is_empty() {
                self.0.remove(&**group);
            }
        }
    }

    fn members(&self, group: &Uid) -> impl Iterator<Item = &Arc<Uid>> {
        self.0.get(group).into_iter().flat_map(|group| group.members.iter())
    }

    /// The ancestors of whoever has these parents, which all are groups.
    fn above(&self, parents: &UidSet) -> Arc<UidSet> {
        let mut reaches = parents.iter().filter_map(|parent| self.0.get(&**parent)).map(|group| &group.reach);
        match (reaches.next(), parents.len()) {
            (Some(only), 1) => Arc::clone(only),
            (first, _) => Arc::new(first.into_iter().chain(reaches).flat_map(|reach| reach.iter()).cloned().collect()),
        }
    }
}

fn reach(group: &Arc<Uid>, above: Option<&UidSet>) -> Arc<UidSet> {
    Arc::new(std::iter::once(group).chain(above.into_iter().flat_map(UidSet::iter)).cloned().collect())
}

/// Completes the ancestors of those that moved, and of all that are below them.
///
/// # Errors
/// With the first entity at fault in order of identity: of those that are in too many groups though their parents are not, or else of
/// those in a cycle or below one.
pub(crate) fn close(
    groups: &mut Groups,
    records: &mut UidMap<Arc<EntityRecord>>,
    moved: HashSet<Arc<Uid>, UidHasher>,
) -> Result<(), HierarchyError> {
    let (mut free, mut waiting) = below(groups, records, moved);
    let mut too_many: Option<Arc<Uid>> = None;
    // From the top: an entity is closed when all of its parents are.
    while let Some(uid) = free.pop() {
        let above = match records.get_mut(&*uid) {
            Some(record) => {
                let above = groups.above(record.parents());
                if above.len() > ANCESTORS_MAX {
                    // What is below it would be in too many as well, and grow without a limit.
                    too_many = Some(too_many.map_or(Arc::clone(&uid), |other| earlier(other, &uid)));
                    continue;
                }
                Arc::make_mut(record).set_ancestors(Arc::clone(&above));
                Some(above)
            }
            None => None,
        };
        let Some(group) = groups.0.get_mut(&*uid) else { continue };
        group.reach = reach(&uid, above.as_deref());
        for member in &group.members {
            if let Some(parents_left) = waiting.get_mut(member) {
                *parents_left -= 1;
                if *parents_left == 0 {
                    waiting.remove(member);
                    free.push(Arc::clone(member));
                }
            }
        }
    }
    match (too_many, waiting.into_keys().reduce(|first, uid| earlier(first, &uid))) {
        (Some(uid), _) => Err(HierarchyError::TooManyAncestors(uid.name().clone())),
        (None, Some(uid)) => Err(HierarchyError::Cycle(uid.name().clone())),
        (None, None) => Ok(()),
    }
}

/// Those that moved and all that are below them: who has no parent among these, and how many parents the others have there.
fn below(
    groups: &Groups,
    records: &UidMap<Arc<EntityRecord>>,
    moved: HashSet<Arc<Uid>, UidHasher>,
) -> (Vec<Arc<Uid>>, HashMap<Arc<Uid>, usize, UidHasher>) {
    let mut unseen: Vec<Arc<Uid>> = moved.iter().cloned().collect();
    let mut affected = moved;
    while let Some(uid) = unseen.pop() {
        for member in groups.members(&uid) {
            if affected.insert(Arc::clone(member)) {
                unseen.push(Arc::clone(member));
            }
        }
    }
    let mut free = Vec::new();
    let mut waiting = HashMap::default();
    for uid in &affected {
        let parents = records.get(&**uid).into_iter().flat_map(|record| record.parents().iter());
        match parents.filter(|parent| affected.contains(*parent)).count() {
            0 => free.push(Arc::clone(uid)),
            parents_left => drop(waiting.insert(Arc::clone(uid), parents_left)),
        }
    }
    (free, waiting)
}

fn earlier(one: Arc<Uid>, other: &Arc<Uid>) -> Arc<Uid> {
    if other.name() < one.name() { Arc::clone(other) } else { one }
}
