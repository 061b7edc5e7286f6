//! `telemetry`: where traces go, and how many.

use super::{
    gate::{UrlUse, http_url},
    reader::{At, Bounds, Reader},
    secure,
    table::TELEMETRY,
    types::{Outbound, Telemetry},
};
use http::{HeaderName, HeaderValue};
use portreeve_model::Secret;

const COLLECTOR: UrlUse = UrlUse {
    example: "write it like http://collector:4318",
    login: "write `headers: {Authorization: \"${env:…}\"}`",
};
const SAMPLE: Bounds<u64> = Bounds { least: 0, most: 100, why: "a share, in percent" };

/// Reads `telemetry`.
pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>, outbound: &Outbound) -> Option<Telemetry> {
    let table = reader.table(at, &TELEMETRY)?;
    let sample = table.get("sample").and_then(|at| reader.number(&at, &SAMPLE)).unwrap_or(SAMPLE.most);
    let headers = table.get("headers").map(|at| headers(reader, &at)).unwrap_or_default();
    let Some(otlp) = table.get("otlp") else {
        if !table.misspelt("otlp") {
            let mend = "write `telemetry: {otlp: \"http://collector:4318\"}`".to_owned();
            reader.problem(at, "`otlp` is missing", Some(mend));
        }
        return None;
    };
    let text = reader.text(&otlp)?;
    let otlp = http_url(reader, &otlp, &text, &COLLECTOR)?;
    let way = secure::way(reader, &table, outbound, &otlp);
    Some(Telemetry { otlp, sample: u8::try_from(sample).unwrap_or(100), headers, way })
}

fn headers(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<(String, Secret<String>)> {
    let Some(table) = reader.free_table(at) else { return Vec::new() };
    let mut headers = Vec::new();
    for (name, mark, value) in table.iter() {
        if name.parse::<HeaderName>().is_err() {
            reader.problem_at(mark, &value.path, format!("`{name}` is no name of a header"), None);
            continue;
        }
        match reader.any_text(&value) {
            Some(text) if HeaderValue::from_str(&text).is_err() => {
                let mend = Some("remove line ends and control characters".to_owned());
                reader.problem(&value, "a header value is one line of visible characters", mend);
            }
            text => headers.extend(text.map(|text| (name.to_owned(), Secret::new(text)))),
        }
    }
    headers
}
