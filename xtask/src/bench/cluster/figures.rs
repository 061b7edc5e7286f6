//! From runs to figures: medians, ratios taken run by run, aims and verdicts, and the table. Starts nothing and reads no clock.

use super::tools::Used;
use crate::bench::report::median;
use serde::Serialize;
use std::fmt::Write as _;

/// How many times less CPU than makejinja our rendering takes at least.
const RENDER_RATIO: f64 = 40.0;
/// How many times less the first `configure` takes as a whole.
const FIRST_RATIO: f64 = 5.0;
/// What the first `configure` takes at most, in milliseconds of CPU.
const FIRST_CPU: f64 = 300.0;
/// What one takes that has nothing to do, in milliseconds by the clock.
const UNCHANGED: f64 = 150.0;
/// What a very large cluster takes, in seconds by the clock.
const LARGE: f64 = 5.0;

/// One run of one cluster.
pub(super) struct Sample {
    /// makejinja renders our templates.
    pub(super) makejinja: Used,
    /// We render them, several times.
    pub(super) render: Vec<Used>,
    /// `configure` where there is no tree.
    pub(super) first: Used,
    /// `configure` again.
    pub(super) unchanged: Used,
}

impl Sample {
    /// The CPU of our rendering.
    fn ours(&self) -> f64 {
        median(self.render.iter().map(|used| used.cpu).collect()).unwrap_or(f64::NAN)
    }
}

/// What a figure should be.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

/// One number.
#[derive(Serialize)]
pub(super) struct Figure {
    of: String,
    name: &'static str,
    value: f64,
    unit: &'static str,
    aim: Option<Aim>,
}

impl Figure {
    /// Whether it is what it should be, if it should be something.
    pub(super) fn is_met(&self) -> Option<bool> {
        Some(match self.aim? {
            Aim::AtLeast(least) => self.value >= least,
            Aim::AtMost(most) => self.value <= most,
        })
    }
}

/// The figures of one cluster.
pub(super) fn of(name: &str, samples: &[Sample]) -> Vec<Figure> {
    let figure = |name_of: &'static str, unit, aim, value: &dyn Fn(&Sample) -> f64| {
        let value = median(samples.iter().map(value).collect()).unwrap_or(f64::NAN);
        Figure { of: name.to_owned(), name: name_of, value, unit, aim }
    };
    let times = |ratio| Some(Aim::AtLeast(ratio));
    let most = |value| Some(Aim::AtMost(value));
    vec![
        figure("makejinja renders", "ms CPU", None, &|run| run.makejinja.cpu * 1e3),
        figure("we render", "ms CPU", None, &|run| run.ours() * 1e3),
        figure("  less by", "times", times(RENDER_RATIO), &|run| run.makejinja.cpu / run.ours()),
        figure("first configure", "ms CPU", most(FIRST_CPU), &|run| run.first.cpu * 1e3),
        figure("  less by", "times", times(FIRST_RATIO), &|run| run.makejinja.cpu / run.first.cpu),
        figure("first configure", "ms", None, &|run| run.first.wall * 1e3),
        figure("unchanged", "ms", most(UNCHANGED), &|run| run.unchanged.wall * 1e3),
    ]
}

/// The figure of the cluster with very many nodes.
pub(super) fn large(nodes: u16, runs: &[Used]) -> Figure {
    let value = median(runs.iter().map(|used| used.wall).collect()).unwrap_or(f64::NAN);
    Figure {
        of: format!("{nodes} nodes"),
        name: "first configure",
        value,
        unit: "s",
        aim: Some(Aim::AtMost(LARGE)),
    }
}

/// All figures, one a line, with what they should be.
pub(super) fn table(figures: &[Figure]) -> String {
    let mut text = String::new();
    for figure in figures {
        let Figure { of, name, value, unit, .. } = figure;
        let aim = match figure.aim {
            Some(Aim::AtLeast(least)) => format!("at least {least}"),
            Some(Aim::AtMost(most)) => format!("at most {most}"),
            None => String::new(),
        };
        let verdict = figure.is_met().map_or("", |met| if met { "PASS" } else { "MISS" });
        let line = format!("{of:<12} {name:<18} {value:>9.1} {unit:<7} {aim:<13} {verdict}");
        // Writing into a text cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(cpu: f64) -> Used {
        serde_json::from_value(serde_json::json!({"wall": cpu, "cpu": cpu, "code": 0})).unwrap()
    }

    #[test]
    fn ratios_are_taken_run_by_run_and_judged() {
        let run = |makejinja, render| Sample {
            makejinja: used(makejinja),
            render: vec![used(render), used(9.0), used(render)],
            first: used(0.2),
            unchanged: used(0.2),
        };
        let figures = of("small", &[run(1.0, 0.02), run(2.0, 0.04), run(1.0, 0.05)]);
        let verdicts: Vec<_> = figures.iter().filter_map(Figure::is_met).collect();
        assert_eq!(verdicts, [true, true, true, false], "{}", table(&figures));
        assert!(
            table(&figures)
                .contains("small          less by               50.0 times   at least 40   PASS\n")
        );
    }

    #[test]
    fn what_was_not_measured_meets_no_aim() {
        assert_eq!(large(10, &[]).is_met(), Some(false));
        assert_eq!(large(10, &[used(5.0)]).is_met(), Some(true));
    }
}
