//! The keys of one entry of `servers`.

use super::{Form, Key, Keys};

pub(in super::super) const CREDENTIAL: Keys = Keys {
    known: &[Key {
        name: "bearer",
        form: Form::Text("secret"),
        default: "none",
        doc: "The token that the server is shown. A caller's own token never reaches a server",
    }],
    later: &["per_tenant", "oauth", "exchange", "caller"],
    hints: &[],
};

pub(in super::super) const TIMEOUTS: Keys = Keys {
    known: &[
        Key {
            name: "connect",
            form: Form::Duration("10ms", "5m"),
            default: "`5s`",
            doc: "For a connection. The start of a child counts for `call`: its program may have to be fetched first",
        },
        Key {
            name: "call",
            form: Form::Duration("10ms", "24h"),
            default: "`2m`",
            doc: "For the whole call; progress extends it",
        },
        Key {
            name: "progress_cap",
            form: Form::Duration("10ms", "24h"),
            default: "`30m` (or `call`, if longer)",
            doc: "The end that progress cannot move",
        },
        Key {
            name: "ask",
            form: Form::Duration("1s", "24h"),
            default: "`5m`",
            doc: "For a person to answer a question of the server",
        },
    ],
    later: &[],
    hints: &[],
};

pub(in super::super) const TOOLS: Keys = Keys {
    known: &[
        Key {
            name: "allow",
            form: Form::Texts("patterns"),
            default: "`[\"*\"]`",
            doc: "The tools that exist through the gate, under the server's own names",
        },
        Key {
            name: "deny",
            form: Form::Texts("patterns"),
            default: "empty",
            doc: "Those that do not, whatever `allow` says",
        },
    ],
    later: &[],
    hints: &[],
};

pub(in super::super) const OFFER: Keys = Keys {
    known: &[
        Key {
            name: "elicitation",
            form: Form::Flag,
            default: "`true`",
            doc: "Whether the server may ask the person something, where the client can",
        },
        Key {
            name: "sampling",
            form: Form::Flag,
            default: "`true`",
            doc: "Whether it may use the client's model",
        },
        Key {
            name: "roots",
            form: Form::Flag,
            default: "`true`",
            doc: "Whether it may know the client's folders",
        },
    ],
    later: &[],
    hints: &[],
};

pub(in super::super) const ROOT: Keys = Keys {
    known: &[
        Key {
            name: "uri",
            form: Form::Text("`file:///…`"),
            default: "none",
            doc: "A folder to name where the client names none",
        },
        Key { name: "name", form: Form::Text("text"), default: "none", doc: "What people call it" },
    ],
    later: &[],
    hints: &[],
};

pub(in super::super) const OPTIONS: Keys = Keys { known: &[], later: &[], hints: &[] };

pub(in super::super) const SERVER: Keys = Keys {
    known: &[
        Key {
            name: "command",
            form: Form::Text("text"),
            default: "",
            doc: "The program: a path, or a name that is found in `PATH`. No shell is involved",
        },
        Key {
            name: "args",
            form: Form::Texts("texts"),
            default: "empty",
            doc: "Its arguments, passed as they are",
        },
        Key {
            name: "env",
            form: Form::TextsByName,
            default: "empty",
            doc: "What its environment has beyond the little that every child gets; the gate's own environment is not passed on",
        },
        Key {
            name: "cwd",
            form: Form::Text("path"),
            default: "that of the gate",
            doc: "Its working directory; a relative one starts at the directory of the configuration file",
        },
        Key {
            name: "url",
            form: Form::Text("URL"),
            default: "",
            doc: "Its address; `http` or `https`, without user name, password or fragment",
        },
        Key {
            name: "replay",
            form: Form::Flag,
            default: "`false`",
            doc: "Whether the server, in a revision before 2026-07-28, keeps the events of its calls and replays them after `Last-Event-ID`. Then a call that waits for an answer of a modern client is left there: nothing is held in the gate, any replica takes it up again, and it survives a restart. Event ids alone do not mean that a server keeps anything; with `true` for one that does not, answers get lost",
        },
        Key {
            name: "transport",
            form: Form::Choice(&["auto", "streamable-http", "sse"]),
            default: "`auto`",
            doc: "`auto` finds out; `sse` is HTTP+SSE of revision 2024-11-05, whose servers are legacy ones. Naming it saves the probe",
        },
        Key {
            name: "era",
            form: Form::Choice(&["auto", "legacy", "modern"]),
            default: "`auto`",
            doc: "The protocol that the server speaks: `legacy` begins with a handshake (2024-11-05 … 2025-11-25), `modern` is stateless (2026-07-28). `auto` finds out; clients of either era can use it in any case",
        },
        Key {
            name: "headers",
            form: Form::TextsByName,
            default: "empty",
            doc: "Headers that go with every request. Refused are those that the gate writes itself (`Host`, `Content-Type`, `Mcp-…`, hop-by-hop headers) and `Authorization`",
        },
        Key {
            name: "credential",
            form: Form::Table(&CREDENTIAL),
            default: "",
            doc: "What the server is shown as credential",
        },
        Key {
            name: "ca",
            form: Form::Text("path"),
            default: "that of `outbound`",
            doc: "A file with certificate authorities for this server, in PEM, beside the public ones and those of the machine",
        },
        Key {
            name: "proxy",
            form: Form::Text("URL or `none`"),
            default: "that of `outbound`",
            doc: "The proxy on the way to this server; `none` goes directly",
        },
        Key {
            name: "builtin",
            form: Form::Choice(&["demo"]),
            default: "",
            doc: "Which one. `demo` has everything that MCP can do, to try clients with",
        },
        Key {
            name: "options",
            form: Form::Table(&OPTIONS),
            default: "empty",
            doc: "What a built-in server can be told; `demo` has no options",
        },
        Key {
            name: "isolation",
            form: Form::Choice(&["shared", "principal", "session"]),
            default: "`principal` with `keys`, else `shared`",
            doc: "Which calls may share one session (and process) of the server: all, those of one caller, or those of one client session",
        },
        Key { name: "timeouts", form: Form::Table(&TIMEOUTS), default: "", doc: "How long things may take" },
        Key {
            name: "tools",
            form: Form::Table(&TOOLS),
            default: "",
            doc: "Which tools exist through the gate",
        },
        Key {
            name: "max_children",
            form: Form::Whole(1, 1024),
            default: "8",
            doc: "The most processes of this server at the same time, where callers or sessions have one each. Idle ones leave first",
        },
        Key {
            name: "offer",
            form: Form::Table(&OFFER),
            default: "",
            doc: "What the server may ask of the client",
        },
        Key {
            name: "roots",
            form: Form::Tables(&ROOT),
            default: "empty",
            doc: "Folders to name where the client names none",
        },
    ],
    later: &[],
    hints: &[
        (
            "type",
            "remove it: a `command` is stdio, a `url` is HTTP; `transport` chooses between kinds of HTTP",
        ),
        ("timeout", "write `timeouts: {call: 120s}`"),
        ("disabled", "remove or comment out the whole server"),
        (
            "autoApprove",
            "remove it: approving calls is the client's business; `tools` says which tools exist",
        ),
        (
            "alwaysAllow",
            "remove it: approving calls is the client's business; `tools` says which tools exist",
        ),
        ("disabledTools", "write `tools: {deny: […]}`"),
        ("serverUrl", "write `url`"),
        ("httpUrl", "write `url`"),
        ("bearer", "write `credential: {bearer: …}`"),
    ],
};
