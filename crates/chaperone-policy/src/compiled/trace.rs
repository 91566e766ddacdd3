//! What one decision looked at, beside what every decision looks at.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::coverage::Coverage;
use crate::effects::Level;
use crate::memory::MemoryName;
use crate::value::EntityRef;

/// Something that was looked for and may not be known to whoever makes a decision again.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Looked {
    /// The value of an attribute of a request for this action.
    Attribute(EntityRef, SmolStr),
    /// That a request for this action does not have an attribute.
    NoAttribute(EntityRef, SmolStr),
    /// All attributes of a request for this action at once.
    Attributes(EntityRef),
    /// Approvals, which are for all attributes of a request for this action.
    Grants(EntityRef),
    /// An attribute of an entity that is not there.
    EntityAttribute(EntityRef, SmolStr),
    /// A remembered set.
    Set(Level, MemoryName),
}

/// What one decision looked at: entities beside the principal, its ancestors' principals and the resource; and, where it is asked for,
/// whatever was missing.
///
/// Most decisions look at nothing that is noted here, and then this allocates nothing.
#[derive(Debug, Default)]
pub struct Trace {
    entities: RefCell<SmallVec<[EntityRef; 1]>>,
    /// Only for decisions that are made again.
    looked: Option<RefCell<BTreeSet<Looked>>>,
    /// Only for decisions that test policies.
    coverage: Option<Rc<Coverage>>,
}

impl Trace {
    /// One that also notes what was missing.
    pub fn of_all() -> Self {
        Self { looked: Some(RefCell::default()), ..Self::default() }
    }

    /// One that also notes what came of the bundle's policies.
    pub fn covering(coverage: Rc<Coverage>) -> Self {
        Self { coverage: Some(coverage), ..Self::default() }
    }

    /// Where it is noted what came of the bundle's policies.
    pub(crate) fn coverage(&self) -> Option<&Coverage> {
        self.coverage.as_deref()
    }

    /// Notes an entity.
    pub(crate) fn entity(&self, uid: &EntityRef) {
        let mut entities = self.entities.borrow_mut();
        if !entities.contains(uid) {
            entities.push(uid.clone());
        }
    }

    /// Notes what was looked for, where anybody wants to know.
    #[inline]
    pub(crate) fn look(&self, what: impl FnOnce() -> Looked) {
        if let Some(looked) = &self.looked {
            looked.borrow_mut().insert(what());
        }
    }

    /// The entities, in the order in which they were first looked at.
    pub fn into_entities(self) -> Vec<EntityRef> {
        self.entities.into_inner().into_vec()
    }

    /// The entities and what was looked for.
    pub fn into_parts(self) -> (Vec<EntityRef>, BTreeSet<Looked>) {
        (self.entities.into_inner().into_vec(), self.looked.map(RefCell::into_inner).unwrap_or_default())
    }
}
