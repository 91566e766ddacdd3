//! The one suite that every store must pass, a function for each fact.
//!
//! Each case gets a store of its own, fresh and empty. [`for_each_case!`](crate::for_each_case) names them all, so that a test
//! runner can show each by its name.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a case fails by panicking")]

mod activations;
mod approvals;
mod bundles;
mod candidates;
mod entities;
mod feed;
mod fixtures;
mod listing;
mod memories;
mod memory_races;
mod replicas;
mod revocation;
mod sessions;
mod trees;

use std::sync::Arc;

use crate::store::Store;

/// Calls a macro with the names of all cases, separated by commas.
#[macro_export]
macro_rules! for_each_case {
    ($callback:ident) => {
        $callback! {
            inserted_session_is_found_by_id_and_handle,
            plainest_session_survives,
            farthest_expiry_survives,
            unknown_session_is_none,
            chain_runs_from_the_session_to_its_root,
            child_of_an_unknown_parent_is_refused,
            child_in_another_tree_than_its_parent_is_refused,
            id_or_handle_is_never_given_twice,
            saved_session_has_the_next_version,
            save_keeps_the_stored_last_use,
            save_of_an_old_version_conflicts,
            save_of_an_unknown_session_is_not_found,
            one_of_concurrent_saves_wins,
            use_moves_forward_never_back,
            concurrent_inserts_are_all_stored,
            live_children_of_a_session_are_limited,
            live_sessions_of_a_tree_are_limited,
            concurrent_openings_never_pass_a_limit,
            sessions_are_paged_newest_first,
            every_filter_restricts_the_list,
            life_filter_agrees_with_the_session,
            revoking_a_session_ends_it_alone,
            revoking_an_ended_session_counts_none,
            revoking_a_tree_ends_all_of_it,
            revoking_a_principal_owner_or_task_ends_theirs,
            revoking_an_unknown_session_or_tree_is_not_found,
            revoking_makes_older_copies_conflict,
            revoking_more_than_a_batch_ends_all,
            concurrent_revocations_count_each_session_once,
            bundles_are_numbered_in_order,
            bundle_survives_with_its_files,
            same_bundle_is_stored_once,
            concurrent_uploads_leave_no_gap,
            activation_expects_what_is_active,
            activation_of_an_unknown_bundle_is_not_found,
            one_of_concurrent_activations_wins,
            bundles_are_paged_newest_first,
            every_activation_is_kept,
            refused_activation_is_not_kept,
            activations_are_paged_newest_first,
            concurrent_activations_follow_each_other,
            candidate_survives_and_another_takes_its_place,
            removed_candidate_is_gone_and_others_stay,
            candidate_must_exist_and_be_beside_the_active_bundle,
            candidates_are_in_the_feed,
            entities_of_every_type_survive,
            entities_are_found_by_identity,
            put_replaces_and_the_last_wins,
            delete_counts_what_existed,
            entities_are_paged_in_byte_order,
            memory_of_an_unknown_key_is_empty,
            committed_memory_survives_with_its_version,
            transitions_of_one_call_are_independent,
            conflict_names_what_is_stored,
            conflict_with_a_memory_that_is_gone_names_nothing,
            overlapping_transitions_are_refused,
            principals_with_odd_names_have_memories_of_their_own,
            thousand_transitions_are_committed_at_once,
            transition_without_writes_is_done,
            feed_names_each_committed_memory,
            more_memories_than_the_limit_are_read_on_from_the_cursor,
            approval_is_opened_once_for_a_challenge,
            concurrent_challenges_open_one_approval,
            expired_or_answered_approval_makes_room_for_another,
            session_waits_for_a_limited_number_of_approvals,
            approvals_are_listed_by_state_session_and_principal,
            saved_approval_and_its_grant_are_stored_together,
            one_of_concurrent_answers_wins,
            approved_approval_can_only_be_cancelled_and_its_grant_goes_with_it,
            one_of_concurrent_first_commits_wins,
            concurrent_increments_all_count,
            memories_change_together_or_not_at_all,
            follower_of_concurrent_commits_misses_nothing,
            replica_says_what_it_serves_and_the_last_word_counts,
            replica_that_is_silent_is_not_listed,
            replica_that_leaves_is_forgotten_and_so_are_the_silent,
            every_write_is_in_the_feed_and_no_use_is,
            refused_writes_are_not_in_the_feed,
            changes_keep_their_order,
            limited_batches_miss_nothing,
            pruned_changes_are_a_gap,
            cursor_from_another_history_is_a_gap,
            follower_of_concurrent_writers_misses_nothing,
            write_wakes_who_waits,
            store_answers_a_ping,
        }
    };
}

macro_rules! export_cases {
    ($($case:ident,)+) => {
        pub use self::cases::{$($case),+};

        /// Runs every case, each on a store that `fresh` makes.
        pub async fn run<F>(fresh: impl Fn() -> F)
        where
            F: Future<Output = Arc<dyn Store>>,
        {
            $($case(fresh().await).await;)+
        }
    };
}
for_each_case!(export_cases);

mod cases {
    pub use super::activations::*;
    pub use super::approvals::*;
    pub use super::bundles::*;
    pub use super::candidates::*;
    pub use super::entities::*;
    pub use super::feed::*;
    pub use super::listing::*;
    pub use super::memories::*;
    pub use super::memory_races::*;
    pub use super::replicas::*;
    pub use super::revocation::*;
    pub use super::sessions::*;
    pub use super::trees::*;
}
