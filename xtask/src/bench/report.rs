//! Medians, ratios, verdicts, and the table. Reads no clock and starts nothing.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::cases::{ALL_AIM, Group, Target};
use super::load::Sample;
use super::run::is_from_catalogue;
use super::wire::Work;
use crate::command::Outcome;

/// Aims that do not depend on a case.
const IDLE_MIB: f64 = 20.0;
const BINARY_MB: f64 = 40.0;
const START_MS: f64 = 100.0;

/// What is measured once.
#[derive(Default, Serialize)]
pub(crate) struct Facts {
    /// From start to the first answer, the median.
    pub(crate) start_ms: Option<f64>,
    /// Memory after the first answer.
    pub(crate) idle_mib: Option<f64>,
    /// Size of the binary.
    pub(crate) binary_mb: Option<f64>,
    /// What clients cost that do little.
    pub(crate) weights: Vec<Fact>,
    /// What the reader must know.
    pub(crate) notes: Vec<String>,
}

/// One number that belongs to no group.
#[derive(Clone, Serialize)]
pub(crate) struct Fact {
    /// What was measured.
    pub(crate) name: &'static str,
    /// How much.
    pub(crate) value: f64,
    /// How much it should be at most, where that is set.
    pub(crate) aim: Option<f64>,
    /// Of what.
    pub(crate) unit: &'static str,
}

/// One line of the table.
#[derive(Serialize)]
pub(crate) struct Row {
    /// Of the case and target.
    pub(crate) name: String,
    /// Who answered.
    pub(crate) target: Target,
    /// What was asked for.
    pub(crate) work: Work,
    /// All runs.
    pub(crate) samples: Vec<Sample>,
    /// Lists that the upstream was asked for while a gateway was measured.
    pub(crate) upstream_lists: u64,
    /// CPU time for each answer as a multiple of the yardstick's: the median of the ratios of each run.
    ratio: Option<f64>,
    aim: Option<f64>,
}

impl Row {
    /// A row without samples.
    pub(crate) fn new(group: &Group, target: Target) -> Self {
        let aim = match target {
            Target::Gateway(server) => group.aim(server),
            Target::All if group.work == Work::Small => Some(ALL_AIM),
            Target::Direct | Target::Nginx | Target::Owner | Target::Hop | Target::One | Target::All => None,
        };
        let name = group.name(target);
        Self { name, target, work: group.work, samples: Vec::new(), upstream_lists: 0, ratio: None, aim }
    }

    fn median(&self, value: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        median(self.samples.iter().filter_map(value).collect())
    }

    fn error(&self) -> Option<&str> {
        let told = self.samples.iter().flat_map(|sample| &sample.errors).next().map(String::as_str);
        let is_empty = self.samples.iter().any(|sample| sample.answers == 0);
        told.or(is_empty.then_some("no answer within a window: make it longer (`--seconds`)"))
    }

    fn verdict(&self, seconds: f64) -> Verdict {
        let is_catalogued = is_from_catalogue(self.work, self.target, self.upstream_lists, seconds);
        match (self.error(), self.ratio, self.aim) {
            (Some(_), _, _) => Verdict::Error,
            (None, Some(_), _) if !is_catalogued => Verdict::Miss,
            (None, Some(ratio), Some(aim)) if ratio > aim => Verdict::Miss,
            (None, Some(_), Some(_)) => Verdict::Pass,
            (None, _, _) => Verdict::None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Pass,
    Miss,
    Error,
    None,
}

impl Verdict {
    fn of(value: f64, aim: f64) -> Self {
        if value <= aim { Self::Pass } else { Self::Miss }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Miss => "MISS",
            Self::Error => "ERROR",
            Self::None => "",
        }
    }
}

/// Everything that a benchmark found.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) facts: Facts,
    runs: u16,
    window_seconds: f64,
    /// One for each case and target.
    pub(crate) rows: Vec<Row>,
}

impl Report {
    /// A report without rows.
    pub(crate) fn new(facts: Facts, runs: u16, window: Duration) -> Self {
        Self { facts, runs, window_seconds: window.as_secs_f64(), rows: Vec::new() }
    }

    /// Time that each row was under load, warm-ups included.
    fn seconds(&self) -> f64 {
        f64::from(self.runs) * (self.window_seconds + 1.0)
    }

    fn fact_rows(&self) -> Vec<Fact> {
        let facts = [
            ("start to first answer", self.facts.start_ms, START_MS, "ms"),
            ("idle memory", self.facts.idle_mib, IDLE_MIB, "MiB"),
            ("binary", self.facts.binary_mb, BINARY_MB, "MB"),
        ];
        let fact = |(name, value, aim, unit)| Some(Fact { name, value: value?, aim: Some(aim), unit });
        facts.into_iter().filter_map(fact).chain(self.facts.weights.iter().cloned()).collect()
    }

    /// A wrong answer fails; a missed aim only if asked for.
    pub(crate) fn verdict(&self, strict: bool) -> Outcome {
        let mut verdicts: Vec<Verdict> = self.rows.iter().map(|row| row.verdict(self.seconds())).collect();
        verdicts
            .extend(self.fact_rows().into_iter().filter_map(|fact| Some(Verdict::of(fact.value, fact.aim?))));
        let count = |wanted: Verdict| verdicts.iter().filter(|verdict| **verdict == wanted).count();
        let (passed, missed, failed) = (count(Verdict::Pass), count(Verdict::Miss), count(Verdict::Error));
        println!("{passed} aims met, {missed} missed, {failed} cases with errors");
        if failed > 0 || (strict && missed > 0) {
            return Err(format!("{failed} cases with errors, {missed} aims missed").into());
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "medians of {} runs of {} s. What is measured has a core to itself; upstream and load share the other.\n\
             CPU: user + system of the whole process tree for each answer. Ratio: CPU to nginx's in the same run,\n\
             for a hop to the owner's (the CPU of both replicas counts), at the address of all 70 servers to that of one.\n\
             A client's form decides its yardstick. A fixed rate (`ps`) goes over 16 connections.\n",
            self.runs, self.window_seconds
        )?;
        writeln!(
            out,
            "{:<28} {:>9} {:>9} {:>9} {:>9} {:>8} {:>7} {:>5}",
            "case (client-server)", "answers/s", "p50 µs", "p99 µs", "CPU µs", "RSS MiB", "ratio", "aim"
        )?;
        for row in &self.rows {
            row.print(out, self.seconds())?;
        }
        for Fact { name, value, aim, unit } in self.fact_rows() {
            write!(out, "{name:<28} {value:>9.1} {unit}")?;
            match aim {
                Some(aim) => writeln!(out, ", aim {aim:.0} {unit} {}", Verdict::of(value, aim).word())?,
                None => writeln!(out)?,
            }
        }
        for note in &self.facts.notes {
            writeln!(out, "note: {note}")?;
        }
        Ok(())
    }
}

impl Row {
    /// The line of the table, and below it what went wrong and where lists came from.
    fn print(&self, out: &mut fmt::Formatter<'_>, seconds: f64) -> fmt::Result {
        write!(out, "{:<28} {:>9}", self.name, number(self.median(|sample| Some(sample.per_second)), 0))?;
        write!(out, " {:>9}", number(self.median(|sample| Some(sample.p50)), 1))?;
        write!(out, " {:>9}", number(self.median(|sample| Some(sample.p99)), 1))?;
        write!(out, " {:>9}", number(self.median(|sample| sample.cpu), 1))?;
        write!(out, " {:>8}", number(self.median(|sample| sample.memory), 1))?;
        let verdict = self.verdict(seconds).word();
        writeln!(out, " {:>7} {:>5} {verdict}", number(self.ratio, 2), number(self.aim, 1))?;
        if let Some(error) = self.error() {
            writeln!(out, "    {error}")?;
        }
        let answers: u64 = self.samples.iter().map(|sample| sample.answers).sum();
        if let (Work::List, Target::Gateway(_) | Target::All, 1..) = (self.work, self.target, answers) {
            let source = match is_from_catalogue(self.work, self.target, self.upstream_lists, seconds) {
                true => "from the catalogue",
                false => "NOT from the catalogue",
            };
            writeln!(
                out,
                "    {source}: the upstream saw {} lists (warm-up included) for {answers} answers",
                self.upstream_lists
            )?;
        }
        Ok(())
    }
}

/// Sets the ratios of the gateway's rows, run by run against the group's yardstick.
pub(crate) fn relate(group: &Group, rows: &mut [Row]) {
    let yardstick: Vec<Option<f64>> = rows
        .iter()
        .filter(|row| row.target == group.yardstick())
        .flat_map(|row| row.samples.iter().map(|sample| sample.cpu))
        .collect();
    for row in
        rows.iter_mut().filter(|row| matches!(row.target, Target::Gateway(_) | Target::Hop | Target::All))
    {
        let pairs = row.samples.iter().zip(&yardstick);
        row.ratio = median(pairs.filter_map(|(sample, other)| Some(sample.cpu? / (*other)?)).collect());
    }
    debug_assert!(rows.iter().all(|row| row.work == group.work));
}

/// One run in one line.
pub(crate) fn progress(name: &str, sample: &Sample) -> String {
    let cpu = number(sample.cpu, 1);
    let error = sample.errors.first().map(|error| format!(" ERROR {error}")).unwrap_or_default();
    format!("{name:<28} {:>9.0}/s  p50 {:>8.1} µs  CPU {cpu:>7} µs{error}", sample.per_second, sample.p50)
}

/// The middle value; of an even number the mean of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Counts and sizes as numbers to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts and sizes stay far below 2^52")]
pub(crate) fn precise(number: u64) -> f64 {
    number as f64
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::cases::Press;
    use crate::bench::wire::Era;

    fn sample(cpu: f64) -> Sample {
        let (answers, per_second, p50, p99) = (1, 1.0, 1.0, 1.0);
        Sample { answers, per_second, p50, p99, cpu: Some(cpu), memory: None, errors: Vec::new() }
    }

    fn group(work: Work) -> Group {
        let targets = vec![Target::Nginx, Target::Gateway(Era::Modern)];
        Group { work, press: Press::Connections(16), client: Era::Modern, targets }
    }

    fn rows(work: Work, nginx: &[f64], gateway: &[f64]) -> Vec<Row> {
        let group = group(work);
        let mut rows: Vec<Row> = group.targets.iter().map(|target| Row::new(&group, *target)).collect();
        rows[0].samples = nginx.iter().map(|cpu| sample(*cpu)).collect();
        rows[1].samples = gateway.iter().map(|cpu| sample(*cpu)).collect();
        relate(&group, &mut rows);
        rows
    }

    #[test]
    fn medians() {
        let table = [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
            (vec![4.0, 1.0], Some(2.5)),
        ];
        for (values, expected) in table {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
    }

    #[test]
    fn ratios_are_taken_run_by_run_and_judged() {
        let table = [
            (vec![10.0, 20.0, 10.0], vec![14.0, 28.0, 30.0], Verdict::Pass),
            (vec![10.0, 20.0, 10.0], vec![16.0, 32.0, 10.0], Verdict::Miss),
        ];
        for (nginx, gateway, expected) in table {
            let rows = rows(Work::Small, &nginx, &gateway);
            assert_eq!(rows[1].verdict(20.0), expected, "{gateway:?}");
            assert_eq!(rows[0].verdict(20.0), Verdict::None);
        }
    }

    #[test]
    fn a_hop_is_compared_with_its_owner_and_has_no_aim() {
        let targets = vec![Target::Owner, Target::Hop];
        let group = Group { work: Work::Small, press: Press::Connections(1), client: Era::Legacy, targets };
        let mut rows: Vec<Row> = group.targets.iter().map(|target| Row::new(&group, *target)).collect();
        rows[0].samples = vec![sample(10.0)];
        rows[1].samples = vec![sample(25.0)];
        relate(&group, &mut rows);
        assert_eq!((rows[0].ratio, rows[1].ratio), (None, Some(2.5)));
        assert_eq!(rows[1].verdict(20.0), Verdict::None);
    }

    #[test]
    fn an_error_and_a_list_from_upstream_spoil_a_row() {
        let mut failed = rows(Work::Small, &[10.0], &[10.0]);
        failed[1].samples[0].errors.push("answer 3 is wrong".to_owned());
        assert_eq!(failed[1].verdict(20.0), Verdict::Error);
        let mut slow = rows(Work::Progress, &[10.0], &[10.0]);
        slow[1].samples[0].answers = 0;
        assert_eq!(slow[1].verdict(20.0), Verdict::Error, "nothing was measured");
        let mut listed = rows(Work::List, &[10.0], &[5.0]);
        assert_eq!(listed[1].verdict(20.0), Verdict::Pass);
        listed[1].upstream_lists = 1000;
        assert_eq!(listed[1].verdict(20.0), Verdict::Miss);
    }
}
