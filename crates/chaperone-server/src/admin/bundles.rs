//! Uploading and activating bundles.

use std::sync::Arc;

use chaperone_analysis::Analysis;
use chaperone_policy::{Bundle, BundleDiff, BundleNumber, BundleSource, DiffError, NAME_BYTES_MAX, Problem};
use chaperone_store::{
    BundleActivation, BundleInfo, NewActivation, NewBundle, ReplicaReport, Store, StoreError, StoredBundle,
};
use chaperone_trail::Acted;

use super::backfill::{Backfill, Backfilled, Filler};
use super::sessions::check_length;
use super::{AdminError, CATCH_UP};
use crate::admin_auth::Caller;
use crate::analyzer::{Analyzer, NoAnalysis, SERVER_LIMITS};
use crate::bundle_rules::BundleRules;
use crate::bundle_tests;
use crate::causes::causes;
use crate::clock::Clock;
use crate::replica::{CompiledBundles, EntityLoadError, GONE_AFTER, Replica, crashed, load_entities};
use crate::trail::{TrailWriter, acts};

/// Two bundles, and where they differ.
#[derive(Debug)]
pub struct Compared {
    /// The first one.
    pub from: BundleInfo,
    /// The second one.
    pub to: BundleInfo,
    /// Where they differ.
    pub diff: BundleDiff,
    /// The same as text.
    pub text: String,
    /// What the second one can allow that the first one does not, or why that is not told; where it was asked for.
    pub analysis: Option<Result<Analysis, NoAnalysis>>,
}

/// How much of the history is read at once, in search of an activation.
const HISTORY_PAGE: u32 = 100;

/// What whoever activates a bundle goes ahead with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consent {
    /// That it can allow what the active one does not, where the rules ask.
    pub allow_expansion: bool,
    /// That what it counts, labels and remembers for the first time begins with it.
    pub skip_backfill: bool,
}

/// The bundle use cases.
#[derive(Clone, Debug)]
pub struct Bundles {
    replica: Arc<Replica>,
    clock: Clock,
    trail: TrailWriter,
    rules: BundleRules,
    backfill: Option<Backfill>,
    analyzer: Analyzer,
}

impl Bundles {
    /// Over one replica's store. What is done is recorded in `trail`.
    pub fn new(replica: Arc<Replica>, clock: Clock, trail: TrailWriter) -> Self {
        let analyzer = Analyzer::new(None, SERVER_LIMITS);
        Self { replica, clock, trail, rules: BundleRules::default(), backfill: None, analyzer }
    }

    /// The same, where uploads and activations keep these rules.
    #[must_use]
    pub fn with_rules(self, rules: BundleRules) -> Self {
        Self { rules, ..self }
    }

    /// The same, where what a bundle newly keeps is filled in before it decides.
    #[must_use]
    pub fn with_backfill(self, backfill: Backfill) -> Self {
        Self { backfill: Some(backfill), ..self }
    }

    /// The same, where differences are analyzed by this.
    #[must_use]
    pub fn with_analyzer(self, analyzer: Analyzer) -> Self {
        Self { analyzer, ..self }
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.replica.store()
    }

    /// Says what is wrong with a bundle; how many policies it has, when nothing is.
    ///
    /// # Errors
    /// [`AdminError::Problems`] with all of them.
    pub async fn validate(&self, source: BundleSource) -> Result<u32, AdminError> {
        // Not among those that are kept: what is only looked at must not push out what decides.
        compile_and_test(CompiledBundles::default(), source).await
    }

    /// Stores a valid bundle. Says whether it is new. `signature` is as [`BundleSignature`](crate::bundle_signature::BundleSignature) is
    /// written, or empty.
    ///
    /// # Errors
    /// [`AdminError::Problems`] with all of them, when the signature is not as the rules ask for, or when the store or the trail fails.
    pub async fn upload(
        &self,
        source: BundleSource,
        message: String,
        signature: &str,
        by: &Caller,
    ) -> Result<(BundleInfo, bool), AdminError> {
        check_message(&message)?;
        let signed = self.rules.check_signature(&source, signature)?;
        let policy_count = compile_and_test(self.replica.bundles().clone(), source.clone()).await?;
        let new = NewBundle {
            source,
            policy_count,
            message,
            uploaded_by: by.name.to_string(),
            uploaded_at: self.clock.now(),
        };
        let (info, is_new) = self.store().insert_bundle(&new).await?;
        if is_new {
            let note = note(&info, &format!("{signed} {}", info.message));
            let acted = Acted { note: note.into(), ..acts::on_bundle(acts::BUNDLE_UPLOADED, &by.name, info.number) };
            self.trail.act(self.clock.now(), acted).await?;
        }
        Ok((info, is_new))
    }

    /// Makes a bundle the one that decides, on every replica. Also returns what was filled in for it, or that nothing was though it keeps
    /// something for the first time.
    ///
    /// # Errors
    /// When there is no such bundle, the rules ask for somebody else, another one is active than expected, a stored entity does not fit its
    /// schema, what it newly keeps cannot be filled in, or the store or the trail fails.
    pub async fn activate(
        &self,
        number: BundleNumber,
        expected: Option<BundleNumber>,
        message: String,
        consent: Consent,
        by: &Caller,
    ) -> Result<(BundleInfo, Option<Backfilled>), AdminError> {
        let mut new = NewActivation { expected, message, ..NewActivation::new(number, &*by.name, self.clock.now()) };
        let checked = self.check_activation(&mut new, consent.allow_expansion, by).await?;
        let (filler, told) = if consent.skip_backfill {
            // Who asked for that knows it.
            (None, None)
        } else {
            let filler = self.fill_in(&checked.info, &checked.bundle, new.expected).await?;
            let told = filler.as_ref().map(Filler::told);
            (filler, told.or_else(|| Backfill::left_out(&self.replica, &checked.bundle)))
        };
        // It is active from when it is, not from when that was asked for.
        new.activated_at = self.clock.now();
        let info = self.make_active(acts::BUNDLE_ACTIVATED, new, checked.consent, filler).await?;
        if let Some(left_out) = told.as_ref().filter(|told| told.since.is_none()) {
            tracing::info!(bundle.number = number.get(), "{left_out}");
        }
        Ok((info, told))
    }

    /// Makes an earlier bundle the one that decides: without a number, the one that was active before the present one. Returns it, and
    /// the number of the one that was active until now.
    ///
    /// # Errors
    /// As [`activate`](Self::activate); also where there is nothing to go back to, or the bundle is active already or no earlier one.
    pub async fn roll_back(
        &self,
        number: Option<BundleNumber>,
        expected: Option<BundleNumber>,
        message: String,
        allow_expansion: bool,
        by: &Caller,
    ) -> Result<(BundleInfo, BundleNumber), AdminError> {
        let active = self.active_number().await?;
        check_expected(expected, active)?;
        let active =
            active.ok_or_else(|| AdminError::precondition("nothing_to_roll_back", "no bundle is active".to_owned()))?;
        let number = match number {
            Some(number) => self.earlier(number, active).await?,
            None => self.before(active).await?,
        };
        // What it goes back from is what was looked at, also where the caller expects nothing.
        let mut new = NewActivation {
            expected: Some(active),
            is_rollback: true,
            message,
            ..NewActivation::new(number, &*by.name, self.clock.now())
        };
        let checked = self.check_activation(&mut new, allow_expansion, by).await?;
        // Whoever goes back is in a hurry: what is to be filled in comes after.
        let filler = self.filler(&checked.info, &checked.bundle);
        Ok((self.make_active(acts::BUNDLE_ROLLED_BACK, new, checked.consent, filler).await?, active))
    }

    /// Checks all that is asked of an activation.
    async fn check_activation(
        &self,
        new: &mut NewActivation,
        allow_expansion: bool,
        by: &Caller,
    ) -> Result<Checked, AdminError> {
        check_message(&new.message)?;
        self.trail.require()?;
        let stored = self.get(Some(new.number)).await?;
        self.rules.check_two_people(&stored.info, by)?;
        let (compared, consent) = self.check_expansion(&stored, allow_expansion).await?;
        // What it was compared with must still be active then.
        new.expected = new.expected.or(compared);
        let info = stored.info.clone();
        Ok(Checked { bundle: self.check_usable(stored).await?, info, consent })
    }

    async fn make_active(
        &self,
        act: &'static str,
        new: NewActivation,
        consent: &str,
        filler: Option<Filler>,
    ) -> Result<BundleInfo, AdminError> {
        let info = self.store().activate_bundle(&new).await?;
        let note = note(&info, &format!("{consent} {}", new.message.trim()));
        let acted = Acted { note: note.into(), ..acts::on_bundle(act, &new.activated_by, new.number) };
        self.trail.act(self.clock.now(), acted).await?;
        self.replica.catch_up(CATCH_UP).await;
        if let Some(filler) = filler {
            tokio::spawn(self.clone().finish(filler, info.number, new.activated_by));
        }
        Ok(info)
    }

    /// Fills in what a bundle newly keeps, as of now; `None` where that is nothing.
    ///
    /// # Errors
    /// When another bundle is active than expected, or it cannot be filled in.
    pub(super) async fn fill_in(
        &self,
        info: &BundleInfo,
        bundle: &Arc<Bundle>,
        expected: Option<BundleNumber>,
    ) -> Result<Option<Filler>, AdminError> {
        let Some(filler) = self.filler(info, bundle) else { return Ok(None) };
        // The store decides this at the end. What it will refuse is not worth the reading, and must not be remembered.
        check_expected(expected, self.active_number().await?)?;
        filler.fill().await.map(Some).map_err(|error| not_filled_in(&error))
    }

    /// What a bundle newly keeps, to be filled in; `None` where that is nothing.
    fn filler(&self, info: &BundleInfo, bundle: &Arc<Bundle>) -> Option<Filler> {
        self.backfill.as_ref()?.begin(&self.replica, &self.clock, (info.number, &info.digest, bundle))
    }

    /// Fills in what was decided until every replica served the bundle, and records that.
    async fn finish(self, filler: Filler, number: BundleNumber, by: String) {
        let told = filler.finish().await;
        match &told.failure {
            None => tracing::info!(bundle.number = number.get(), "{told}"),
            Some(_) => tracing::error!(bundle.number = number.get(), "{told}"),
        }
        let note = told.to_string();
        let acted = Acted { note: note.into(), ..acts::on_bundle(acts::BUNDLE_BACKFILLED, &by, number) };
        if let Err(error) = self.trail.act(self.clock.now(), acted).await {
            tracing::error!(error = causes(&error), "what was filled in is not on record");
        }
    }

    /// The number of the active bundle. The bundle itself is large, and this is asked again and again.
    pub(super) async fn active_number(&self) -> Result<Option<BundleNumber>, AdminError> {
        Ok(self.store().bundle_activations(None, 1).await?.first().map(|latest| latest.number))
    }

    /// Checks that the rules let this caller have a bundle decide. Returns what the trail says of it, which may be nothing.
    ///
    /// # Errors
    /// When they do not, there is no such bundle, or the store fails.
    pub(super) async fn check_rules(
        &self,
        number: BundleNumber,
        allow_expansion: bool,
        by: &Caller,
    ) -> Result<&'static str, AdminError> {
        let stored = self.get(Some(number)).await?;
        self.rules.check_two_people(&stored.info, by)?;
        Ok(self.check_expansion(&stored, allow_expansion).await?.1)
    }

    /// Checks that a bundle allows no more than the active one, where the rules ask for that. Returns what it was compared with, and what
    /// the trail says of it. Where nothing is active, whatever is allowed is more, and nobody is asked.
    async fn check_expansion(
        &self,
        candidate: &StoredBundle,
        allow_expansion: bool,
    ) -> Result<(Option<BundleNumber>, &'static str), AdminError> {
        let Some(rule) = &self.rules.expansion else { return Ok((None, "")) };
        match self.store().active_bundle().await? {
            None => Ok((Some(BundleNumber::new(0)), "")),
            Some(active) => Ok((Some(active.info.number), rule.check(&active, candidate, allow_expansion).await?)),
        }
    }

    /// A bundle that one can go back to from the active one.
    async fn earlier(&self, number: BundleNumber, active: BundleNumber) -> Result<BundleNumber, AdminError> {
        if number == active {
            return Err(AdminError::precondition("already_active", format!("bundle {number} is active already")));
        }
        // Before its place in the history is judged: one that does not exist has none.
        self.get(Some(number)).await?;
        if number < active || self.latest(|kept| kept.number == number).await?.is_some() {
            return Ok(number);
        }
        let message =
            format!("bundle {number} is later than {active}, the active one, and was never active: activate it");
        Err(AdminError::precondition("not_earlier", message))
    }

    /// The bundle that was active before this one, which is active.
    async fn before(&self, active: BundleNumber) -> Result<BundleNumber, AdminError> {
        // The same bundle can have been activated again.
        let kept = self.latest(|kept| kept.number == active && kept.previous != Some(active)).await?;
        kept.and_then(|kept| kept.previous).ok_or_else(|| {
            AdminError::precondition(
                "nothing_to_roll_back",
                format!("no bundle was active before {active}, the active one"),
            )
        })
    }

    /// The latest activation that is such.
    async fn latest(
        &self,
        is_such: impl Fn(&BundleActivation) -> bool,
    ) -> Result<Option<BundleActivation>, AdminError> {
        let mut before = None;
        loop {
            let page = self.store().bundle_activations(before, HISTORY_PAGE).await?;
            let Some(last) = page.last() else { return Ok(None) };
            before = Some(last.position);
            if let Some(found) = page.into_iter().find(&is_such) {
                return Ok(Some(found));
            }
        }
    }

    /// Checks that a bundle can decide with the entities that are stored.
    ///
    /// # Errors
    /// When it has problems, an entity does not fit its schema, or the store fails.
    pub(super) async fn check_usable(&self, stored: StoredBundle) -> Result<Arc<Bundle>, AdminError> {
        let bundle = self.replica.bundles().compile(stored.source).await.map_err(AdminError::Problems)?;
        match load_entities(&**self.store(), &bundle).await {
            Ok(_) => Ok(bundle),
            Err(EntityLoadError::Store(error)) => Err(error.into()),
            Err(EntityLoadError::Refused(errors)) => {
                let texts: Vec<_> = errors.iter().take(20).map(ToString::to_string).collect();
                let message =
                    format!("{} stored entities do not fit the bundle's schema: {}", errors.len(), texts.join("; "));
                Err(AdminError::precondition("entities_do_not_fit", message))
            }
            Err(EntityLoadError::Failed(_)) => Err(AdminError::Problems(vec![crashed()])),
        }
    }

    /// Bundles, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self, before: Option<BundleNumber>, limit: u32) -> Result<Vec<BundleInfo>, AdminError> {
        Ok(self.store().bundles(before, limit).await?)
    }

    /// Activations, newest first. `before` is the position of the last of the page before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn history(&self, before: Option<u64>, limit: u32) -> Result<Vec<BundleActivation>, AdminError> {
        Ok(self.store().bundle_activations(before, limit).await?)
    }

    /// Where two bundles differ, and the same as text; without a number, the active one is meant. With `analyze`, also what the second one
    /// can allow that the first one does not.
    ///
    /// # Errors
    /// When one of them does not exist or cannot be read any more, or the store fails.
    pub async fn diff(
        &self,
        from: Option<BundleNumber>,
        to: Option<BundleNumber>,
        analyze: bool,
    ) -> Result<Compared, AdminError> {
        let (StoredBundle { info: from, source: before }, StoredBundle { info: to, source: after }) =
            (self.get(from).await?, self.get(to).await?);
        let compared = tokio::task::spawn_blocking(move || {
            let diff = BundleDiff::between(&before, &after)?;
            Ok((diff.to_text(), diff, before, after))
        });
        let compared = compared.await.unwrap_or_else(|_| Err(DiffError::Before(vec![crashed()])));
        let (text, diff, before, after) = compared.map_err(|error| match error {
            DiffError::Before(problems) => unreadable(&from, &problems),
            DiffError::After(problems) => unreadable(&to, &problems),
        })?;
        let analysis = if analyze { Some(self.analyzer.analysis(before, after).await) } else { None };
        Ok(Compared { from, to, diff, text, analysis })
    }

    /// The number of the active bundle, and what each live replica says that it serves.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn rollout(&self) -> Result<(Option<BundleNumber>, Vec<ReplicaReport>), AdminError> {
        let active = self.active_number().await?;
        let replicas = self.store().replicas(self.clock.now().minus(GONE_AFTER)).await?;
        Ok((active, replicas))
    }

    /// A bundle with its files; without a number, the active one.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn get(&self, number: Option<BundleNumber>) -> Result<StoredBundle, AdminError> {
        match number {
            Some(number) => {
                let found = self.store().bundle(number).await?;
                found.ok_or_else(|| AdminError::NotFound(format!("bundle {number}")))
            }
            None => {
                let found = self.store().active_bundle().await?;
                found.ok_or_else(|| AdminError::NotFound("an active bundle".into()))
            }
        }
    }
}

/// A bundle that may become active.
struct Checked {
    info: BundleInfo,
    bundle: Arc<Bundle>,
    /// What the trail says of what was gone ahead with; may be empty.
    consent: &'static str,
}

/// Checks that the bundle that is active is the one that is expected; 0 where none is.
fn check_expected(expected: Option<BundleNumber>, active: Option<BundleNumber>) -> Result<(), StoreError> {
    let active = active.unwrap_or(BundleNumber::new(0));
    if expected.is_some_and(|expected| expected != active) {
        return Err(StoreError::BundleConflict { active });
    }
    Ok(())
}

fn not_filled_in(error: &AdminError) -> AdminError {
    let message = format!(
        "what the bundle counts, labels and remembers for the first time cannot be filled in: {error}; go ahead without with --skip-backfill"
    );
    AdminError::precondition("backfill_failed", message)
}

fn unreadable(info: &BundleInfo, problems: &[Problem]) -> AdminError {
    let texts: Vec<_> =
        problems.iter().take(20).map(|problem| format!("{}: {}", problem.file, problem.message)).collect();
    AdminError::precondition(
        "bundle_unreadable",
        format!("bundle {} cannot be read: {}", info.number, texts.join("; ")),
    )
}

fn check_message(message: &str) -> Result<(), AdminError> {
    check_length("message", message, 0, NAME_BYTES_MAX)
}

/// What the trail keeps beside the number: which files these were, and what was said.
fn note(info: &BundleInfo, message: &str) -> String {
    format!("{} {}", info.digest, message.trim()).trim_end().to_owned()
}

fn policy_count(bundle: &Bundle) -> u32 {
    u32::try_from(bundle.policy_count()).unwrap_or(u32::MAX)
}

/// Compiles a bundle and runs its tests: says how many policies there are when all passed. What was stored once is not tested again.
async fn compile_and_test(bundles: CompiledBundles, source: BundleSource) -> Result<u32, AdminError> {
    // Off the async threads: a large bundle takes seconds.
    let tested = tokio::task::spawn_blocking(move || {
        let bundle = bundles.compile_here(&source)?;
        match bundle_tests::problems(&source, Arc::clone(&bundle)) {
            problems if problems.is_empty() => Ok(policy_count(&bundle)),
            problems => Err(problems),
        }
    });
    tested.await.unwrap_or_else(|_| Err(vec![crashed()])).map_err(AdminError::Problems)
}
