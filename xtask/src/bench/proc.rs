//! What the kernel says of a process tree: CPU time, memory, who belongs to it. Linux only, by `/proc`.
//! CPU time is user + system of all threads, in nanoseconds where the kernel keeps them.

use std::fs;

/// A tick of `/proc/PID/stat`: the kernel shows 100 a second to programs, whatever it uses itself.
const TICK_NANOSECONDS: u64 = 10_000_000;

/// CPU time of a tree at one moment.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cpu {
    ticks: u64,
    nanoseconds: u64,
}

impl Cpu {
    /// The time between two moments, in nanoseconds. The fine count leaves out threads that have ended, the
    /// coarse one does not: where they disagree by more than rounding, the coarse one is right.
    pub(crate) fn since(self, earlier: Self) -> u64 {
        let fine = self.nanoseconds.saturating_sub(earlier.nanoseconds);
        let coarse = self.ticks.saturating_sub(earlier.ticks) * TICK_NANOSECONDS;
        if coarse > fine + fine / 50 + 4 * TICK_NANOSECONDS { coarse } else { fine }
    }
}

/// The process and all its descendants, itself first.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid: u32| Some((pid, stat(pid)?.parent)))
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found
}

/// The CPU time of these processes until now.
pub(crate) fn cpu(pids: &[u32]) -> Cpu {
    let mut sum = Cpu::default();
    for pid in pids {
        sum.ticks += stat(*pid).map_or(0, |stat| stat.ticks);
        sum.nanoseconds += threads(*pid).iter().filter_map(|path| on_cpu(path)).sum::<u64>();
    }
    sum
}

/// The resident memory of these processes in KiB.
pub(crate) fn resident_kib(pids: &[u32]) -> u64 {
    pids.iter().filter_map(|pid| resident_of(*pid)).sum()
}

/// How many tasks wanted to run in the last minute.
pub(crate) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

fn resident_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn threads(pid: u32) -> Vec<std::path::PathBuf> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

fn on_cpu(thread: &std::path::Path) -> Option<u64> {
    fs::read_to_string(thread.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
}

struct Stat {
    parent: u32,
    ticks: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields are counted from behind the name, which may hold spaces and brackets.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Stat { parent: fields.get(1)?.parse().ok()?, ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "42 (a (b) c) S 7 42 42 0 -1 4194304 100 0 0 0 12 30 0 0 20 0 1 0 1 1 1";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.parent, stat.ticks), (7, 42));
    }

    #[test]
    fn this_process_is_in_its_own_tree_and_uses_memory() {
        let own = std::process::id();
        assert_eq!(tree(own).first(), Some(&own));
        assert!(resident_kib(&[own]) > 100);
        assert!(tree(std::os::unix::process::parent_id()).contains(&own));
    }

    #[test]
    fn the_coarse_count_wins_only_when_threads_have_ended() {
        let table = [
            ((100, 1_000_000_000), 1_000_000_000),
            ((103, 1_000_000_000), 1_000_000_000),
            ((200, 1_000_000_000), 2_000_000_000),
        ];
        for ((ticks, nanoseconds), expected) in table {
            assert_eq!(Cpu { ticks, nanoseconds }.since(Cpu::default()), expected);
        }
    }
}
