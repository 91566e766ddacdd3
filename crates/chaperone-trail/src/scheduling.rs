//! When a thread of the trail gets a processor.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
    thread_schedule_policy,
};

/// The niceness that threads have unless somebody gave them another; and what the library calls it.
const USUAL: (i32, u8) = (0, 48);

/// Lets this thread, when it is woken, take a processor that nobody uses, and else wait until who runs there pauses (`SCHED_BATCH`, sched(7)),
/// as everybody does in the end.
///
/// To interrupt who makes records, in order to write those that are there, makes batches smaller just when there is most to do. Where the
/// system does not allow it, or somebody has said how this process is scheduled, nothing changes.
pub(crate) fn let_others_finish() {
    let usual = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    let (niceness, priority) = USUAL;
    if thread_schedule_policy() != Ok(usual) || rustix::process::getpriority_process(None) != Ok(niceness) {
        return;
    }
    if let Ok(priority) = priority.try_into() {
        let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
        // Without it batches are smaller; they are as durable.
        let _ = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Crossplatform(priority), batch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_finishes_behind_others_and_is_as_nice_as_before() {
        std::thread::spawn(|| {
            let niceness = rustix::process::getpriority_process(None);
            let_others_finish();
            // Whoever runs this at another niceness has said how it is scheduled.
            if niceness == Ok(USUAL.0) {
                let batch = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Batch);
                assert_eq!(thread_schedule_policy(), Ok(batch));
            }
            assert_eq!(rustix::process::getpriority_process(None), niceness);
        })
        .join()
        .expect("it holds");
    }
}
