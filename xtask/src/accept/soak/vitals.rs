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
/// The last third may lie above the third before by so much: some 20 MiB messages at the same time more or less.
const GROWTH_KIB: u64 = 24 * 1024;
/// Fewer looks than this say nothing about growth.
const ENOUGH: usize = 120;

impl Memory {
    pub(super) fn look(&mut self, pid: u32) {
        self.kib.push(proc::resident_kib(&[pid]));
    }

    /// The median of each part.
    fn medians(&self) -> Vec<u64> {
        let part = self.kib.len().div_ceil(PARTS).max(1);
        let median = |looks: &[u64]| {
            let mut sorted = looks.to_vec();
            sorted.sort_unstable();
            sorted[sorted.len() / 2]
        };
        self.kib.chunks(part).map(median).collect()
    }

    /// Whether it grows: the last two parts against the two before them.
    pub(super) fn growth(&self) -> Option<String> {
        let medians = self.medians();
        if self.kib.len() < ENOUGH || medians.len() < PARTS {
            return None;
        }
        let (then, now) = (medians[2].max(medians[3]), medians[4].min(medians[5]));
        (now > then + GROWTH_KIB)
            .then(|| format!("memory grows: {now} KiB at the end, {then} KiB in the middle"))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib: Vec<String> = self.medians().iter().map(|kib| (kib / 1024).to_string()).collect();
        write!(out, "medians of {PARTS} parts of the time, in MiB: {}", mib.join(" "))
    }
}
