//! The parts of the proofs that can be wrong without anybody noticing: the draw, the reading of results, the verdict.

use std::collections::BTreeMap;

use super::draw::Draw;
use super::mutants::{Fate, Mutant, fates, patterns, reasons, report};
#[cfg(unix)]
use super::newcomer::commands;

fn mutant(name: &str) -> Mutant {
    serde_json::from_value(serde_json::json!({ "name": name, "package": "portreeve-mcp" })).unwrap()
}

#[test]
fn the_generator_is_the_published_one() {
    let mut draw = Draw::new(1_234_567);
    let known = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
    assert_eq!([draw.next(), draw.next(), draw.next()], known);
}

#[test]
fn a_draw_repeats_from_its_seed_and_takes_nothing_twice() {
    let draw = |seed| Draw::new(seed).sample((0..1000).collect::<Vec<u32>>(), 200);
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    let mut sorted = draw(7);
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 200);
    assert_eq!(Draw::new(7).sample(vec![1, 2, 3], 200).len(), 3);
}

#[test]
fn names_last_when_lines_move_and_match_only_themselves() {
    let name = "crates/mcp/src/json.rs:12:5: replace Text::len -> usize with 0";
    assert_eq!(mutant(name).lasting_name(), "crates/mcp/src/json.rs: replace Text::len -> usize with 0");
    let pattern = regex_lite::Regex::new(&patterns(&[mutant(name)])[0]).unwrap();
    assert!(pattern.is_match(name));
    assert!(!pattern.is_match(&name.replace("json.rs", "jsonXrs")));
    assert!(!pattern.is_match(&format!("{name}1")));
}

#[test]
fn every_fate_is_read_and_a_new_one_is_an_error() {
    let one = |name: &str, summary: &str| serde_json::json!({ "scenario": { "Mutant": { "name": name } }, "summary": summary });
    let text = |all: Vec<serde_json::Value>| serde_json::json!({ "outcomes": all }).to_string();
    let baseline = serde_json::json!({ "scenario": "Baseline", "summary": "Success" });
    let read = fates(&text(vec![
        baseline,
        one("a", "CaughtMutant"),
        one("b", "MissedMutant"),
        one("c", "Timeout"),
        one("d", "Unviable"),
    ]));
    let expected = [("a", Fate::Caught), ("b", Fate::Missed), ("c", Fate::Timeout), ("d", Fate::Unviable)];
    assert_eq!(read.unwrap(), expected.map(|(name, fate)| (name.to_owned(), fate)).into());
    assert!(fates(&text(vec![one("e", "Failure")])).is_err());
}

#[test]
fn a_survivor_needs_a_reason_and_company() {
    let drawn: Vec<Mutant> = (0..40).map(|n| mutant(&format!("f.rs:{n}:1: change {n}"))).collect();
    let with = |survivors: usize| -> BTreeMap<String, Fate> {
        let fate = |n| if n < survivors { Fate::Missed } else { Fate::Caught };
        drawn.iter().enumerate().map(|(n, mutant)| (mutant.name.clone(), fate(n))).collect()
    };
    let known = reasons(
        "[[survivor]]\nmutant = 'f.rs: change 0'\nreason = 'equal'\n[[survivor]]\nmutant = 'f.rs: change 1'\nreason = 'equal'\n\
         [[survivor]]\nmutant = 'f.rs: change 2'\nreason = 'equal'\n",
    )
    .unwrap();
    assert!(report(&drawn, &with(2), &known).is_ok(), "2 of 40 with reasons");
    assert!(report(&drawn, &with(2), &BTreeMap::new()).is_err(), "without");
    assert!(report(&drawn, &with(3), &known).is_err(), "more than one in twenty");
    assert!(reasons("[[survivor]]\nmutant = 'x'\nreason = ' '\n").is_err(), "a reason is words");
}

#[cfg(unix)]
#[test]
fn a_page_is_typed_line_by_line_and_here_documents_stay_whole() {
    let page = "# A\n```sh\nmake serve\n\ntool call x   # says y\n```\n```yaml\na: b\n```\n```sh\n# only a remark\n\
                server --port 1 &      # stays\ncat > f <<'EOF'\na: 1\n\n# b\nEOF\nlast\n```\n";
    let read: Vec<(String, bool)> =
        commands(page).into_iter().map(|typed| (typed.text, typed.stays)).collect();
    let expected = [
        ("make serve", true),
        ("tool call x   # says y", false),
        ("server --port 1 &      # stays", true),
        ("cat > f <<'EOF'\na: 1\n\n# b\nEOF", false),
        ("last", false),
    ];
    assert_eq!(read, expected.map(|(text, stays)| (text.to_owned(), stays)));
}
