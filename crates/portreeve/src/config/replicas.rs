//! `replicas`: several processes behind one address. Read and checked here; whether the coordinator answers is found out
//! when the gate runs, which starts without it.

use super::{
    gate::{UrlUse, address, http_url},
    reader::{At, Reader, Table},
    table::REPLICAS,
    types::Replicas,
};
use portreeve_model::Secret;

const ADVERTISE: UrlUse = UrlUse {
    example: "write it like http://10.0.0.7:8486: where the other replicas reach this one",
    login: "remove what stands before the `@`",
};

/// Reads the section. `sealed`: the file has seal keys.
pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>, sealed: bool) -> Option<Replicas> {
    let table = reader.table(at, &REPLICAS)?;
    let Some(listen) = table.get("listen") else {
        let mend = "write `replicas: {listen: 0.0.0.0:8486, advertise: \"http://${env:POD_IP}:8486\"}`";
        reader.problem(at, "`listen` is missing", Some(mend.to_owned()));
        return None;
    };
    let address = address(reader, &listen)?;
    let advertise = match table.get("advertise") {
        Some(at) => Some(advertise(reader, &at)?),
        None if address.ip().is_unspecified() => {
            let what = "`advertise` is missing: no other replica can reach an address like this one";
            reader.problem(&listen, what, Some(ADVERTISE.example.to_owned()));
            return None;
        }
        None => None,
    };
    if !sealed {
        let what = "there are no `seal.keys`";
        let mend = "give all replicas the same `seal.keys`, or one data directory";
        reader.warn(at, what, Some(mend.to_owned()));
    }
    Some(Replicas { listen: address, advertise, coordinator: coordinator(reader, &table) })
}

fn advertise(reader: &mut Reader<'_>, at: &At<'_>) -> Option<String> {
    let text = reader.text(at)?;
    let uri = http_url(reader, at, &text, &ADVERTISE)?;
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        let what = format!("{} has a path or a query", at.shown());
        reader.problem(at, what, Some(ADVERTISE.example.to_owned()));
        return None;
    }
    Some(text.trim_end_matches('/').to_owned())
}

/// The address of a Redis or Valkey server. It may hold a password, so it is a secret and never shown.
fn coordinator(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<Secret<String>> {
    let at = table.get("coordinator")?;
    let text = reader.text(&at)?;
    // Only an address with a password is a secret that does not belong into the file.
    let url = if text.contains('@') { reader.secret(&at)? } else { Secret::new(text) };
    let scheme = url.expose().split_once("://").map(|(scheme, _)| scheme.to_owned());
    if matches!(scheme.as_deref(), Some("redis" | "rediss")) {
        return Some(url);
    }
    let what = "the coordinator is not a Redis or Valkey address";
    reader.problem(&at, what, Some("write it like redis://:PASSWORD@HOST:6379/0".to_owned()));
    None
}
