//! Argument completion: a prefix of a known value, for prompts and template variables (spec: server/utilities/completion).
//! The cities of a trip depend on the country that is already chosen.

use super::{prompts, resources};
use portreeve_mcp::{Code, RpcError};
use serde_json::{Value, json};

/// The most values that an answer may hold.
const MOST: usize = 100;

/// Answers `completion/complete`.
pub(super) fn complete(params: &Value, extra_prompt: bool) -> Result<Value, RpcError> {
    let bad = |message: &str| RpcError::new(Code::INVALID_PARAMS, message);
    let argument = params["argument"]["name"].as_str().ok_or_else(|| bad("`argument.name` is missing"))?;
    let typed = params["argument"]["value"].as_str().ok_or_else(|| bad("`argument.value` is missing"))?;
    let reference = &params["ref"];
    let known = match reference["type"].as_str() {
        Some("ref/prompt") => {
            let name = reference["name"].as_str().unwrap_or_default();
            let prompt = prompts::find(name, extra_prompt).ok_or_else(|| bad("unknown prompt"))?;
            let known = prompt.arguments.iter().find(|known| known.name == argument);
            let known = known.ok_or_else(|| bad("the prompt has no such argument"))?;
            if (name, argument) == ("plan_trip", "city") {
                cities(params["context"]["arguments"]["country"].as_str())
            } else {
                known.values.to_vec()
            }
        }
        Some("ref/resource") => {
            let uri = reference["uri"].as_str().unwrap_or_default();
            let known = resources::template_values(uri, argument);
            known.ok_or_else(|| bad("unknown resource template or variable"))?.to_vec()
        }
        _ => return Err(bad("`ref.type` must be ref/prompt or ref/resource")),
    };
    let typed = typed.to_lowercase();
    let found: Vec<_> = known.into_iter().filter(|value| value.to_lowercase().starts_with(&typed)).collect();
    let shown: Vec<_> = found.iter().take(MOST).collect();
    Ok(json!({"completion": {"values": shown, "total": found.len(), "hasMore": found.len() > MOST}}))
}

fn cities(country: Option<&str>) -> Vec<&'static str> {
    const CITIES: [(&str, &[&str]); 3] = [
        ("Austria", &["Graz", "Salzburg", "Vienna"]),
        ("France", &["Lyon", "Marseille", "Paris"]),
        ("Japan", &["Kyoto", "Osaka", "Tokyo"]),
    ];
    CITIES
        .iter()
        .filter(|(name, _)| country.is_none_or(|wanted| wanted == *name))
        .flat_map(|(_, cities)| cities.iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_knows_its_values() {
        let prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
        let argument = |name: &str, value: &str| json!({"name": name, "value": value});
        let rows = [
            (
                json!({"ref": prompt("test_prompt_with_arguments"), "argument": argument("arg1", "PAR")}),
                Ok(json!(["paris", "park", "party"])),
            ),
            (
                json!({"ref": prompt("summarize"), "argument": argument("style", "")}),
                Ok(json!(["brief", "detailed", "playful"])),
            ),
            (json!({"ref": prompt("summarize"), "argument": argument("text", "x")}), Ok(json!([]))),
            (
                json!({"ref": prompt("plan_trip"), "argument": argument("city", "")}),
                Ok(json!([
                    "Graz",
                    "Salzburg",
                    "Vienna",
                    "Lyon",
                    "Marseille",
                    "Paris",
                    "Kyoto",
                    "Osaka",
                    "Tokyo"
                ])),
            ),
            (
                json!({"ref": prompt("plan_trip"), "argument": argument("city", ""), "context": {"arguments": {"country": "Japan"}}}),
                Ok(json!(["Kyoto", "Osaka", "Tokyo"])),
            ),
            (
                json!({"ref": {"type": "ref/resource", "uri": "test://template/{id}/data"}, "argument": argument("id", "12")}),
                Ok(json!(["12", "123"])),
            ),
            (json!({"ref": prompt("nothing"), "argument": argument("a", "")}), Err("unknown prompt")),
            (
                json!({"ref": prompt("summarize"), "argument": argument("a", "")}),
                Err("the prompt has no such argument"),
            ),
            (
                json!({"ref": {"type": "ref/resource", "uri": "x:"}, "argument": argument("a", "")}),
                Err("unknown resource template or variable"),
            ),
            (
                json!({"ref": {"type": "ref/tool"}, "argument": argument("a", "")}),
                Err("`ref.type` must be ref/prompt or ref/resource"),
            ),
            (json!({}), Err("`argument.name` is missing")),
        ];
        for (params, expected) in rows {
            let got = complete(&params, false).map(|result| result["completion"]["values"].clone());
            let got = got.as_ref().map_err(|error| error.message.as_str());
            assert_eq!(got, expected.as_ref().map_err(|message| *message), "{params}");
        }
    }
}
