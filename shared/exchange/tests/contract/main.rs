//! One contract: every case runs on the memory exchange, on the same with a data directory, and on a real Kafka
//! broker.
//!
//! The broker is named by `KAFKA_BOOTSTRAP` (`scripts/kafka.sh start` prints one). Without it the Kafka half says
//! `skipped`, or fails if `ODDWATCH_REQUIRE` is `all`. Nothing here sleeps: cases wait for conditions, with a
//! deadline.

#![expect(unreachable_pub, reason = "a test crate has no outside")]

mod bed;
mod commits;
mod deadly;
mod disk_bed;
mod disk_copies;
mod disk_damage;
mod disk_kill;
mod disk_only;
mod groups;
mod hesitant;
mod kafka_names;
mod kafka_only;
mod memory_only;
mod notes;
mod reading;
mod releases;
mod starts;
mod topics;

/// Makes one test per case and adapter.
macro_rules! contract {
    ($($module:ident::$case:ident),* $(,)?) => {
        mod memory {
            $(#[test]
            fn $case() {
                crate::$module::$case(&crate::bed::MemoryBed::new());
            })*
        }
        mod disk {
            $(#[test]
            fn $case() {
                crate::$module::$case(&crate::disk_bed::DiskBed::new());
            })*
        }
        mod kafka {
            $(#[test]
            fn $case() {
                if let Some(bed) = crate::bed::KafkaBed::open(stringify!($case)) {
                    crate::$module::$case(&bed);
                }
            })*
        }
    };
}

contract! {
    reading::order_is_kept_within_a_partition,
    reading::a_batch_keeps_its_limits,
    reading::the_end_of_a_partition_is_told,
    reading::starting_behind_the_committed_offset_is_replay,
    reading::starting_at_an_offset_is_replay_up_to_the_committed_one,
    reading::an_offset_past_the_end_is_lost,
    commits::outputs_and_offsets_are_atomic,
    commits::a_refused_commit_leaves_nothing_and_everything_comes_again,
    commits::readers_see_nothing_of_an_aborted_commit,
    commits::a_full_exchange_takes_the_same_outputs_later,
    commits::a_restart_continues_at_the_committed_offset,
    commits::metadata_stays_until_it_is_replaced,
    commits::the_start_is_committed_before_anything_was_read,
    commits::a_death_before_the_commit_is_never_seen,
    commits::a_death_after_the_commit_repeats_nothing,
    commits::an_oversized_output_is_refused_by_name,
    commits::a_commit_without_anything_is_free,
    groups::a_zombie_is_fenced,
    groups::two_members_share_and_take_over,
    groups::groups_do_not_disturb_each_other,
    groups::a_worker_survives_whatever_befalls_its_commits,
    deadly::an_item_that_panics_is_skipped_and_no_other,
    deadly::an_item_that_kills_is_found_and_no_other_is_skipped,
    deadly::a_message_of_one_deadly_item_is_skipped,
    deadly::deaths_of_other_causes_skip_nothing,
    topics::append_answers_when_durable,
    topics::follow_needs_no_group,
    topics::a_follower_of_the_end_sees_only_what_is_new,
    topics::keys_are_placed_as_by_the_java_clients,
    topics::topics_are_as_asked_for_or_refused,
    topics::a_topic_of_no_name_is_named,
    topics::headers_keys_and_tombstones_survive,
    reading::a_start_at_what_is_gone_is_lost,
    reading::the_earliest_start_is_the_first_message_kept,
    reading::what_goes_while_it_is_read_is_lost,
    starts::a_partition_waits_for_its_start_while_others_go_on,
    starts::only_what_awaits_its_start_is_started,
    starts::members_leave_whatever_awaits_its_start,
    starts::what_awaits_its_start_moves_to_another_member,
    starts::a_rewind_in_place_of_a_commit_makes_everything_come_again,
    starts::a_rewind_leaves_what_awaits_its_start,
    notes::a_note_leaves_the_offset_where_it_is,
    notes::a_note_before_any_commit_commits_the_start,
    notes::a_commit_keeps_what_was_noted,
    notes::a_note_goes_with_the_partition_to_another_member,
    notes::a_refused_note_changes_nothing,
    notes::a_note_is_for_started_partitions_only,
    releases::a_release_takes_nothing_that_a_restore_may_need,
    topics::written_tells_of_what_was_ever_committed,
    topics::what_was_written_stays_written_when_it_is_gone,
    topics::a_partition_of_no_topic_was_not_written,
}
