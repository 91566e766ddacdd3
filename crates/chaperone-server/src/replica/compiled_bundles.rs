//! The last bundles that were compiled here, so that going back to one does not take as long as going on to it did.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chaperone_policy::{Bundle, BundleSource, Problem};

/// How many bundles are kept: the active one, the one before it, a shadow and a canary.
const BUNDLES_MAX: usize = 4;

/// Compiled bundles by the digests of their files, those used last. Clones share everything.
#[derive(Clone, Debug, Default)]
pub struct CompiledBundles(Arc<Mutex<VecDeque<Kept>>>);

/// A bundle, or where it will be as soon as whoever holds the lock has compiled it.
type Slot = Arc<Mutex<Option<Arc<Bundle>>>>;

#[derive(Debug)]
struct Kept {
    digest: String,
    slot: Slot,
}

impl CompiledBundles {
    /// The bundle of these files, compiled off the async threads unless it is kept: a large one takes seconds.
    ///
    /// # Errors
    /// With every problem of the bundle; nothing is kept of it then.
    pub async fn compile(&self, source: BundleSource) -> Result<Arc<Bundle>, Vec<Problem>> {
        let bundles = self.clone();
        let compiled = tokio::task::spawn_blocking(move || bundles.compile_here(&source)).await;
        compiled.unwrap_or_else(|_| Err(vec![crashed()]))
    }

    /// As [`compile`](Self::compile), on this thread. Who wants a bundle that is being compiled waits for it.
    ///
    /// # Errors
    /// As there.
    pub fn compile_here(&self, source: &BundleSource) -> Result<Arc<Bundle>, Vec<Problem>> {
        source.check_limits()?;
        // That of the files at hand, not what a row of the store says of them: another bundle must never decide.
        let digest = source.digest();
        let slot = self.slot(&digest);
        let mut held = lock(&slot);
        if let Some(bundle) = &*held {
            return Ok(Arc::clone(bundle));
        }
        match Bundle::compile(source) {
            Ok(bundle) => Ok(Arc::clone(held.insert(Arc::new(bundle)))),
            Err(problems) => {
                // What is refused must not take the place of what is not.
                lock(&self.0).retain(|kept| !Arc::ptr_eq(&kept.slot, &slot));
                Err(problems)
            }
        }
    }

    fn slot(&self, digest: &str) -> Slot {
        let mut kept = lock(&self.0);
        let known = kept.iter().position(|kept| kept.digest == digest).and_then(|place| kept.remove(place));
        let found = known.unwrap_or_else(|| Kept { digest: digest.to_owned(), slot: Slot::default() });
        let slot = Arc::clone(&found.slot);
        kept.push_front(found);
        kept.truncate(BUNDLES_MAX);
        slot
    }
}

/// What is said where compiling or testing a bundle did not come to an end.
pub fn crashed() -> Problem {
    Problem::of_file("bundle.toml", "internal", "reading the bundle failed; nothing was done")
}

/// Also after a panic: what a slot holds is whole, or not there.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    const SCHEMA: &str = "entity Team;\n\
        action read appliesTo { principal: [Team], resource: [Team], context: { request: {} } };\n";

    fn source(number: usize, policies: &str) -> BundleSource {
        let manifest = format!("description = \"{number}\"");
        let files =
            [("bundle.toml", manifest.as_str()), ("schema.cedarschema", SCHEMA), ("policies/main.cedar", policies)];
        BundleSource { files: files.map(|(path, text)| (path.to_owned(), text.to_owned())).into() }
    }

    fn valid(number: usize) -> BundleSource {
        source(number, "@id(\"all\") permit (principal, action, resource);")
    }

    fn digests(bundles: &CompiledBundles) -> Vec<String> {
        lock(&bundles.0).iter().map(|kept| kept.digest.clone()).collect()
    }

    #[tokio::test]
    async fn same_files_are_compiled_once() {
        let bundles = CompiledBundles::default();
        let first = bundles.compile(valid(1)).await.expect("it is valid");
        let other = bundles.compile(valid(2)).await.expect("it is valid");
        let again = bundles.compile(valid(1)).await.expect("it is valid");
        assert!(Arc::ptr_eq(&first, &again));
        assert!(!Arc::ptr_eq(&first, &other));
    }

    #[test]
    fn those_used_last_are_kept_and_no_more() {
        let bundles = CompiledBundles::default();
        let first = bundles.compile_here(&valid(0)).expect("it is valid");
        for number in 1..BUNDLES_MAX {
            bundles.compile_here(&valid(number)).expect("it is valid");
        }
        // The first one is used once more than this one.
        let forgotten = Arc::downgrade(&bundles.compile_here(&valid(1)).expect("it is valid"));
        for number in 0..BUNDLES_MAX {
            bundles.compile_here(&valid(if number == 0 { 0 } else { 10 + number })).expect("it is valid");
        }
        assert_eq!(digests(&bundles).len(), BUNDLES_MAX);
        assert!(forgotten.upgrade().is_none(), "its memory is given back");
        assert!(Arc::ptr_eq(&first, &bundles.compile_here(&valid(0)).expect("it is valid")));
    }

    #[test]
    fn those_who_want_the_same_at_the_same_time_get_the_same() {
        const CALLERS: usize = 8;
        let (bundles, barrier) = (CompiledBundles::default(), Barrier::new(CALLERS));
        let compiled = thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|_| {
                    scope.spawn(|| {
                        barrier.wait();
                        bundles.compile_here(&valid(1)).expect("it is valid")
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().expect("it ends")).collect::<Vec<_>>()
        });
        assert!(compiled.windows(2).all(|pair| Arc::ptr_eq(&pair[0], &pair[1])));
    }

    #[test]
    fn nothing_is_kept_of_what_is_refused() {
        let bundles = CompiledBundles::default();
        bundles.compile_here(&valid(1)).expect("it is valid");
        let kept = digests(&bundles);
        let broken = source(1, "permit (principal, action, resource) when { ;");
        for _ in 0..=BUNDLES_MAX {
            assert!(!bundles.compile_here(&broken).expect_err("it is refused").is_empty());
        }
        assert_eq!(digests(&bundles), kept);
    }
}
