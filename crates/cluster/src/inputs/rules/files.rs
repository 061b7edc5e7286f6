//! The files beside the settings: keys and tokens. Nothing of what they hold is shown, and no line of them is.

use super::{Given, Problem};
use crate::inputs::{
    Scope,
    files::Files,
    problem::{File, Place},
};
use portreeve_sops::Keys;
use portreeve_yaml::Data;

const TUNNEL: [&str; 3] = ["AccountTag", "TunnelID", "TunnelSecret"];

pub(in super::super) fn check(files: &Files, scope: Scope, given: &Given, problems: &mut Vec<Problem>) {
    if scope == Scope::All {
        age(files, problems);
    }
    if given.text("exposure") == Some("cloudflare_tunnel") {
        tunnel(files, problems);
    }
    if given.text("repository_visibility") == Some("private") {
        let mend = "make one with `portreeve cluster init`, and give its public half, which it prints, to the repository";
        let why = "the repository is private, and Flux opens it with this key";
        let armored =
            |text: &str| text.trim_start().starts_with("-----BEGIN ") && text.contains("PRIVATE KEY-----");
        file(files, File::DeployKey, why, mend, armored, problems);
    }
    if given.on("flux_webhook_enabled") {
        let mend = "put a random text into it: `openssl rand -hex 16`; or set `flux_webhook_enabled: false`";
        let one_line = |text: &str| !text.trim().is_empty() && !text.trim().contains(char::is_whitespace);
        file(files, File::PushToken, "pushes are told to Flux with this token", mend, one_line, problems);
    }
}

/// A file that is there and of its form.
fn file(
    files: &Files,
    file: File,
    why: &str,
    mend: &str,
    good: fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) {
    let what = match files.get(file) {
        None => format!("`{}` is missing: {why}", file.name()),
        Some(text) if !good(text.text.expose()) => format!("`{}` is not of its form: {why}", file.name()),
        Some(_) => return,
    };
    problems.push(Problem::error("V-25", Place::whole(file), "", what).mend(mend));
}

fn age(files: &Files, problems: &mut Vec<Problem>) {
    let place = Place::whole(File::Age);
    let Some(key) = files.get(File::Age) else {
        let problem = Problem::error("V-25", place, "", "`age.key` is missing: secrets are encrypted for it");
        problems.push(problem.mend(
            "make one with `portreeve cluster init`, and keep a copy: without it no secret can be read again; or name one with SOPS_AGE_KEY_FILE",
        ));
        return;
    };
    let text = key.text.expose();
    if text.contains("age1pq1") || text.contains("AGE-SECRET-KEY-PQ-") {
        let problem =
            Problem::error("V-26", place, "", "this is a post-quantum key, which cannot be used yet");
        problems.push(problem.mend("make an ordinary one: `age-keygen -o age.key`, without `-pq`"));
    } else if let Err(error) = Keys::parse(text) {
        let problem = Problem::error("V-25", place, "", format!("`age.key` cannot be used: {error}"));
        problems.push(
            problem.mend("restore it from your copy; a new one cannot read the secrets that are there"),
        );
    }
    if let Some(mode) = key.mode.filter(|mode| mode & 0o077 != 0) {
        let what = format!("others on this machine can read the key to all secrets (mode {mode:04o})");
        problems.push(Problem::warning("V-26", place, "", what).mend("chmod 600 age.key"));
    }
}

fn tunnel(files: &Files, problems: &mut Vec<Problem>) {
    let place = Place::whole(File::Tunnel);
    let again = "get it again: `cloudflared tunnel create --credentials-file cloudflare-tunnel.json NAME`";
    let Some(text) = files.get(File::Tunnel) else {
        let problem = Problem::error(
            "V-25",
            place,
            "",
            "`cloudflare-tunnel.json` is missing: the tunnel is opened with it",
        );
        problems
            .push(problem.mend(format!("{again}; without a tunnel set `exposure: direct` or `internal`")));
        return;
    };
    // JSON is YAML, and places come with it.
    let tree = portreeve_yaml::parse(text.text.expose());
    let Ok(Data::Map(entries)) = tree.map(|tree| tree.data) else {
        problems.push(
            Problem::error("V-25", place, "", "`cloudflare-tunnel.json` is not a JSON object").mend(again),
        );
        return;
    };
    for key in TUNNEL {
        let found = entries.iter().find(|entry| entry.key == key);
        let good = found.is_some_and(
            |entry| matches!(&entry.value.data, Data::Scalar(scalar) if !scalar.text.is_empty()),
        );
        if !good {
            let place =
                found.map_or(place, |entry| Place { file: File::Tunnel, mark: entry.mark, length: 0 });
            problems.push(
                Problem::error("V-25", place, key, format!("`{key}` is missing in `cloudflare-tunnel.json`"))
                    .mend(again),
            );
        }
    }
}
