//! What is measured, and which ratio to nginx is aimed at. The aims are the project's; nothing here measures.

use serde::Serialize;

use super::wire::{Era, Work};

/// How hard the load presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Press {
    /// So many connections, each as fast as it goes.
    Connections(u16),
    /// So many requests a second over 16 connections.
    Rate(u32),
}

impl Press {
    /// As it stands in case names.
    fn name(self) -> String {
        match self {
            Self::Connections(count) => count.to_string(),
            Self::Rate(rate) => format!("{rate}ps"),
        }
    }

    /// Connections and rate.
    pub(crate) fn shape(self) -> (u16, Option<u32>) {
        match self {
            Self::Connections(count) => (count, None),
            Self::Rate(rate) => (16, Some(rate)),
        }
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// The upstream itself.
    Direct,
    /// nginx before it.
    Nginx,
    /// The gateway, with an upstream of this era behind it.
    Gateway(Era),
    /// The first of two replicas, which owns the sessions, with a legacy upstream behind it.
    Owner,
    /// The second of them, which passes everything on to the first.
    Hop,
    /// A gateway with many modern servers, at the address of one of them.
    One,
    /// The same at the address of all of them.
    All,
}

/// One form of load, and all targets that are measured with it side by side.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// What is asked for.
    pub(crate) work: Work,
    /// How hard.
    pub(crate) press: Press,
    /// What the client speaks.
    pub(crate) client: Era,
    /// Who answers, in the order of the table.
    pub(crate) targets: Vec<Target>,
}

impl Group {
    /// The name of one measurement, which `--case` is matched with for the gateway.
    pub(crate) fn name(&self, target: Target) -> String {
        let base = format!("{}/{}/{}", self.work.name(), self.press.name(), self.client.name());
        match target {
            Target::Direct => format!("{base} direct"),
            Target::Nginx => format!("{base} nginx"),
            Target::Gateway(server) => format!("{base}-{}", server.name()),
            Target::Owner => format!("hop/{}/{} owner", self.press.name(), self.client.name()),
            Target::Hop => format!("hop/{}/{}-legacy", self.press.name(), self.client.name()),
            Target::One => format!("all/{base} one"),
            Target::All => format!("all/{base}-modern"),
        }
    }

    /// Who the others are compared with: nginx, or for what only a gateway does, the gateway without it.
    pub(crate) fn yardstick(&self) -> Target {
        match self.targets.first() {
            Some(Target::Owner) => Target::Owner,
            Some(Target::One) => Target::One,
            _ => Target::Nginx,
        }
    }

    /// The ratio of CPU time to nginx that the gateway should not exceed, where one is set. Aims of the
    /// design: a list makes no upstream trip, a large answer should cost what copying costs, and at low load
    /// what counts is wake-ups.
    pub(crate) fn aim(&self, server: Era) -> Option<f64> {
        match (self.work, self.press) {
            (Work::Progress | Work::Ask, _) => None,
            (Work::List, _) => Some(1.0),
            (_, Press::Connections(1) | Press::Rate(_)) => Some(1.3),
            (Work::Big, _) => Some(1.2),
            (Work::Small, Press::Connections(16)) => Some(if self.client == server { 1.5 } else { 2.5 }),
            (Work::Small, Press::Connections(_)) => None,
        }
    }
}

/// The ratio of CPU time to the address of one server that a call at the address of all should not exceed.
pub(crate) const ALL_AIM: f64 = 1.1;

/// All groups with a gateway case that the pattern matches, with those cases and both yardsticks.
pub(crate) fn groups(pattern: &regex_lite::Regex) -> Vec<Group> {
    let all = [Press::Connections(16), Press::Connections(1), Press::Connections(64), Press::Rate(500)];
    let few = &all[..2];
    let mut groups = Vec::new();
    let works = [
        (Work::Small, &all[..]),
        (Work::List, &all),
        (Work::Big, &all),
        (Work::Progress, few),
        (Work::Ask, few),
    ];
    for (work, presses) in works {
        for press in presses.iter().copied() {
            for client in [Era::Modern, Era::Legacy] {
                let mut group = Group { work, press, client, targets: vec![Target::Direct, Target::Nginx] };
                let servers = [Era::Modern, Era::Legacy].map(Target::Gateway);
                let wanted = servers.into_iter().filter(|target| pattern.is_match(&group.name(*target)));
                let wanted: Vec<Target> = wanted.collect();
                if !wanted.is_empty() {
                    group.targets.extend(wanted);
                    groups.push(group);
                }
            }
        }
    }
    let hops = few.iter().map(|press| Group {
        work: Work::Small,
        press: *press,
        client: Era::Legacy,
        targets: vec![Target::Owner, Target::Hop],
    });
    groups.extend(hops.filter(|group| pattern.is_match(&group.name(Target::Hop))));
    let crowds = [Work::Small, Work::List].into_iter().flat_map(|work| {
        let clients = [Era::Modern, Era::Legacy];
        let group = move |client, press| {
            let targets = vec![Target::One, Target::All];
            Group { work, press, client, targets }
        };
        few.iter().flat_map(move |press| clients.map(|client| group(client, *press)))
    });
    groups.extend(crowds.filter(|group| pattern.is_match(&group.name(Target::All))));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_selects_gateway_cases_and_keeps_their_yardsticks() {
        let table = [
            ("", 42, 148),
            ("^small/16/", 2, 8),
            ("^all/small/", 4, 8),
            ("^hop/", 2, 4),
            ("ask/.*/modern-legacy", 2, 6),
            ("^list/1/legacy-modern", 1, 3),
            ("nothing", 0, 0),
        ];
        for (pattern, expected_groups, expected_targets) in table {
            let found = groups(&regex_lite::Regex::new(pattern).unwrap());
            assert_eq!(found.len(), expected_groups, "{pattern}");
            assert_eq!(
                found.iter().map(|group| group.targets.len()).sum::<usize>(),
                expected_targets,
                "{pattern}"
            );
        }
    }

    #[test]
    fn aims_are_those_of_the_design() {
        let table = [
            (Work::Small, Press::Connections(16), Era::Modern, Some(1.5)),
            (Work::Small, Press::Connections(16), Era::Legacy, Some(2.5)),
            (Work::Small, Press::Connections(1), Era::Legacy, Some(1.3)),
            (Work::Small, Press::Rate(500), Era::Modern, Some(1.3)),
            (Work::Small, Press::Connections(64), Era::Modern, None),
            (Work::List, Press::Connections(64), Era::Legacy, Some(1.0)),
            (Work::Big, Press::Connections(16), Era::Modern, Some(1.2)),
        ];
        for (work, press, server, expected) in table {
            let group = Group { work, press, client: Era::Modern, targets: Vec::new() };
            assert_eq!(group.aim(server), expected, "{work:?} {press:?} {server:?}");
        }
    }
}
