//! The skills extension (`io.modelcontextprotocol/skills`): a list of skills with the digests of their files, which are
//! read as resources. A gateway knows nothing of it and carries it all the same. Only the newest revision has
//! extensions. Directories are not offered.

use portreeve_mcp::{Code, Params, RpcError};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The extension's name, under which it is declared.
pub(super) const EXTENSION: &str = "io.modelcontextprotocol/skills";
/// The media type of every file here.
pub(super) const MEDIA_TYPE: &str = "text/markdown";

/// The only skill: its name, which is the last part of its folder.
pub(super) const NAME: &str = "try-the-demo";
/// What it is for.
pub(super) const DESCRIPTION: &str = "Shows a person what the demo server can do, step by step";
/// Its first file.
pub(super) const URI: &str = "skill://try-the-demo/SKILL.md";

/// Its files, the first one first.
const FILES: &[(&str, &str)] = &[
    (
        URI,
        "---\n\
        name: try-the-demo\n\
        description: Shows a person what the demo server can do, step by step\n\
        ---\n\n\
        1. Call `hello` with the person's name.\n\
        2. Call `show_content` and say what you see.\n\
        3. Call `ask_name`, so that the person sees a question.\n\n\
        What else there is stands in references/tools.md.\n",
    ),
    (
        "skill://try-the-demo/references/tools.md",
        "- `countdown` reports progress.\n\
        - `update_resource` changes what you may be subscribed to.\n\
        - `connection` tells which protocol revision arrives.\n",
    ),
];

/// Answers a method of the extension; `None`: it is not one.
pub(super) fn answer(method: &str, params: &Params) -> Option<Result<Value, RpcError>> {
    match method {
        "skills/list" if params.get("cursor").is_some() => Some(Err(bad("unknown cursor"))),
        "skills/list" => Some(Ok(json!({"skills": [entry()]}))),
        "skills/get" => {
            let known = params.text("uri").is_some_and(|uri| uri.as_str() == URI);
            Some(if known { Ok(json!({"skill": entry()})) } else { Err(bad("no such skill")) })
        }
        _ => None,
    }
}

fn bad(message: &'static str) -> RpcError {
    RpcError::new(Code::INVALID_PARAMS, message)
}

fn entry() -> Value {
    let resources: Vec<_> = FILES
        .iter()
        .map(|(uri, text)| json!({"uri": uri, "digest": digest(text), "size": text.len()}))
        .collect();
    let frontmatter = json!({"name": NAME, "description": DESCRIPTION});
    json!({"uri": URI, "frontmatter": frontmatter, "resources": resources})
}

fn digest(text: &str) -> String {
    let hex: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The text of a file of a skill.
pub(super) fn file(uri: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == uri).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_says_what_the_files_are() {
        let uri = |uri: &str| Params::parse(Some(&json!({"uri": uri}).into())).unwrap();
        let skill = answer("skills/get", &uri(URI)).unwrap().unwrap();
        let list = answer("skills/list", &Params::default()).unwrap().unwrap();
        assert_eq!(list["skills"], json!([skill["skill"]]));
        let head = format!("---\nname: {NAME}\ndescription: {DESCRIPTION}\n---\n");
        assert!(file(URI).unwrap().starts_with(&head));
        assert_eq!(digest("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        for named in skill["skill"]["resources"].as_array().unwrap() {
            let text = file(named["uri"].as_str().unwrap()).unwrap();
            assert_eq!((&named["size"], &named["digest"]), (&json!(text.len()), &json!(digest(text))));
            assert!(named["uri"].as_str().unwrap().starts_with(&format!("skill://{NAME}/")));
        }
        assert_eq!(answer("skills/get", &uri(FILES[1].0)).unwrap().unwrap_err().code, Code::INVALID_PARAMS);
        assert!(answer("skills/none", &Params::default()).is_none() && file("skill://x/SKILL.md").is_none());
    }
}
