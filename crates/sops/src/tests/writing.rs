//! What is written: the real program reads it to the same values, the text around the values stays as it was, and what did not
//! change keeps its bytes.

use super::support::{data_only, everything, flat, own_key, random, real_sops, seal_with};
use crate::{CreationRules, Error, Format, Keys, Previous, Recipient, Rule, Seal, open, seal};
use std::{io::Write, path::Path, process::Command};

/// Everything that a Secret may hold and careless writers break.
const SECRET: &str = r##"# for the database
apiVersion: v1
kind: Secret
metadata:
  name: app # the name stays readable
  labels: {a: "b", c: d}
type: Opaque
stringData:
  # this comment would tell too much
  plain: word
  quoted: "with \"quotes\", \\ and \t tabs" # so would this one
  single: 'it''s # not a comment'
  empty: ""
  unicode: "é 日本 🦀"
  block: |
    first line

      indented
    # not a comment
  folded: >-
    one
    two
  keep: |+
    kept

  multi: plain over
    two lines
  flow: [a, "b, c", {d: e}]
  marks: '${X} #{ $$ %} {{ }}'
  number: "0777"
  colon: "a: b"
  dash: "- x"
  tilde: "~"
  # the last one in the block
data:
    nested:
        deep: value
# at the end
"##;

const SCALARS: &str = "int: 42\nneg: -7\nhex: 0x1F\noct: 0o17\nold: 010\nfloat: 1.50\nexp: 1e3\nyes: true\nnothing: ~\nbig: 9007199254740993\ndate: 2026-01-02\ntime: 2026-01-02T03:04:05Z\nspaced: 2026-01-02 03:04:05\nempty: \"\"\nlist:\n- 1\n-   a: b\n    c: [1, x]\ntext: '5'\n";

fn files() -> Vec<(&'static str, String, Rule)> {
    let multi = format!(
        "{SECRET}---\n{}---\n# only a comment\nkind: Secret\nstringData: {{a: b}}\n...\n",
        "kind: ConfigMap\ndata:\n  k: v\n"
    );
    vec![
        ("secret, whole", SECRET.to_owned(), everything()),
        ("secret, data only", SECRET.to_owned(), data_only()),
        ("secret, no end of line", SECRET.trim_end().to_owned(), data_only()),
        ("scalars", SCALARS.to_owned(), everything()),
        ("documents", multi, data_only()),
    ]
}

#[test]
fn the_real_program_reads_what_is_written() {
    let Some(program) = real_sops() else { return };
    for (name, text, rule) in files() {
        let (private, recipient) = crate::generate();
        let sealed = seal_with(&text, &rule, &[recipient]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let decrypted = run_sops(&program, private.expose(), &sealed);
        // Its output is read by the same rules as our input.
        assert_eq!(
            super::support::plain(&decrypted, Format::Yaml),
            super::support::plain(&text, Format::Yaml),
            "{name}"
        );
    }
}

fn run_sops(program: &Path, key: &str, text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file.sops.yaml");
    std::fs::write(&file, text).unwrap();
    let mut key_file = std::fs::File::create(directory.path().join("age.key")).unwrap();
    key_file.write_all(key.as_bytes()).unwrap();
    let output = Command::new(program)
        .args(["decrypt", "file.sops.yaml"])
        .current_dir(&directory)
        .env("SOPS_AGE_KEY_FILE", directory.path().join("age.key"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_written_is_read_again_to_the_same_values() {
    for (name, text, rule) in files() {
        let (keys, recipients) = own_key();
        let sealed = seal_with(&text, &rule, &recipients).unwrap();
        let opened = open(&sealed, Format::Yaml, &keys).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(flat(&opened.documents), super::support::plain(&text, Format::Yaml), "{name}");
        assert_eq!(*opened.rule(), rule, "{name}");
        assert_eq!(opened.recipients().collect::<Vec<_>>(), [recipients[0].to_string()]);
    }
}

#[test]
fn only_what_the_rule_names_changes_in_the_text() {
    let sealed = seal_with(SECRET, &data_only(), &own_key().1).unwrap();
    let readable: Vec<&str> = sealed
        .lines()
        .take_while(|line| *line != "sops:")
        .map(|line| line.split_once("ENC[").map_or(line, |(before, _)| before))
        .collect();
    let expected = [
        "# for the database",
        "apiVersion: v1",
        "kind: Secret",
        "metadata:",
        "  name: app # the name stays readable",
        "  labels: {a: \"b\", c: d}",
        "type: Opaque",
        "stringData:",
        "  #",
        "  plain: ",
        "  quoted: ",
        "  single: ",
        "  empty: \"\"",
        "  unicode: ",
        "  block: ",
        "  folded: ",
        "  keep: ",
        "",
        "  multi: ",
        "  flow: [\"",
        "  marks: ",
        "  number: ",
        "  colon: ",
        "  dash: ",
        "  tilde: ",
        "  #",
        "data:",
        "    nested:",
        "        deep: ",
        "# at the end",
    ];
    assert_eq!(readable, expected);
    for secret in
        ["word", "tell too much", "so would", "not a comment", "first line", "the last one", "two lines"]
    {
        assert!(!sealed.contains(secret), "{secret}");
    }
}

#[test]
fn the_same_text_gives_the_same_bytes_and_a_change_only_its_own() {
    let (keys, recipients) = own_key();
    let rule = data_only();
    let first = seal_with(SECRET, &rule, &recipients).unwrap();
    let again = |text: &str, before: &str| {
        let mut how =
            Seal { rule: &rule, recipients: &recipients, now: "2027-01-01T00:00:00Z", random: &mut random };
        seal(text, &mut how, Some(Previous { text: before, keys: &keys })).unwrap()
    };
    assert_eq!(again(SECRET, &first), first);
    let changed = again(&SECRET.replace("plain: word", "plain: another"), &first);
    let differing: Vec<&str> = first
        .lines()
        .zip(changed.lines())
        .filter(|(old, new)| old != new)
        .map(|(old, _)| old.trim())
        .collect();
    let starts: Vec<&str> = differing.iter().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(starts, ["plain", "lastmodified", "mac"]);
    let layout = again(&SECRET.replace("type: Opaque", "type: Opaque # as ever"), &first);
    assert_eq!(layout, first.replace("type: Opaque", "type: Opaque # as ever"), "the values are the same");
    assert_eq!(again(SECRET, &changed).lines().count(), first.lines().count());
}

#[test]
fn other_recipients_need_a_rotation() {
    let (keys, recipients) = own_key();
    let rule = data_only();
    let first = seal_with(SECRET, &rule, &recipients).unwrap();
    let other = own_key().1;
    let mut how = Seal { rule: &rule, recipients: &other, now: "2027-01-01T00:00:00Z", random: &mut random };
    let refused = seal(SECRET, &mut how, Some(Previous { text: &first, keys: &keys })).unwrap_err();
    assert!(matches!(refused, Error::Recipients { .. }), "{refused}");
}

#[test]
fn what_cannot_be_written_is_refused_by_name() {
    let recipients = own_key().1;
    let sealed = seal_with("a: b\n", &everything(), &recipients).unwrap();
    for (text, expected) in [
        ("- a\n", "line 1: a document has to be a map in block style"),
        ("{a: b}\n", "line 1: a document has to be a map in block style"),
        ("", "line 1: there is no document to encrypt"),
        (
            "a: &x b\nc: *x\n",
            "line 1: a value with an anchor, an alias or a tag cannot be encrypted; write it out",
        ),
        ("a: !mine b\n", "line 1: tags of one's own have no meaning in such files"),
        ("a: 1\nb:\n  5: x\n", "line 3: the key `5` is no text; put it in quotes"),
        ("a: 1\na: 2\n", "line 2: the key `a` stands here a second time"),
        (
            "  a: b\n",
            "line 1: this layout cannot be encrypted in place: begin the outermost keys at the start of their lines, and write values on lines of their own",
        ),
        (
            "a: secre{\nc:\n# d: xy:\"  # z\r comment\nf: {g: \"\"}\n",
            "line 1: this layout cannot be encrypted in place: begin the outermost keys at the start of their lines, and write values on lines of their own",
        ),
        ("a: b\nsops: {}\n", "the `sops` block is there already: the text is encrypted"),
        (
            sealed.split("sops:").next().unwrap(),
            "line 1: there is an encrypted value in a text that is to be encrypted",
        ),
    ] {
        assert_eq!(seal_with(text, &everything(), &recipients).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn rules_are_found_by_path_in_their_order() {
    let recipient = &own_key().1[0];
    let text = format!(
        "creation_rules:\n  - path_regex: talos/.*\\.sops\\.ya?ml\n    mac_only_encrypted: true\n    age: {recipient}\n  - path_regex: (bootstrap|kubernetes)/.*\\.sops\\.ya?ml\n    encrypted_regex: ^(data|stringData)$\n    mac_only_encrypted: true\n    age:\n      - {recipient}\n"
    );
    let rules = CreationRules::parse(&text).unwrap();
    let rule = |path: &str| rules.find(path).map(|found| found.rule.clone());
    assert_eq!(rule("talos/talsecret.sops.yaml").map(|rule| rule.selector), Some(everything().selector));
    assert_eq!(rule("kubernetes/apps/a/secret.sops.yml"), Some(data_only()));
    assert_eq!(rule("kubernetes/apps/a/secret.yaml"), None);
    assert_eq!(rules.find("talos/a.sops.yaml").unwrap().recipients.iter().collect::<Vec<_>>(), [recipient]);
    for (wrong, expected) in [
        ("creation_rules:\n- path_regex: a\n", "the `sops` block of a creation rule names no age recipient"),
        (
            "creation_rules:\n- pgp: ABC\n",
            "the data key is wrapped with pgp; only age recipients in one group are understood",
        ),
        ("{}\n", "line 1: a document has to be a map in block style"),
        ("a: b\n", "line 1: there are no `creation_rules`"),
    ] {
        assert_eq!(CreationRules::parse(wrong).unwrap_err().to_string(), expected);
    }
}

#[test]
fn keys_are_read_and_never_shown() {
    let (private, recipient) = crate::generate();
    let text = private.expose();
    assert!(
        text.starts_with(&format!("# public key: {recipient}\nAGE-SECRET-KEY-1")),
        "the form of age-keygen"
    );
    let keys = Keys::parse(text).unwrap();
    assert_eq!(keys.recipients().iter().collect::<Vec<_>>(), [&recipient]);
    assert_eq!(format!("{keys:?}"), format!("[{recipient:?}]"));
    let pasted = text.lines().nth(1).unwrap();
    let refused = pasted.parse::<Recipient>().unwrap_err().to_string();
    assert_eq!(refused, "a private age key stands where a public one belongs");
    let broken = Keys::parse(&format!("# x\n{}", &pasted[..40])).unwrap_err().to_string();
    assert_eq!(broken, "line 2 of the key file is no age key; one begins with AGE-SECRET-KEY-1");
    assert_eq!(Keys::parse("# nothing\n").unwrap_err().to_string(), "the key file has no age key in it");
}
