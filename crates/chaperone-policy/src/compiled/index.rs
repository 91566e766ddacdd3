//! Which policies can apply to a request, found by their scopes: principal, then action, then resource.
//!
//! The constraints are numbered. What the entities of a request satisfy is found once, by their names and groups; from there on only
//! numbers are compared. The cost of a look-up grows with the groups that they are in and with what is found, not with how many
//! policies there are.

use std::ops::Range;

use cedar_policy_core::ast::Policy;
use smallvec::SmallVec;

use super::constraint::{Actions, Constraints, Satisfied, low_bit};
use super::frame::Subject;
use super::recent::{IndexId, Search};
use crate::schema::Action;

/// Up to how many policies are looked at one by one.
const LINEAR_MAX: usize = 8;

/// The places of policies that may apply, in ascending order.
pub(crate) type Candidates = SmallVec<[u32; 32]>;

/// Policies by their scopes. A policy is named by its place in the set.
///
/// INVARIANT (exact): a look-up finds precisely the policies whose scope the request satisfies, so that only their conditions
/// remain to be evaluated.
#[derive(Debug)]
pub(crate) struct Index {
    id: IndexId,
    principals: Constraints,
    resources: Constraints,
    /// By the number of the action: every constraint on actions that it satisfies.
    by_action: Vec<Satisfied>,
    rows: Rows,
}

/// A tree of three levels over the policies, each in one piece.
#[derive(Debug, Default)]
struct Rows {
    /// By the number of the constraint on the principal: there is one for each.
    principals: Vec<Row>,
    /// By constraint on the action, for each row above.
    actions: Vec<Row>,
    /// By constraint on the resource, for each row above.
    resources: Vec<Row>,
    /// Every policy, in the order of its constraints. One with a list of actions is there for each of them.
    policies: Vec<Placed>,
}

/// A constraint, with what stands under it.
#[derive(Clone, Debug)]
struct Row {
    constraint: u32,
    /// A bit for each constraint below 64 of the rows under it. These rows stand first, in the order of their bits.
    low: u64,
    /// The rows of the next level that stand under it.
    rows: Range<u32>,
    /// The policies that stand under it.
    policies: Range<u32>,
}

/// A policy under its three constraints.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Placed {
    principal: u32,
    action: u32,
    resource: u32,
    place: u32,
}

impl Index {
    /// Indexes static policies, each with its place, for the actions of a schema.
    pub(crate) fn new<'a>(
        policies: impl IntoIterator<Item = (u32, &'a Policy)>,
        schema_actions: impl IntoIterator<Item = &'a Action>,
    ) -> Self {
        let mut index = Self {
            id: IndexId::next(),
            principals: Constraints::default(),
            resources: Constraints::default(),
            by_action: Vec::new(),
            rows: Rows::default(),
        };
        let mut actions = Actions::default();
        let mut placed = Vec::new();
        let policies: Vec<_> = policies.into_iter().collect();
        let constraints: Vec<_> = policies.iter().map(|(_, policy)| policy.resource_constraint()).collect();
        index.resources.number_all(&constraints);
        for (place, policy) in policies {
            let principal = index.principals.number(policy.principal_constraint().as_inner());
            let resource = index.resources.number(policy.resource_constraint().as_inner());
            let (Some(principal), Some(resource)) = (principal, resource) else { continue };
            let actions = actions.numbers(policy.action_constraint());
            placed.extend(actions.into_iter().map(|action| Placed { principal, action, resource, place }));
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
        let number = action.shape.number;
        let Some(actions) = self.by_action.get(number as usize) else { return };
        let asked = Search { index: self.id, action: number, principal, resource };
        asked.recall_or(found, |found| self.search(actions, principal, resource, found));
    }

    fn search(&self, actions: &Satisfied, principal: Subject<'_>, resource: Subject<'_>, found: &mut Candidates) {
        let mut resources = Satisfied::default();
        self.resources.satisfied(resource, |constraint| resources.add(constraint));
        self.principals.satisfied(principal, |constraint| {
            if let Some(row) = self.rows.principals.get(constraint as usize) {
                self.rows.find(row, actions, &resources, found);
            }
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
        let mut last: Option<Placed> = None;
        for policy in placed {
            let (start, end) = (rows.policies.len(), rows.policies.len() + 1);
            let is_new_principal = last.is_none_or(|last| last.principal != policy.principal);
            let is_new_action = is_new_principal || last.is_some_and(|last| last.action != policy.action);
            let is_new_resource = is_new_action || last.is_some_and(|last| last.resource != policy.resource);
            if is_new_principal {
                // Nothing stands under the constraints of a policy for no action: `action in []`.
                let gap = rows.principals.len()..policy.principal as usize;
                rows.principals.extend(gap.map(|constraint| Row::new(position(constraint), 0, start)));
                rows.principals.push(Row::new(policy.principal, rows.actions.len(), start));
            }
            if is_new_action {
                rows.actions.push(Row::new(policy.action, rows.resources.len(), start));
                extend(&mut rows.principals, rows.actions.len(), policy.action);
            }
            if is_new_resource {
                rows.resources.push(Row::new(policy.resource, 0, start));
                extend(&mut rows.actions, rows.resources.len(), policy.resource);
            }
            rows.policies.push(policy);
            for level in [&mut rows.principals, &mut rows.actions, &mut rows.resources] {
                level.last_mut().into_iter().for_each(|row| row.policies.end = position(end));
            }
            last = Some(policy);
        }
        rows
    }

    /// The policies under a row of a constraint on the principal that is satisfied.
    #[inline]
    fn find(&self, row: &Row, actions: &Satisfied, resources: &Satisfied, found: &mut Candidates) {
        if row.policies.len() <= LINEAR_MAX {
            let policies = self.policies(row).iter();
            let policies = policies.filter(|policy| actions.has(policy.action) && resources.has(policy.resource));
            return policies.for_each(|policy| found.push(policy.place));
        }
        row.satisfying(&self.actions, actions, |row| {
            if row.policies.len() <= LINEAR_MAX {
                let policies = self.policies(row).iter().filter(|policy| resources.has(policy.resource));
                return policies.for_each(|policy| found.push(policy.place));
            }
            row.satisfying(&self.resources, resources, |row| {
                self.policies(row).iter().for_each(|policy| found.push(policy.place));
            });
        });
    }

    #[inline]
    fn policies(&self, row: &Row) -> &[Placed] {
        part(&self.policies, &row.policies)
    }
}

/// The last row ends here, behind a row of this constraint.
fn extend(rows: &mut [Row], end: usize, constraint: u32) {
    if let Some(row) = rows.last_mut() {
        row.rows.end = position(end);
        row.low |= low_bit(constraint);
    }
}

#[inline]
fn part<'a, T>(all: &'a [T], range: &Range<u32>) -> &'a [T] {
    all.get(range.start as usize..range.end as usize).unwrap_or_default()
}

/// A text of so many policies would be far larger than any bundle may be.
fn position(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

impl Row {
    fn new(constraint: u32, rows: usize, policies: usize) -> Self {
        let at = |start| position(start)..position(start);
        Self { constraint, low: 0, rows: at(rows), policies: at(policies) }
    }

    /// Visits the rows under it whose constraint is satisfied: those below 64 by their bits, the others by searching for them.
    #[inline]
    fn satisfying<'a>(&self, next: &'a [Self], satisfied: &Satisfied, mut visit: impl FnMut(&'a Self)) {
        let rows = part(next, &self.rows);
        let mut both = self.low & satisfied.low();
        while both != 0 {
            let before = self.low & ((both & both.wrapping_neg()) - 1);
            rows.get(before.count_ones() as usize).into_iter().for_each(&mut visit);
            both &= both - 1;
        }
        if satisfied.high().is_empty() {
            return;
        }
        let far = rows.get(self.low.count_ones() as usize..).unwrap_or_default();
        for constraint in satisfied.high() {
            let found = far.binary_search_by_key(constraint, |row| row.constraint);
            found.ok().and_then(|place| far.get(place)).into_iter().for_each(&mut visit);
        }
    }
}
