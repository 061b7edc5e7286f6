"""Writes docs/compatibility.md out of a run of the matrix: what was observed, by whom, and in which revisions.

It judges nothing: `run.py` has done that. The page is made anew by `run.py --page FILE` and edited by nobody.
"""

import json
import subprocess
import tomllib
from pathlib import Path

CLIENT_NAMES = {
    "py1": "Python `mcp` {mcp1}",
    "py2-legacy": "Python `mcp` {mcp2}, handshake",
    "py2-modern": "Python `mcp` {mcp2}, 2026-07-28 only",
    "py2-auto": "Python `mcp` {mcp2}, as it comes",
    "ts-legacy": "TypeScript `client` {client}, handshake",
    "ts-modern": "TypeScript `client` {client}, 2026-07-28 only",
    "ts-auto": "TypeScript `client` {client}, as it comes",
    "py1-sse": "Python `mcp` {mcp1} over HTTP+SSE",
    "py1-door": "Python `mcp` {mcp1} through `portreeve stdio`",
    "ts-door": "TypeScript `client` {client} through `portreeve stdio`",
    "py-2024-11-05": "Python `mcp` {py-2024-11-05} over HTTP+SSE",
    "py-2025-03-26": "Python `mcp` {py-2025-03-26}",
    "py-2025-06-18": "Python `mcp` {py-2025-06-18}",
    "fastmcp4-legacy": "Python `fastmcp` {fastmcp}, handshake",
    "fastmcp4-auto": "Python `fastmcp` {fastmcp}, as it comes",
    "rmcp-legacy": "Rust `rmcp` {rmcp}, handshake",
    "rmcp-modern": "Rust `rmcp` {rmcp}, 2026-07-28 only",
    "rmcp-auto": "Rust `rmcp` {rmcp}, as it comes",
    "ts1": "TypeScript `sdk` {sdk}",
    "ts1-2025-03-26": "TypeScript `sdk` {sdk-2025-03-26}",
    "inspector": "Inspector {inspector}, command line",
    "mcp-remote": "Python `mcp` {mcp1} through `mcp-remote` {mcp-remote}",
}
SERVER_NAMES = {
    "everything-stdio": "`server-everything` {everything}, stdio",
    "everything-http": "`server-everything` {everything}, Streamable HTTP",
    "everything-sse": "`server-everything` {everything}, HTTP+SSE",
    "py1-stdio": "FastMCP of Python `mcp` {mcp1}, stdio",
    "py1-http": "FastMCP of Python `mcp` {mcp1}, Streamable HTTP",
    "py1-sse": "FastMCP of Python `mcp` {mcp1}, HTTP+SSE",
    "py2-stdio": "Python `mcp` {mcp2}, both eras, stdio",
    "py2-http": "Python `mcp` {mcp2}, both eras, Streamable HTTP",
    "py2-modern-http": "Python `mcp` {mcp2}, 2026-07-28 only, Streamable HTTP",
    "fastmcp4-stdio": "Python `fastmcp` {fastmcp}, stdio",
    "fastmcp4-http": "Python `fastmcp` {fastmcp}, Streamable HTTP",
    "server2-stdio": "TypeScript `server` {server}, stdio",
    "server2-http": "TypeScript `server` {server}, Streamable HTTP",
    "rmcp-stdio": "Rust `rmcp` {rmcp}, stdio",
    "rmcp-http": "Rust `rmcp` {rmcp}, Streamable HTTP",
    "demo": "the built-in demo",
    "all": "all of them together",
}
HEAD = """# Compatibility

Other people's clients and servers, in every pairing, through one gate. A cell tells how many scenarios came out exactly as expected
(tools, resources, prompts, completion, progress, logs, cancellation, questions to the person and to the model, folders, tasks, changed
lists, broken connections …; [the harness](../tests/interop/README.md) lists them), and in which revisions both legs spoke: client – gate /
gate – server. *Not offered* is what the server does not have either when the same library asks it directly, in the same run.

This page is made by

```sh
tests/interop/install.sh && cargo build && tests/interop/run.py --page docs/compatibility.md
```
"""
FOOT = """
TypeScript packages are those of `@modelcontextprotocol`. Three servers have no place for what only a session can have (log levels,
subscriptions, tasks), so fewer scenarios are tried with them; *all of them together* is `/mcp`, where each scenario asks every
server in turn on one connection.
"""


def packages(stack: Path) -> dict[str, str]:
    """The versions that were installed for the run."""
    modules = stack / "node/node_modules"

    def python(environment: str, package: str = "mcp") -> str:
        code = f"import importlib.metadata as m; print(m.version({package!r}))"
        interpreter = str(stack / environment / "bin/python")
        return subprocess.run([interpreter, "-c", code], check=True, capture_output=True, text=True).stdout.strip()

    def npm(name: str) -> str:
        return json.loads((modules / name / "package.json").read_text())["version"]

    def locked(crate: str) -> str:
        lock = tomllib.loads((Path(__file__).parent / "rmcp/Cargo.lock").read_text())
        return next(package["version"] for package in lock["package"] if package["name"] == crate)

    return {
        "mcp1": python("py1"),
        "mcp2": python("py2"),
        **{name: python(name) for name in ("py-2024-11-05", "py-2025-03-26", "py-2025-06-18")},
        "fastmcp": python("fastmcp4", "fastmcp"),
        "rmcp": locked("rmcp"),
        "client": npm("@modelcontextprotocol/client"),
        "server": npm("@modelcontextprotocol/server"),
        "sdk": npm("@modelcontextprotocol/sdk"),
        "sdk-2025-03-26": npm("sdk-2025-03-26"),
        "inspector": npm("@modelcontextprotocol/inspector"),
        "mcp-remote": npm("mcp-remote"),
        "everything": npm("@modelcontextprotocol/server-everything"),
    }


def described(binary: str, config: Path) -> dict[str, str]:
    """What each server speaks with the gate, as `portreeve doctor` finds."""
    command = [str(Path(binary).resolve()), "doctor", "--json", "--config", str(config)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=config.parent, check=False)
    return {one["server"]: one.get("revision") or "?" for one in json.loads(run.stdout)["servers"]}


def page(matrix, revisions: dict[str, str]) -> str:
    """The whole page."""
    versions = packages(matrix.stack)
    lines = [HEAD]
    for server in matrix.columns:
        lines += [f"## {SERVER_NAMES[server].format(**versions)}", "", "| client | works | revisions |", "|---|---|---|"]
        for client in matrix.clients:
            lines.append(row(matrix, client, server, versions, revisions))
        lines.append("")
    return "\n".join(lines) + differences(matrix) + FOOT


def row(matrix, client: str, server: str, versions: dict[str, str], revisions: dict[str, str]) -> str:
    result = matrix.results[client, server]
    wrong = [name for name, found in result.items() if found]
    works = f"{len(result) - len(wrong)} of {len(result)}"
    refused = matrix.not_offered[client, server]
    if refused:
        works += f"; not offered: {', '.join(f'`{name}`' for name in refused)}"
    spoken = " and ".join(sorted(matrix.spoken[client, server])) or "?"
    spec = matrix.servers[server]
    upstream = "each its own" if spec.together else spoken if spec.builtin else revisions.get(server, "?")
    return f"| {CLIENT_NAMES[client].format(**versions)} | {works} | {spoken} / {upstream} |"


def differences(matrix) -> str:
    lines = [
        f"- {client} and {server}, `{name}`: {what}"
        for (client, server), result in matrix.results.items()
        for name, found in result.items()
        for what, _, _ in found
    ]
    lacking = sorted({f"`{name}` ({client})" for (client, _), names in matrix.lacking.items() for name in names})
    text = "\n## What differs\n\n" + ("\n".join(lines) if lines else "Nothing.") + "\n"
    if lacking:
        text += f"\n## What a client's library has no word for\n\n{', '.join(lacking)}.\n"
    return text
