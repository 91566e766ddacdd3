//! CPU time from the kernel's own accounting: user and system time of processes, in clock ticks.

use std::fs;

use anyhow::Context as _;

use crate::command::{command, output};

/// What `/proc/PID/stat` says of a process.
struct Stat {
    parent: u32,
    own: u64,
    /// Of its children that have ended.
    children: u64,
}

/// A process's own.
///
/// # Errors
/// When it has ended.
pub fn of_process(id: u32) -> anyhow::Result<u64> {
    Ok(stat(id)?.own)
}

/// A process's own, and that of its children, living or not. The children's own children are not in it.
///
/// # Errors
/// When it has ended.
pub fn of_family(id: u32) -> anyhow::Result<u64> {
    let parent = stat(id)?;
    let others = fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // One that ends meanwhile has no statistics any more.
    let children = others.filter_map(|other| stat(other).ok()).filter(|child| child.parent == id);
    Ok(parent.own + parent.children + children.map(|child| child.own).sum::<u64>())
}

/// That of the programs that this process ran and has waited for.
///
/// # Errors
/// When the system does not tell.
pub fn of_ended_children() -> anyhow::Result<u64> {
    Ok(stat(std::process::id())?.children)
}

/// Ticks, as microseconds for each of so many checks.
///
/// # Errors
/// When the system does not tell how long a tick is.
pub fn us_each(ticks: u64, checks: u32) -> anyhow::Result<f64> {
    #[expect(clippy::cast_precision_loss, reason = "ticks of one run are far below 2^52")]
    let cpu_s = ticks as f64 / ticks_per_second()?;
    Ok(cpu_s * 1e6 / f64::from(checks))
}

fn stat(id: u32) -> anyhow::Result<Stat> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).with_context(|| format!("process {id} has ended"))?;
    // The second field is the name, in brackets, and may hold anything: count from behind it. proc(5): ppid is the 4th field, utime and
    // stime are the 14th and 15th, those of children that were waited for the 16th and 17th.
    let after_name = stat.rsplit_once(')').context("/proc/PID/stat has another form")?.1;
    let field = |number: usize| -> anyhow::Result<u64> {
        let field = after_name.split_whitespace().nth(number - 3).and_then(|field| field.parse().ok());
        field.context("/proc/PID/stat has another form")
    };
    Ok(Stat { parent: u32::try_from(field(4)?)?, own: field(14)? + field(15)?, children: field(16)? + field(17)? })
}

fn ticks_per_second() -> anyhow::Result<f64> {
    static TICKS: std::sync::OnceLock<f64> = std::sync::OnceLock::new();
    if let Some(ticks) = TICKS.get() {
        return Ok(*ticks);
    }
    let ticks = output(command("getconf", &["CLK_TCK"]))?.trim().parse().context("getconf CLK_TCK is a number")?;
    Ok(*TICKS.get_or_init(|| ticks))
}
