"""Writes docs/compatibility.md out of a run of the matrix: what was observed, by whom, and in which revisions.

It judges nothing: `run.py` has done that. The page is made anew by `run.py --page FILE` and edited by nobody.
"""

import json
import subprocess
from pathlib import Path

CLIENT_NAMES = {
    "py1": "Python `mcp` {mcp1}",
    "py2-legacy": "Python `mcp` {mcp2}, handshake",
    "py2-modern": "Python `mcp` {mcp2}, 2026-07-28 only",
    "py2-auto": "Python `mcp` {mcp2}, as it comes",
    "ts-legacy": "TypeScript `@modelcontextprotocol/client` {client}, handshake",
    "ts-modern": "TypeScript `@modelcontextprotocol/client` {client}, 2026-07-28 only",
    "ts-auto": "TypeScript `@modelcontextprotocol/client` {client}, as it comes",
    "py1-sse": "Python `mcp` {mcp1} over HTTP+SSE",
    "py1-door": "Python `mcp` {mcp1} through `portreeve stdio`",
    "ts-door": "TypeScript `@modelcontextprotocol/client` {client} through `portreeve stdio`",
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
    "demo": "the built-in demo",
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
MISSING = """
## Not tried here yet

Older releases of the Python library (one for each earlier revision), the TypeScript `sdk` 1.x, `fastmcp` 4, `rmcp`,
`mcp-remote`, the Inspector's command line, and the address of all servers as one more column. [Clients](clients.md) says which of them were
tried by hand, and how.
"""


def packages(stack: Path) -> dict[str, str]:
    """The versions that were installed for the run."""
    modules = stack / "node/node_modules/@modelcontextprotocol"

    def python(environment: str) -> str:
        code = "import importlib.metadata as m; print(m.version('mcp'))"
        interpreter = str(stack / environment / "bin/python")
        return subprocess.run([interpreter, "-c", code], check=True, capture_output=True, text=True).stdout.strip()

    def npm(name: str) -> str:
        return json.loads((modules / name / "package.json").read_text())["version"]

    return {
        "mcp1": python("py1"),
        "mcp2": python("py2"),
        "client": npm("client"),
        "everything": npm("server-everything"),
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
    return "\n".join(lines) + differences(matrix) + MISSING


def row(matrix, client: str, server: str, versions: dict[str, str], revisions: dict[str, str]) -> str:
    result = matrix.results[client, server]
    wrong = [name for name, found in result.items() if found]
    works = f"{len(result) - len(wrong)} of {len(result)}"
    refused = matrix.not_offered[client, server]
    if refused:
        works += f"; not offered: {', '.join(f'`{name}`' for name in refused)}"
    spoken = " and ".join(sorted(matrix.spoken[client, server])) or "?"
    # A server of both eras answers in the client's own.
    upstream = spoken if len(matrix.servers[server].eras) > 1 else revisions.get(server, "?")
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
