//! The table of prompts and how each is filled. One asks the person first, like a tool can (modern: prompts/get may
//! answer with questions; legacy: the question goes out in the middle).

use super::{
    call::{Answer, Call, Question, Running, Stop},
    content,
};
use portreeve_mcp::{Code, Feature, RpcError, Version};
use serde_json::{Value, json};

/// One argument of a prompt.
pub(super) struct Argument {
    pub(super) name: &'static str,
    description: &'static str,
    required: bool,
    /// What completion offers.
    pub(super) values: &'static [&'static str],
}

/// One prompt.
pub(super) struct Prompt {
    pub(super) name: &'static str,
    title: &'static str,
    description: &'static str,
    pub(super) arguments: &'static [Argument],
    run: fn(Call) -> Running,
}

const fn needed(name: &'static str, description: &'static str, values: &'static [&'static str]) -> Argument {
    Argument { name, description, required: true, values }
}

/// The countries whose cities completion knows.
pub(super) const COUNTRIES: &[&str] = &["Austria", "France", "Japan"];

/// Every prompt that is always there, in the order of the list.
pub(super) static PROMPTS: &[Prompt] = &[
    Prompt {
        name: "summarize",
        title: "Summarize",
        description: "Asks for a summary of a text in a style.",
        arguments: &[
            needed("text", "What to summarize", &[]),
            Argument {
                name: "style",
                description: "How",
                required: false,
                values: &["brief", "detailed", "playful"],
            },
        ],
        run: |call| Box::pin(summarize(call)),
    },
    Prompt {
        name: "plan_trip",
        title: "Plan a trip",
        description: "Plans a trip; the cities offered depend on the country.",
        arguments: &[needed("country", "Where to", COUNTRIES), needed("city", "Which city", &[])],
        run: |call| Box::pin(plan_trip(call)),
    },
    Prompt {
        name: "test_simple_prompt",
        title: "Conformance: simple",
        description: "A prompt without arguments.",
        arguments: &[],
        run: |call| Box::pin(simple(call)),
    },
    Prompt {
        name: "test_prompt_with_arguments",
        title: "Conformance: arguments",
        description: "A prompt with two arguments.",
        arguments: &[
            needed("arg1", "First test argument", &["test", "paris", "park", "party"]),
            needed("arg2", "Second test argument", &["test", "world"]),
        ],
        run: |call| Box::pin(with_arguments(call)),
    },
    Prompt {
        name: "test_prompt_with_embedded_resource",
        title: "Conformance: embedded resource",
        description: "A prompt that holds a resource.",
        arguments: &[needed("resourceUri", "URI of the resource to embed", &[])],
        run: |call| Box::pin(with_resource(call)),
    },
    Prompt {
        name: "test_prompt_with_image",
        title: "Conformance: image",
        description: "A prompt that holds an image.",
        arguments: &[],
        run: |call| Box::pin(with_image(call)),
    },
    Prompt {
        name: "test_input_required_result_prompt",
        title: "Conformance: a prompt that asks",
        description: "Asks the person for a context before it answers.",
        arguments: &[],
        run: |call| Box::pin(asking(call)),
    },
];

/// The prompt that `change_list` adds.
static EXTRA: Prompt = Prompt {
    name: "extra",
    title: "The extra prompt",
    description: "Is here only while the list is changed.",
    arguments: &[],
    run: |call| Box::pin(simple(call)),
};

/// The prompt of that name.
pub(super) fn find(name: &str, extra: bool) -> Option<&'static Prompt> {
    PROMPTS.iter().chain(extra.then_some(&EXTRA)).find(|prompt| prompt.name == name)
}

/// The `prompts` array.
pub(super) fn list(version: Version, extra: bool) -> Value {
    let titled = version.supports(Feature::StructuredContent);
    let describe = |prompt: &Prompt| {
        let arguments: Vec<_> = prompt
            .arguments
            .iter()
            .map(|a| json!({"name": a.name, "description": a.description, "required": a.required}))
            .collect();
        let mut value =
            json!({"name": prompt.name, "description": prompt.description, "arguments": arguments});
        if titled {
            value["title"] = Value::from(prompt.title);
        }
        value
    };
    PROMPTS.iter().chain(extra.then_some(&EXTRA)).map(describe).collect()
}

/// Fills a prompt: an unknown name or a missing argument → -32602 (spec: server/prompts).
pub(super) async fn get(name: &str, call: Call) -> Answer {
    let prompt = find(name, call.demo.lists.extra_prompt())
        .ok_or_else(|| RpcError::new(Code::INVALID_PARAMS, format!("unknown prompt: {name}")))?;
    for argument in prompt.arguments.iter().filter(|argument| argument.required) {
        if call.arguments.text(argument.name).is_none() {
            let message = format!("`{}` is missing or not a string", argument.name);
            return Err(RpcError::new(Code::INVALID_PARAMS, message).into());
        }
    }
    let version = call.ctx.version;
    let messages = match (prompt.run)(call).await {
        Ok(messages) => messages,
        // Prompts have no `isError`.
        Err(Stop::Failed(message)) => return Err(RpcError::new(Code::INVALID_PARAMS, message).into()),
        Err(stop) => return Err(stop),
    };
    let fitted = messages
        .as_array()
        .into_iter()
        .flatten()
        .map(|block| json!({"role": "user", "content": content::fit(block.clone(), version)}));
    Ok(json!({"description": prompt.description, "messages": fitted.collect::<Vec<_>>()}))
}

async fn summarize(call: Call) -> Answer {
    let style = call.arguments.text("style").unwrap_or("brief");
    let text = call.arguments.text("text").unwrap_or_default();
    Ok(json!([content::text(format!("Give a {style} summary of this:\n\n{text}"))]))
}

async fn plan_trip(call: Call) -> Answer {
    let part = |name| call.arguments.text(name).unwrap_or_default();
    Ok(json!([content::text(format!("Plan three days in {}, {}.", part("city"), part("country")))]))
}

async fn simple(_call: Call) -> Answer {
    Ok(json!([content::text("This is a simple prompt for testing.")]))
}

async fn with_arguments(call: Call) -> Answer {
    let part = |name| call.arguments.text(name).unwrap_or_default();
    Ok(json!([content::text(format!(
        "Prompt with arguments: arg1='{}', arg2='{}'",
        part("arg1"),
        part("arg2")
    ))]))
}

async fn with_resource(call: Call) -> Answer {
    let uri = call.arguments.text("resourceUri").unwrap_or_default();
    Ok(json!([
        content::embedded(uri, "text/plain", "Embedded resource content for testing."),
        content::text("Please process the embedded resource above."),
    ]))
}

async fn with_image(_call: Call) -> Answer {
    Ok(json!([content::image(), content::text("Please analyze the image above.")]))
}

async fn asking(call: Call) -> Answer {
    let form =
        json!({"type": "object", "properties": {"context": {"type": "string"}}, "required": ["context"]});
    let answer =
        call.ask(Question::form("user_context", "What context should the prompt use?", &form)).await?;
    let context = match answer["action"].as_str() {
        Some("accept") => answer["content"]["context"].as_str().unwrap_or("no context"),
        _ => return Err(Stop::Failed("the person gave no context".to_owned())),
    };
    Ok(json!([content::text(format!("Answer in this context: {context}"))]))
}
