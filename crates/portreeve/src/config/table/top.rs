//! The keys of the top level and of every section but `servers`.

use super::{Form, Key, Keys, servers::SERVER};

pub(in super::super) const METRICS: Keys = Keys {
    known: &[Key {
        name: "listen",
        form: Form::Text("address:port"),
        default: "none",
        doc: "Where Prometheus metrics are served, on a listener of their own. Without it there are none",
    }],
    later: &[],
    hints: &[],
};

pub(in super::super) const TLS: Keys = Keys {
    known: &[
        Key {
            name: "certificate",
            form: Form::Text("path"),
            default: "required",
            doc: "A file with the certificate and those between it and its authority, in PEM",
        },
        Key {
            name: "key",
            form: Form::Text("path"),
            default: "required",
            doc: "A file with its private key, in PEM, without a password",
        },
    ],
    later: &[],
    hints: &[("cert", "write `certificate`"), ("ca", "callers are known by `keys`, not by certificates")],
};

pub(in super::super) const TELEMETRY: Keys = Keys {
    known: &[
        Key {
            name: "otlp",
            form: Form::Text("URL"),
            default: "required",
            doc: "Where a collector takes OTLP over HTTP (protobuf), such as `http://collector:4318`; without a path, `/v1/traces` is added",
        },
        Key {
            name: "sample",
            form: Form::Whole(0, 100),
            default: "`100`",
            doc: "How many of a hundred calls are traced. Where the caller has begun a trace, its own decision holds instead",
        },
        Key {
            name: "headers",
            form: Form::TextsByName,
            default: "empty",
            doc: "Headers that go with every delivery, such as the key of a service",
        },
        Key {
            name: "ca",
            form: Form::Text("path"),
            default: "that of `outbound`",
            doc: "A file with certificate authorities for the collector, in PEM",
        },
        Key {
            name: "proxy",
            form: Form::Text("URL or `none`"),
            default: "that of `outbound`",
            doc: "The proxy on the way to it",
        },
    ],
    later: &[],
    hints: &[("endpoint", "write `otlp`"), ("url", "write `otlp`")],
};

pub(in super::super) const OUTBOUND: Keys = Keys {
    known: &[
        Key {
            name: "ca",
            form: Form::Text("path"),
            default: "none",
            doc: "A file with further certificate authorities, in PEM. The public ones and those of the machine are known in any case",
        },
        Key {
            name: "proxy",
            form: Form::Text("URL"),
            default: "none",
            doc: "`http://host:port`, perhaps with `user:password@`; the environment is not asked. Servers of this machine are reached without it. `https` servers are reached through a tunnel that the proxy cannot look into",
        },
    ],
    later: &[],
    hints: &[],
};

pub(in super::super) const MCP: Keys = Keys {
    known: &[
        Key {
            name: "root",
            form: Form::Text("server"),
            default: "none",
            doc: "Makes `/mcp` this server's own address, with its own tool names. Without it `/mcp` leads to all servers together (`<server>_<tool>`), or to the only one there is",
        },
        Key {
            name: "name_length",
            form: Form::Whole(24, 128),
            default: "`64`",
            doc: "The longest tool name that clients are shown; longer ones are cut and get a digest. Many clients refuse more than 64",
        },
        Key {
            name: "sse_after",
            form: Form::Duration("100ms", "1m"),
            default: "`5s`",
            doc: "The silence after which an answer becomes a stream, so that proxies do not give up on it",
        },
        Key {
            name: "page_size",
            form: Form::Whole(1, 100_000),
            default: "`1000`",
            doc: "How many tools, prompts, resources or templates a client gets at once; longer lists come in pages",
        },
    ],
    later: &[],
    hints: &[],
};

pub(in super::super) const SEAL: Keys = Keys {
    known: &[Key {
        name: "keys",
        form: Form::Texts("secrets"),
        default: "a file in the data directory, made at the first start",
        doc: "At least 32 characters each: `openssl rand -hex 32`. The first one seals, all of them open. To change keys put the new one in front, and remove the old one when nothing of it is left",
    }],
    later: &[],
    hints: &[("key", "write `keys: [KEY]`, newest first")],
};

pub(in super::super) const REPLICAS: Keys = Keys {
    known: &[
        Key {
            name: "listen",
            form: Form::Text("`ADDRESS:PORT`"),
            default: "–",
            doc: "Where the other replicas reach this one. Everything there is sealed with `seal.keys`; still, nobody else has business there",
        },
        Key {
            name: "advertise",
            form: Form::Text("URL"),
            default: "`http://<listen>`",
            doc: "The same address as the others see it; needed where `listen` is `0.0.0.0`",
        },
        Key {
            name: "coordinator",
            form: Form::Text("URL"),
            default: "none",
            doc: "A Redis or Valkey server (`redis://` or `rediss://`). It holds which replicas there are and which sessions have ended. While it is away everything goes on, but sessions of a replica that is lost cannot be taken over",
        },
    ],
    later: &[],
    hints: &[
        ("redis", "write `coordinator: redis://HOST:6379`"),
        (
            "peers",
            "replicas find each other through what they seal and through `coordinator`; no list is needed",
        ),
    ],
};

pub(in super::super) const LOG: Keys = Keys {
    known: &[
        Key {
            name: "format",
            form: Form::Choice(&["auto", "json", "text"]),
            default: "`auto`",
            doc: "One JSON object a line, or lines for people; `auto` is `text` on a terminal and `json` elsewhere",
        },
        Key {
            name: "level",
            form: Form::Choice(&["off", "error", "warn", "info", "debug", "trace"]),
            default: "`info`",
            doc: "The least important lines that are kept",
        },
    ],
    later: &[],
    hints: &[],
};

pub(in super::super) const LIMITS: Keys = Keys {
    known: &[
        Key {
            name: "body",
            form: Form::Size("1KiB", "256MiB"),
            default: "`4MiB`",
            doc: "The largest request",
        },
        Key {
            name: "headers",
            form: Form::Size("4KiB", "1MiB"),
            default: "`64KiB`",
            doc: "The largest block of request headers",
        },
        Key {
            name: "depth",
            form: Form::Whole(8, 512),
            default: "`64`",
            doc: "The deepest nesting of a request's JSON",
        },
        Key {
            name: "upstream_message",
            form: Form::Size("64KiB", "1GiB"),
            default: "`64MiB`",
            doc: "The largest message that a server may send",
        },
        Key {
            name: "calls_per_minute",
            form: Form::WholeOr(1, 1_000_000, "unlimited"),
            default: "`100`",
            doc: "Calls of one caller; counted only where callers have keys",
        },
        Key {
            name: "parked_per_principal",
            form: Form::Whole(1, 10_000),
            default: "`16`",
            doc: "Calls of one caller that wait for an answer of the person",
        },
        Key {
            name: "parked_total",
            form: Form::Whole(1, 1_000_000),
            default: "`4096`",
            doc: "The same of all callers",
        },
        Key {
            name: "replay_bytes",
            form: Form::Size("16KiB", "64MiB"),
            default: "`1MiB`",
            doc: "Their bytes; a larger answer is not kept",
        },
        Key {
            name: "replay_events",
            form: Form::Whole(16, 100_000),
            default: "`512`",
            doc: "Events of a session's streams that are kept for a client whose connection breaks",
        },
        Key {
            name: "replay_total",
            form: Form::Size("1MiB", "64GiB"),
            default: "`256MiB`",
            doc: "The same of all sessions together",
        },
        Key {
            name: "replay_wait",
            form: Form::Duration("100ms", "1h"),
            default: "`1m`",
            doc: "How long a call that asks waits for such a client before it goes on without",
        },
        Key {
            name: "rounds",
            form: Form::Whole(1, 100),
            default: "`10`",
            doc: "How many times one call may come back with questions",
        },
        Key {
            name: "sessions_per_principal",
            form: Form::Whole(1, 1_000_000),
            default: "`10000`",
            doc: "Client sessions of one caller that hold something live",
        },
    ],
    later: &[],
    hints: &[],
};

pub(in super::super) const KEY: Keys = Keys {
    known: &[
        Key {
            name: "name",
            form: Form::Text("name"),
            default: "required",
            doc: "Who the caller is in records; each name once",
        },
        Key {
            name: "secret",
            form: Form::Text("secret"),
            default: "required",
            doc: "At least 16 characters of visible ASCII: `openssl rand -hex 32`",
        },
        Key {
            name: "allow",
            form: Form::Tables(&GRANT),
            default: "empty: nothing",
            doc: "What the key may do",
        },
    ],
    later: &[],
    hints: &[("key", "write `secret`"), ("token", "write `secret`")],
};

pub(in super::super) const GRANT: Keys = Keys {
    known: &[
        Key {
            name: "server",
            form: Form::Text("name or pattern"),
            default: "required",
            doc: "A server of this file; a name that is none of them is an error",
        },
        Key {
            name: "tools",
            form: Form::Texts("patterns"),
            default: "`[\"*\"]`",
            doc: "Which of the server's tools, under its own names",
        },
    ],
    later: &[],
    hints: &[("servers", "write one entry for each: `{server: NAME}`")],
};

pub(in super::super) const TOP: Keys = Keys {
    known: &[
        Key {
            name: "listen",
            form: Form::Text("address:port"),
            default: "`127.0.0.1:8484`",
            doc: "Where the gate listens: `127.0.0.1:8484`, `[::1]:8484`, `0.0.0.0:8484`; `localhost:PORT` is taken for `127.0.0.1:PORT`, and port 0 takes a free one. **Without `keys` only loopback is possible**: whoever reaches the port is let in, so it must not leave the machine",
        },
        Key {
            name: "public_url",
            form: Form::Text("URL"),
            default: "`http://<listen>`",
            doc: "What clients see, where a proxy stands in front. Scheme and host only, perhaps a port",
        },
        Key {
            name: "allowed_hosts",
            form: Form::Texts("hosts"),
            default: "empty",
            doc: "Further values of the `Host` header that are answered, `name` or `name:port`. The listening address, the host of `public_url`, and the names of loopback while the gate is bound to it need no mention. Others are refused, or a web page could point its own name at the gate",
        },
        Key {
            name: "allowed_origins",
            form: Form::Texts("origins"),
            default: "empty",
            doc: "Web pages that may call the gate from a browser, `https://chat.example.com`. Origins of loopback need no mention while the gate is bound to loopback. Programs that are no browsers send no origin and are not concerned. `*` is refused",
        },
        Key {
            name: "tls",
            form: Form::Table(&TLS),
            default: "none: HTTP",
            doc: "The certificate of the gate. Both files are watched, and a new certificate is shown from the next connection on",
        },
        Key { name: "metrics", form: Form::Table(&METRICS), default: "", doc: "Metrics for Prometheus" },
        Key {
            name: "outbound",
            form: Form::Table(&OUTBOUND),
            default: "",
            doc: "The way to all servers with a `url`; each can have its own `ca` and `proxy`",
        },
        Key {
            name: "servers",
            form: Form::TablesByName(&SERVER),
            default: "the demo as `demo`",
            doc: "The servers by name: `/mcp/<name>`",
        },
        Key { name: "mcp", form: Form::Table(&MCP), default: "", doc: "How the MCP doors behave" },
        Key {
            name: "keys",
            form: Form::Tables(&KEY),
            default: "none: only callers of this machine",
            doc: "Static API keys",
        },
        Key { name: "limits", form: Form::Table(&LIMITS), default: "", doc: "What is accepted from clients" },
        Key {
            name: "seal",
            form: Form::Table(&SEAL),
            default: "",
            doc: "What seals the values that clients carry",
        },
        Key {
            name: "replicas",
            form: Form::Table(&REPLICAS),
            default: "none: the only one",
            doc: "This process as one of several",
        },
        Key { name: "log", form: Form::Table(&LOG), default: "", doc: "What is logged, and how" },
        Key {
            name: "telemetry",
            form: Form::Table(&TELEMETRY),
            default: "none",
            doc: "Traces of calls, for OpenTelemetry",
        },
    ],
    later: &["store", "identity", "tenants", "policy", "audit"],
    hints: &[
        ("mcpServers", "the servers stand under `servers`; their keys keep their names"),
        ("proxy", "write `outbound: {proxy: …}`"),
        ("port", "write `listen: 127.0.0.1:PORT`"),
        ("host", "write `listen: ADDRESS:PORT`"),
    ],
};
