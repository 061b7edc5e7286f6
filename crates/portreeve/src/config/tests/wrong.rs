//! Wrong files and exactly what a person is told about each, case by case in `wrong/*.txt`: the file, a line `====`,
//! what is said, a line `----`. The file is called `f.yaml`; references are answered from the table of the tests.

use super::{super::parse, table};

const CASES: &[(&str, &str)] = &[
    ("form", include_str!("wrong/form.txt")),
    ("keys", include_str!("wrong/keys.txt")),
    ("values", include_str!("wrong/values.txt")),
    ("references", include_str!("wrong/references.txt")),
    ("addresses", include_str!("wrong/addresses.txt")),
    ("servers", include_str!("wrong/servers.txt")),
    ("secure", include_str!("wrong/secure.txt")),
    ("callers", include_str!("wrong/callers.txt")),
];

fn said(file: &str) -> String {
    match parse(file, "f.yaml", &table()) {
        Ok((config, _)) => panic!("{file}\nis taken for good: {config:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    }
}

#[test]
fn a_wrong_file_is_told_what_is_wrong_where_and_how_to_mend_it() {
    let mut cases = 0;
    let mut different = Vec::new();
    for (group, text) in CASES {
        for case in text.split_terminator("\n----\n") {
            let (file, expected) = case.split_once("\n====\n").unwrap_or_else(|| panic!("{group}: {case}"));
            let said = said(file);
            if said != expected {
                different.push(format!("{group}:\n{file}\n==== expected\n{expected}\n==== said\n{said}"));
            }
            cases += 1;
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
    assert!(cases >= 40, "only {cases} cases were read");
}
