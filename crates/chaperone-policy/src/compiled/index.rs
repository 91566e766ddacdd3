//! Which policies can apply to a request, found by their scopes: principal, then action, then resource.
//!
//! The constraints are numbered. What the entities of a request satisfy is found once, by their names and groups; from there on only
//! numbers are compared. The cost of a look-up grows with the groups that they are in and with what is found, not with how many
//! policies there are.

use cedar_policy_core::ast::Policy;
use smallvec::SmallVec;

use super::constraint::{Actions, Constraints, Satisfied};
use super::frame::Subject;
use crate::schema::Action;

/// Up to how many rows are looked at one by one.
const LINEAR_MAX: usize = 8;

/// The places of policies that may apply, in ascending order.
pub(crate) type Candidates = SmallVec<[u32; 32]>;

/// Policies by their scopes. A policy is named by its place in the set.
///
/// INVARIANT (exact): a look-up finds precisely the policies whose scope the request satisfies, so that only their conditions
/// remain to be evaluated.
#[derive(Debug, Default)]
pub(crate) struct Index {
    principals: Constraints,
    resources: Constraints,
    /// By the number of the action: every constraint on actions that it satisfies.
    by_action: Vec<Satisfied>,
    rows: Rows,
}

/// A tree of four levels, each in one piece.
#[derive(Debug, Default)]
struct Rows {
    /// By the number of the constraint on the principal.
    principals: Vec<Row>,
    /// By constraint on the action, for each row above.
    actions: Vec<Row>,
    /// By constraint on the resource, for each row above.
    resources: Vec<Row>,
    places: Vec<u32>,
}

/// A constraint, and which rows of the next level stand under it.
#[derive(Clone, Copy, Debug)]
struct Row {
    constraint: u32,
    start: u32,
    end: u32,
}

/// A policy's place under its three constraints: on the principal, the action and the resource.
type Placed = ([u32; 3], u32);

impl Index {
    /// Indexes static policies, each with its place, for the actions of a schema.
    pub(crate) fn new<'a>(
        policies: impl IntoIterator<Item = (u32, &'a Policy)>,
        schema_actions: impl IntoIterator<Item = &'a Action>,
    ) -> Self {
        let mut index = Self::default();
        let mut actions = Actions::default();
        let mut placed = Vec::new();
        let policies: Vec<_> = policies.into_iter().collect();
        for (_, policy) in &policies {
            index.principals.number_general(policy.principal_constraint().as_inner());
            index.resources.number_general(policy.resource_constraint().as_inner());
        }
        for (place, policy) in policies {
            let principal = index.principals.number(policy.principal_constraint().as_inner());
            let resource = index.resources.number(policy.resource_constraint().as_inner());
            let (Some(principal), Some(resource)) = (principal, resource) else { continue };
            let actions = actions.numbers(policy.action_constraint());
            placed.extend(actions.into_iter().map(|action| ([principal, action, resource], place)));
        }
        index.rows = Rows::new(placed);
        for action in schema_actions {
            let number = action.shape.number as usize;
            if index.by_action.len() <= number {
                index.by_action.resize_with(number + 1, Satisfied::default);
            }
            if let Some(satisfied) = index.by_action.get_mut(number) {
                *satisfied = actions.satisfied(&action.name, &action.groups);
            }
        }
        index
    }

    /// Adds the policies whose scope these three satisfy to `found`, which is empty.
    pub(crate) fn find(&self, action: &Action, principal: Subject<'_>, resource: Subject<'_>, found: &mut Candidates) {
        let Some(actions) = self.by_action.get(action.shape.number as usize) else { return };
        let mut resources = Satisfied::default();
        self.resources.satisfied(resource, |constraint| resources.add(constraint));
        self.principals.satisfied(principal, |constraint| {
            let Some(row) = self.rows.principals.get(constraint as usize) else { return };
            satisfying(row.of(&self.rows.actions), actions, |row| {
                satisfying(row.of(&self.rows.resources), &resources, |row| {
                    row.of(&self.rows.places).iter().for_each(|place| found.push(*place));
                });
            });
        });
        found.sort_unstable();
        // `action in [a, b]` is found twice when the action is in both.
        found.dedup();
    }
}

impl Rows {
    fn new(mut placed: Vec<Placed>) -> Self {
        placed.sort_unstable();
        // `action in [a, a]`.
        placed.dedup();
        let mut rows = Self::default();
        let mut last = None;
        for ([principal, action, resource], place) in placed {
            let path = [principal, action, resource];
            let same = last.map_or(0, |last: [u32; 3]| last.iter().zip(&path).take_while(|(a, b)| a == b).count());
            if same < 1 {
                // Nothing stands under the constraints of a policy for no action: `action in []`.
                let gap = rows.principals.len()..principal as usize;
                rows.principals.extend(gap.map(|constraint| Row::new(position(constraint), 0)));
                rows.principals.push(Row::new(principal, rows.actions.len()));
            }
            if same < 2 {
                rows.actions.push(Row::new(action, rows.resources.len()));
                extend(&mut rows.principals, rows.actions.len());
            }
            if same < 3 {
                rows.resources.push(Row::new(resource, rows.places.len()));
                extend(&mut rows.actions, rows.resources.len());
            }
            rows.places.push(place);
            extend(&mut rows.resources, rows.places.len());
            last = Some(path);
        }
        rows
    }
}

/// The last row ends here.
fn extend(rows: &mut [Row], end: usize) {
    if let Some(row) = rows.last_mut() {
        row.end = position(end);
    }
}

/// A text of so many policies would be far larger than any bundle may be.
fn position(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

impl Row {
    fn new(constraint: u32, start: usize) -> Self {
        Self { constraint, start: position(start), end: position(start) }
    }

    /// What stands under it.
    fn of<T>(self, next: &[T]) -> &[T] {
        next.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// Visits the rows, which are in the order of their constraints, whose constraint is satisfied.
#[inline]
fn satisfying(rows: &[Row], satisfied: &Satisfied, mut visit: impl FnMut(Row)) {
    let (near, far) = rows.split_at(rows.len().min(LINEAR_MAX));
    near.iter().filter(|row| satisfied.contains(row.constraint)).for_each(|row| visit(*row));
    let Some(first) = far.first() else { return };
    for constraint in satisfied.iter().filter(|constraint| *constraint >= first.constraint) {
        let found = far.binary_search_by_key(&constraint, |row| row.constraint);
        found.ok().and_then(|place| far.get(place)).into_iter().for_each(|row| visit(*row));
    }
}
