//! What the kernel says that the gate holds: memory, descriptors, threads, children. Linux only, by `/proc`.

use std::fmt;
use std::fs;

use crate::bench::proc;

/// Memory may stay above what it was by so much: the allocator keeps what a few 20 MiB messages needed at once.
const MEMORY_KIB: u64 = 96 * 1024;
/// Pooled connections come and go one by one.
const DESCRIPTORS: usize = 24;
/// Threads for blocking work end after ten idle seconds; the others never change.
const THREADS: usize = 2;
/// A child that is about to end, or a spare one.
const CHILDREN: usize = 1;

/// One look.
#[derive(Clone, Debug, Default)]
pub(super) struct Vitals {
    resident_kib: u64,
    descriptors: usize,
    threads: usize,
    children: usize,
}

impl Vitals {
    /// Of the process now.
    pub(super) fn of(pid: u32) -> Self {
        let count = |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).map_or(0, Iterator::count);
        Self {
            resident_kib: proc::resident_kib(&[pid]),
            descriptors: count("fd"),
            threads: count("task"),
            children: proc::tree(pid).len() - 1,
        }
    }

    /// Whether both hold the same number of things; memory moves always.
    pub(super) fn same_things(&self, other: &Self) -> bool {
        (self.descriptors, self.threads, self.children) == (other.descriptors, other.threads, other.children)
    }

    /// What has not been given back since `before`.
    pub(super) fn worse_than(&self, before: &Self) -> Vec<String> {
        let mut worse = Vec::new();
        if self.resident_kib > before.resident_kib + MEMORY_KIB {
            worse.push(format!("{} KiB of memory, {} before", self.resident_kib, before.resident_kib));
        }
        for (what, now, then, more) in [
            ("descriptors", self.descriptors, before.descriptors, DESCRIPTORS),
            ("threads", self.threads, before.threads, THREADS),
            ("children", self.children, before.children, CHILDREN),
        ] {
            if now > then + more {
                worse.push(format!("{now} {what}, {then} before"));
            }
        }
        worse
    }
}

impl fmt::Display for Vitals {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { resident_kib, descriptors, threads, children } = self;
        let mib = resident_kib / 1024;
        write!(out, "{mib:>5} MiB {descriptors:>5} descriptors {threads:>4} threads {children:>3} children")
    }
}

/// The gate's memory while it is under load, look by look.
#[derive(Default)]
pub(super) struct Memory {
    kib: Vec<u64>,
}

/// Parts of the time that are shown and compared.
const PARTS: usize = 6;
/// The floor of the last part may lie above that of the first by so much: pools and the allocator settle for a while.
const GROWTH_KIB: u64 = 8 * 1024;
/// Fewer looks than this say nothing about growth.
const ENOUGH: usize = 120;

impl Memory {
    pub(super) fn look(&mut self, pid: u32) {
        self.kib.push(proc::resident_kib(&[pid]));
    }

    /// Whether it grows.
    pub(super) fn growth(&self) -> Option<String> {
        growth(&self.kib)
    }
}

/// The least of each part of the time. Messages of 20 MiB come and go, so that what lies above says how many of them there
/// were in a moment; what is never given back lifts the floor.
fn floors(kib: &[u64]) -> Vec<u64> {
    let part = kib.len().div_ceil(PARTS).max(1);
    kib.chunks(part).filter_map(|looks| looks.iter().min().copied()).collect()
}

/// What is wrong with these looks, if there are enough of them: the floor of the last part against that of the first.
fn growth(kib: &[u64]) -> Option<String> {
    let floors = floors(kib);
    let (Some(then), Some(now)) = (floors.first(), floors.last()) else { return None };
    (kib.len() >= ENOUGH && *now > then + GROWTH_KIB)
        .then(|| format!("memory grows: never below {now} KiB at the end, {then} KiB at the beginning"))
}

impl fmt::Display for Memory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib: Vec<String> = floors(&self.kib).iter().map(|kib| (kib / 1024).to_string()).collect();
        write!(out, "floors of {PARTS} parts of the time, in MiB: {}", mib.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 40 * 1024;

    fn looks(count: u64, at: impl Fn(u64) -> u64) -> Vec<u64> {
        (0..count).map(at).collect()
    }

    #[test]
    fn memory_grows_where_its_floor_does_and_nowhere_else() {
        let burst = |look: u64| if look.is_multiple_of(7) { 0 } else { 60 * 1024 };
        let step = |look: u64, by: u64| if look < 300 { BASE } else { BASE + by };
        let rows = [
            ("flat", looks(600, |_| BASE), false),
            ("bursts over a flat floor", looks(600, |look| BASE + burst(look)), false),
            ("more bursts at the end", looks(600, |look| BASE + burst(look) * (1 + look / 100)), false),
            (
                "high but for a last moment",
                looks(600, |look| if look < 100 || look == 599 { BASE } else { BASE * 2 }),
                false,
            ),
            ("less and less", looks(600, |look| BASE * 2 - look), false),
            ("a step that is allowed", looks(600, |look| step(look, GROWTH_KIB)), false),
            ("a step that is not", looks(600, |look| step(look, GROWTH_KIB + 1)), true),
            ("a slow leak", looks(600, |look| BASE + look * 20), true),
            ("a slow leak under bursts", looks(600, |look| BASE + look * 20 + burst(look)), true),
            ("too few looks to say", looks(100, |look| BASE + look * 1024), false),
            ("just enough of them", looks(120, |look| BASE + look * 1024), true),
            ("none", Vec::new(), false),
        ];
        for (name, looks, grows) in rows {
            assert_eq!(growth(&looks).is_some(), grows, "{name}: {:?} {:?}", floors(&looks), growth(&looks));
        }
    }

    #[test]
    fn each_part_has_its_floor() {
        assert_eq!(floors(&looks(600, |look| 1000 + look)), [1000, 1100, 1200, 1300, 1400, 1500]);
        assert_eq!(floors(&[5, 3]), [5, 3]);
    }
}
