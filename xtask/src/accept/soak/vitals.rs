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
