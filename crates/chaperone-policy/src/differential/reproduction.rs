//! A difference, with what is needed to see it again.

use std::fmt;
use std::sync::Arc;

use super::policies::Draft;
use super::run::Evaluate;
use super::sample::{Compiled, Sample};
use super::situations::Situation;
use crate::decide::decide_by_cedar;
use crate::decision::Decision;
use crate::scope::Scope;
use crate::session::{Session, SessionChain};

/// Two decisions on the same that are not the same.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The run's seed.
    pub seed: u64,
    /// Which part of the run.
    pub part: u64,
    /// The decision by compiled policies.
    pub ours: Decision,
    /// The decision by Cedar's authorizer.
    pub theirs: Decision,
    /// The bundle, the entities and the request, with everything left out that does not matter.
    pub reproduction: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the decisions differ (seed {}, part {})", self.seed, self.part)?;
        writeln!(f, "compiled: {:#?}", self.ours)?;
        writeln!(f, "Cedar: {:#?}", self.theirs)?;
        f.write_str(&self.reproduction)
    }
}

/// Both decisions, when they are not the same.
pub(super) fn compare(
    evaluate: Evaluate,
    compiled: &Compiled,
    situation: &Situation,
) -> Result<Decision, Box<[Decision; 2]>> {
    let (bundle, store, now) = (&compiled.bundle, &compiled.store, situation.now);
    let (authority, presenter) = (situation.authority(), &situation.presenter);
    let request = situation.request(bundle);
    // By the third time it is recalled which policies can apply.
    let [.., ours] = [(); 3].map(|()| evaluate(bundle, store, &request, authority, presenter, now));
    let theirs = decide_by_cedar(bundle, store, &situation.whole_request(bundle), authority, presenter, now);
    if ours == theirs { Ok(ours) } else { Err(Box::new([ours, theirs])) }
}

/// The difference on as little as possible.
pub(super) fn shrink(evaluate: Evaluate, sample: &Sample, situation: &Situation, seed: u64, part: u64) -> Difference {
    let mut sample = sample.clone();
    let mut situation = situation.clone();
    let still_differs = |sample: &Sample, situation: &Situation| {
        sample.compile().ok().and_then(|compiled| compare(evaluate, &compiled, situation).err())
    };
    for place in 0..sample.policies.len() {
        // In place, because a policy is named by its place.
        for less in [Draft::never(), sample.policies[place].silenced()] {
            let mut without = sample.clone();
            without.policies[place] = Arc::new(less);
            if still_differs(&without, &situation).is_some() {
                sample = without;
                break;
            }
        }
    }
    let alone = Situation { chain: None, ..situation.clone() };
    if still_differs(&sample, &alone).is_some() {
        situation = alone;
    }
    for place in (0..sample.stored.len()).rev() {
        let mut without = sample.clone();
        without.stored.remove(place);
        if still_differs(&without, &situation).is_some() {
            sample = without;
        }
    }
    for place in (0..sample.base.as_array().map_or(0, Vec::len)).rev() {
        let mut without = sample.clone();
        if let Some(entities) = without.base.as_array_mut() {
            entities.remove(place);
        }
        if still_differs(&without, &situation).is_some() {
            sample = without;
        }
    }
    let [ours, theirs] = *still_differs(&sample, &situation).expect("nothing was left out that matters");
    Difference { seed, part, ours, theirs, reproduction: text(&sample, &situation) }
}

fn text(sample: &Sample, situation: &Situation) -> String {
    let mut parts: Vec<String> =
        sample.source().files.iter().map(|(path, content)| format!("---- {path}\n{content}\n")).collect();
    for (template, draft) in sample.templates() {
        let slots = (&draft.principal_slot, &draft.resource_slot);
        parts.push(format!("---- template, linked with {slots:?}\n{template}\n"));
    }
    parts.push(format!("---- stored entities\n{:#?}\n", sample.stored));
    for session in situation.chain.iter().flat_map(SessionChain::iter) {
        let scope = session.scope.source().unwrap_or("unrestricted");
        let session = Session { scope: Scope::Unrestricted, ..session.as_ref().clone() };
        parts.push(format!("---- session\n{session:#?}\n---- its scope\n{scope}\n"));
    }
    for (key, memory) in situation.chain.iter().flat_map(|chain| chain.memory_keys().zip(chain.memories())) {
        parts.push(format!("---- memory of {key}\n{memory:#?}\n"));
    }
    parts.push(format!("---- request\n{:#?}\n", Situation { chain: None, ..situation.clone() }));
    parts.concat()
}
