//! The table holds together: names, conditions, forms, defaults.

use crate::{
    inputs::table::{self, DERIVED, Default, FOREIGN, Form, GROUPS, If, Kind, NODE, Need, Phase, Var},
    values,
};
use regex::Regex;
use std::collections::BTreeSet;

#[test]
fn a_name_is_there_once_and_is_one_thing() {
    let mut seen = BTreeSet::new();
    let names = table::all()
        .map(|var| var.name)
        .chain(DERIVED.iter().map(|(name, _)| *name))
        .chain(FOREIGN.iter().copied());
    for name in names {
        assert!(seen.insert(name), "{name} is there twice");
    }
    assert!(FOREIGN.is_sorted());
}

#[test]
fn settings_are_counted_by_phase() {
    let count = |phase: Phase| {
        let groups = GROUPS.iter().filter(|group| group.phase == phase);
        groups.flat_map(|group| group.vars).filter(|var| !matches!(var.kind, Kind::Alias(_))).count()
    };
    assert_eq!((count(Phase::One), count(Phase::Two), count(Phase::Later)), (42, 201, 179));
}

fn names(condition: &If) -> Vec<&'static str> {
    match condition {
        If::On(name) | If::Given(name) | If::Is(name, _) => vec![name],
        If::All(all) => all.iter().flat_map(names).collect(),
    }
}

#[test]
fn conditions_and_other_spellings_name_settings() {
    for var in table::all() {
        if let Need::When(conditions) | Need::Unless(conditions) = var.need {
            for name in conditions.iter().flat_map(names) {
                assert!(table::find(name).is_some(), "{} asks for {name}", var.name);
            }
        }
        if let Kind::Alias(meant) = var.kind {
            let (meant, _) = table::find(meant).unwrap();
            assert!(!matches!(meant.kind, Kind::Alias(_)), "{} spells another spelling", var.name);
        }
    }
}

#[test]
fn what_is_computed_is_derived_and_what_is_derived_is_known() {
    let derived: BTreeSet<&str> = values::DERIVED.iter().map(|derived| derived.name).collect();
    let computed = table::all().filter(|var| matches!(var.default, Default::Computed(_))).map(|var| var.name);
    let mut expected: BTreeSet<&str> = computed.chain(DERIVED.iter().map(|(name, _)| *name)).collect();
    // One of the two spellings is always given.
    expected.remove("cloudflare_domains");
    assert_eq!(derived, expected);
    for from in values::DERIVED.iter().flat_map(|derived| derived.from) {
        let known = *from == "nodes" || table::find(from).is_some() || derived.contains(from);
        assert!(known, "{from}");
    }
}

fn forms(kind: Kind, out: &mut Vec<&'static Form>) {
    match kind {
        Kind::Form(form) | Kind::SecretForm(form) => out.push(form),
        Kind::List(inner, _) | Kind::OneOrList(inner) => forms(*inner, out),
        Kind::Fields(vars) => vars.iter().for_each(|var| forms(var.kind, out)),
        _ => {}
    }
}

#[test]
fn every_form_can_be_tried_and_takes_its_example() {
    let mut all = Vec::new();
    table::all().chain(NODE).for_each(|var| forms(var.kind, &mut all));
    assert!(all.len() > 100);
    for form in all {
        let pattern = Regex::new(form.pattern).unwrap();
        let example = form.example;
        if !example.is_empty() && !example.contains(['`', '…']) {
            assert!(pattern.is_match(example), "{example} is not {}", form.called);
        }
    }
}

#[test]
fn defaults_are_of_their_kind_and_meanings_are_phrases() {
    let fits = |var: &Var| match (var.default, table::kind(var)) {
        (Default::Int(number), Kind::Int(least, most) | Kind::Digits(least, most)) => {
            (least..=most).contains(&number)
        }
        (Default::Text(text), Kind::Form(form)) => Regex::new(form.pattern).unwrap().is_match(text),
        (Default::Text(text), Kind::Choice(words)) => words.contains(&text),
        (Default::None | Default::Computed(_), _)
        | (Default::Flag(_), Kind::Flag)
        | (Default::Text(_), Kind::Text | Kind::MayBeEmpty | Kind::Cidr | Kind::Fraction) => true,
        (Default::Texts(texts), Kind::List(_, least)) => texts.len() >= least,
        _ => false,
    };
    for var in table::all().chain(NODE) {
        assert!(fits(var), "the default of {}", var.name);
        assert!(!var.doc.is_empty() && !var.doc.ends_with('.'), "the meaning of {}", var.name);
    }
}
