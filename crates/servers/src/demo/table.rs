//! The table of tools: everything that `tools/list` says about each, and which handler answers. Schemas are written as
//! JSON and go out byte for byte. The first tool must answer without arguments and without questions: checkers call
//! whatever stands first. What is done with the table is in `tools`.

use super::{
    agent, interactive, plain, suite,
    tasks::tools as tasks,
    tools::{Nature, Tool},
};
use portreeve_mcp::payload::TaskSupport;

const NOTHING: &str = r#"{"type":"object","properties":{},"additionalProperties":false}"#;
const ANYTHING: &str = r#"{"type":"object","properties":{}}"#;

// The output schema and the support of tasks are optional: the first element of the array is the given one or, without
// it, the usual.
macro_rules! tool {
    ($name:literal, $title:literal, $nature:ident, $run:path, $input:expr, $description:literal
     $(, output $output:expr)? $(, tasks $tasks:ident)? $(, first $first:path)?) => {
        Tool {
            name: $name, title: $title, description: $description, input: $input,
            output: [$(Some($output),)? None][0], nature: Nature::$nature,
            tasks: [$(TaskSupport::$tasks,)? TaskSupport::Forbidden][0],
            first: [$(Some($first as fn() -> _),)? None][0], run: |call| Box::pin($run(call)),
        }
    };
}

/// Every tool that is always there, in the order of the list.
pub(super) static TOOLS: &[Tool] = &[
    tool!(
        "hello",
        "Say hello",
        Reads,
        plain::hello,
        r#"{"type":"object","properties":{"name":{"type":"string","maxLength":200,"description":"Who to greet; the world if nobody is named"}}}"#,
        "Greets somebody. The simplest call there is."
    ),
    tool!(
        "echo",
        "Echo",
        Reads,
        plain::echo,
        r#"{"type":"object","properties":{"text":{"type":"string","description":"What comes back"}},"required":["text"]}"#,
        "Gives a text back unchanged."
    ),
    tool!("add", "Add two numbers", Reads, plain::add,
        r#"{"type":"object","properties":{"a":{"type":"number"},"b":{"type":"number"}},"required":["a","b"]}"#,
        "Adds two numbers; the sum comes as text and as structured content.",
        output r#"{"type":"object","properties":{"sum":{"type":"number"}},"required":["sum"]}"#),
    tool!("weather", "Invented weather", Reads, plain::weather,
        r#"{"type":"object","properties":{"city":{"type":"string","maxLength":100}},"required":["city"]}"#,
        "Structured output with an output schema. The weather is invented, but the same city always has the same.",
        output r#"{"type":"object","properties":{"city":{"type":"string"},"celsius":{"type":"integer"},"sky":{"type":"string","enum":["clear","cloudy","rain","fog"]}},"required":["city","celsius","sky"]}"#),
    tool!("primes", "Prime numbers", Reads, plain::primes,
        r#"{"type":"object","properties":{"count":{"type":"integer","minimum":0,"maximum":1000,"description":"5 if not given"}}}"#,
        "Structured output that is no object, which only the newest revision has; older clients get the text.",
        output r#"{"type":"array","items":{"type":"integer"}}"#),
    tool!(
        "show_content",
        "Every kind of content",
        Reads,
        plain::show_content,
        NOTHING,
        "Answers with one block of each kind: text, image, sound, link and embedded resource."
    ),
    tool!(
        "countdown",
        "Slow call with progress",
        Reads,
        plain::countdown,
        r#"{"type":"object","properties":{"steps":{"type":"integer","minimum":1,"maximum":1000,"description":"5 if not given"},"interval_ms":{"type":"integer","minimum":0,"maximum":10000,"description":"1000 if not given"}}}"#,
        "Takes its time and reports progress at each step. Cancel it: `status` tells whether it stopped."
    ),
    tool!(
        "large_text",
        "Large answer",
        Reads,
        plain::large_text,
        r#"{"type":"object","properties":{"kilobytes":{"type":"integer","minimum":1,"maximum":16384}},"required":["kilobytes"]}"#,
        "Answers with that much text."
    ),
    tool!(
        "fail",
        "Failing call",
        Reads,
        plain::fail,
        r#"{"type":"object","properties":{"message":{"type":"string","maxLength":1000}}}"#,
        "Always ends with a tool error."
    ),
    tool!(
        "log_messages",
        "Log at every level",
        Reads,
        plain::log_messages,
        NOTHING,
        "Sends one log message of each severity; you receive those at or above the level you asked for."
    ),
    tool!(
        "connection",
        "What the server sees",
        Reads,
        plain::connection,
        NOTHING,
        "Tells which protocol revision and client capabilities arrive at this server, whatever the client itself speaks, and in which process it runs."
    ),
    tool!("status", "Calls so far", Reads, plain::status, NOTHING,
        "Counts the calls of this server: running, finished, cancelled.",
        output r#"{"type":"object","properties":{"running":{"type":"integer"},"finished":{"type":"integer"},"cancelled":{"type":"integer"}},"required":["running","finished","cancelled"]}"#),
    tool!(
        "query_region",
        "Query a region",
        Reads,
        plain::query_region,
        r#"{"type":"object","properties":{"region":{"type":"string","maxLength":2000,"description":"Mirrored into a header over HTTP","x-mcp-header":"Region"},"limit":{"type":"integer","minimum":0,"maximum":1000,"x-mcp-header":"Limit"},"detailed":{"type":"boolean","x-mcp-header":"Detailed"},"query":{"type":"string","maxLength":2000}}}"#,
        "Has arguments that a client of the newest revision mirrors into HTTP headers, so that a gateway can route by them."
    ),
    tool!(
        "update_resource",
        "Change a watched resource",
        Changes,
        plain::update_resource,
        r#"{"type":"object","properties":{"uri":{"type":"string","enum":["demo://note","test://watched-resource"]},"text":{"type":"string","maxLength":4000}},"required":["text"]}"#,
        "Writes a new text into the note (or the watched resource); subscribers are told."
    ),
    tool!(
        "change_list",
        "Change a list",
        Changes,
        plain::change_list,
        r#"{"type":"object","properties":{"list":{"type":"string","enum":["tools","prompts","resources"]}},"required":["list"]}"#,
        "Adds an extra tool, prompt or resource, or takes it away again; listeners are told."
    ),
    tool!(
        "ask_name",
        "Ask for your name",
        Reads,
        interactive::ask_name,
        NOTHING,
        "Asks the person at the client for a name and greets them."
    ),
    tool!(
        "order_coffee",
        "Order a coffee",
        Reads,
        interactive::order_coffee,
        NOTHING,
        "Asks with a form that has every kind of field. No coffee is made."
    ),
    tool!(
        "ask_two",
        "Two questions at once",
        Reads,
        interactive::ask_two,
        NOTHING,
        "Asks for a first and a last name in two questions that are open at the same time."
    ),
    tool!(
        "interview",
        "Two questions in turn",
        Reads,
        interactive::interview,
        NOTHING,
        "Asks for a name, then, knowing it, for a favourite colour."
    ),
    tool!(
        "ask_model",
        "Ask your model",
        Reads,
        interactive::ask_model,
        r#"{"type":"object","properties":{"prompt":{"type":"string","maxLength":4000}},"required":["prompt"]}"#,
        "Asks the client's own model (sampling) and gives its answer."
    ),
    tool!(
        "calculate",
        "Ask your model to calculate",
        Reads,
        agent::calculate,
        r#"{"type":"object","properties":{"problem":{"type":"string","maxLength":4000,"description":"A sum of two numbers if not given"}}}"#,
        "Gives the client's own model a tool that adds, lets it use it, and gives its answer (sampling with tools)."
    ),
    tool!(
        "open_page",
        "Ask to open a page",
        Reads,
        interactive::open_page,
        NOTHING,
        "Asks the person to open a page (elicitation by URL) and says when that is done."
    ),
    tool!(
        "list_roots",
        "List your folders",
        Reads,
        interactive::list_roots,
        NOTHING,
        "Asks the client which folders it works in (roots)."
    ),
    tool!(
        "slow_compute",
        "Slow work",
        Reads,
        tasks::slow_compute,
        r#"{"type":"object","properties":{"seconds":{"type":"number","minimum":0,"maximum":3600,"description":"1 if not given"},"label":{"type":"string","maxLength":200}}}"#,
        "Takes that long. Clients that know tasks get one at once and look at it later; cancel it, and `status` tells that it stopped.",
        tasks Optional
    ),
    tool!(
        "confirm_delete",
        "Confirm a deletion",
        Reads,
        tasks::confirm_delete,
        r#"{"type":"object","properties":{"filename":{"type":"string","maxLength":200}}}"#,
        "A task that asks the person before it goes on. Nothing is deleted.",
        tasks Optional
    ),
    tool!(
        "multi_input",
        "Two questions of a task",
        Reads,
        tasks::multi_input,
        NOTHING,
        "A task that asks two questions at once; they may be answered one by one.",
        tasks Optional
    ),
    tool!(
        "protocol_error_job",
        "Broken job",
        Reads,
        tasks::protocol_error_job,
        NOTHING,
        "A task that ends with a protocol error.",
        tasks Optional
    ),
    tool!(
        "failing_job",
        "Failing job",
        Reads,
        tasks::failing_job,
        NOTHING,
        "Runs only as a task, and ends with a tool error.",
        tasks Required
    ),
    tool!(
        "greet",
        "Conformance: greeting",
        Reads,
        plain::hello,
        r#"{"type":"object","properties":{"name":{"type":"string","maxLength":200}}}"#,
        "Greets somebody, and never as a task."
    ),
    tool!(
        "test_tool_with_task",
        "Conformance: questions, then a task",
        Reads,
        tasks::with_task,
        NOTHING,
        "Asks for a name, then greets as a task.",
        tasks Required,
        first tasks::user_name
    ),
    tool!(
        "test_simple_text",
        "Conformance: text",
        Reads,
        suite::simple_text,
        NOTHING,
        "Answers with one text."
    ),
    tool!(
        "test_image_content",
        "Conformance: image",
        Reads,
        suite::image,
        NOTHING,
        "Answers with one image."
    ),
    tool!(
        "test_audio_content",
        "Conformance: sound",
        Reads,
        suite::audio,
        NOTHING,
        "Answers with one sound."
    ),
    tool!(
        "test_embedded_resource",
        "Conformance: embedded resource",
        Reads,
        suite::embedded,
        NOTHING,
        "Answers with one embedded resource."
    ),
    tool!(
        "test_multiple_content_types",
        "Conformance: mixed content",
        Reads,
        suite::mixed,
        NOTHING,
        "Answers with a text, an image and a resource."
    ),
    tool!(
        "test_tool_with_logging",
        "Conformance: logging",
        Reads,
        suite::logging,
        NOTHING,
        "Logs three messages while it runs."
    ),
    tool!(
        "test_logging_tool",
        "Conformance: logging on request",
        Reads,
        suite::logging,
        NOTHING,
        "Logs three messages, to those who asked for them."
    ),
    tool!("test_error_handling", "Conformance: tool error", Reads, suite::error, NOTHING, "Always fails."),
    tool!(
        "test_tool_with_progress",
        "Conformance: progress",
        Reads,
        suite::progress,
        NOTHING,
        "Reports progress three times."
    ),
    tool!(
        "test_reconnection",
        "Conformance: reconnection",
        Reads,
        suite::reconnection,
        NOTHING,
        "Closes the stream of a client that can take it up again, and answers after a short while."
    ),
    tool!(
        "json_schema_2020_12_tool",
        "Conformance: JSON Schema 2020-12",
        Reads,
        suite::json_schema,
        suite::JSON_SCHEMA,
        "Has an input schema with keywords that must arrive as they are."
    ),
    tool!(
        "test_sampling",
        "Conformance: sampling",
        Reads,
        interactive::sampling,
        r#"{"type":"object","properties":{"prompt":{"type":"string"}},"required":["prompt"]}"#,
        "Asks the client's model."
    ),
    tool!(
        "test_elicitation",
        "Conformance: elicitation",
        Reads,
        interactive::elicitation,
        r#"{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}"#,
        "Asks for a user name and a mail address."
    ),
    tool!(
        "test_elicitation_sep1034_defaults",
        "Conformance: form defaults",
        Reads,
        interactive::defaults,
        NOTHING,
        "Asks with a form whose fields have defaults."
    ),
    tool!(
        "test_elicitation_sep1330_enums",
        "Conformance: form choices",
        Reads,
        interactive::enums,
        NOTHING,
        "Asks with a form that has all five kinds of choice."
    ),
    tool!(
        "test_missing_capability",
        "Conformance: missing capability",
        Reads,
        interactive::needs_sampling,
        NOTHING,
        "Cannot go on without sampling, and says so."
    ),
    tool!(
        "test_streaming_elicitation",
        "Conformance: question on a stream",
        Reads,
        interactive::streaming,
        ANYTHING,
        "Reports progress, then asks."
    ),
    tool!(
        "test_trigger_tool_change",
        "Conformance: change the tools",
        Changes,
        suite::tool_change,
        NOTHING,
        "Adds the extra tool or takes it away."
    ),
    tool!(
        "test_trigger_prompt_change",
        "Conformance: change the prompts",
        Changes,
        suite::prompt_change,
        NOTHING,
        "Adds the extra prompt or takes it away."
    ),
    tool!(
        "test_input_required_result_elicitation",
        "Conformance: one question",
        Reads,
        interactive::one_form,
        NOTHING,
        "Asks for a name."
    ),
    tool!(
        "test_input_required_result_sampling",
        "Conformance: sampling question",
        Reads,
        interactive::capital,
        NOTHING,
        "Asks the client's model for a capital."
    ),
    tool!(
        "test_input_required_result_list_roots",
        "Conformance: roots question",
        Reads,
        interactive::client_roots,
        NOTHING,
        "Asks for the client's roots."
    ),
    tool!(
        "test_input_required_result_request_state",
        "Conformance: state",
        Reads,
        interactive::confirm,
        NOTHING,
        "Asks for a confirmation and checks the state that comes back."
    ),
    tool!(
        "test_input_required_result_multiple_inputs",
        "Conformance: three questions",
        Reads,
        interactive::three,
        NOTHING,
        "Asks a form, a sampling and a roots question at once."
    ),
    tool!(
        "test_input_required_result_multi_round",
        "Conformance: two rounds",
        Reads,
        interactive::two_rounds,
        NOTHING,
        "Asks for a name, then for a colour."
    ),
    tool!(
        "test_input_required_result_tampered_state",
        "Conformance: changed state",
        Reads,
        interactive::confirm,
        NOTHING,
        "Asks for a confirmation and refuses a changed state."
    ),
    tool!(
        "test_input_required_result_capabilities",
        "Conformance: only what was declared",
        Reads,
        interactive::declared,
        NOTHING,
        "Asks only what the client can be asked."
    ),
];

/// The tool that `change_list` adds.
pub(super) static EXTRA: Tool =
    tool!("extra", "The extra tool", Reads, plain::extra, NOTHING, "Is here only while the list is changed.");
