#!/usr/bin/env python3
"""The interoperability matrix: clients of others x servers of others x scenarios, through the gateway or directly.

Python's standard library only; `install.sh` must have run. Starts everything on loopback ports of the system's
choice, compares what each client observed with what `scenarios.py` expects, prints a table and every difference, and
exits 1 if there is one. A cell says "not offered" only where the server is known not to have what a scenario needs and
the same call, made directly by the same library in an era that the server speaks, failed too in the same run.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Callable

import page
import scenarios
from parts import Cutter, Gateway, Processes, Relay, drive, http_server

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LEGACY, MODERN = "2025-11-25", "2026-07-28"
ALL = "all"
RMCP = "rmcp/debug/rmcp-client"


@dataclass(frozen=True)
class Client:
    driver: str
    mode: str
    door: bool = False
    """Starts `portreeve stdio SERVER` instead of using the gateway's URL."""
    sse: bool = False
    """Uses the gateway's HTTP+SSE address."""
    bridge: str | None = None
    """A program of others that the driver starts, and that speaks to the gateway's URL for it."""
    newest: str = LEGACY
    """The newest legacy revision that its library knows."""
    runs: str | None = None
    """The Python environment, if it is not the driver's own name."""
    always_able: bool = False
    """It declares what it can be asked whatever it is told."""
    never: frozenset[str] = frozenset()
    """The capabilities that it does not declare though its revision has them."""
    patience: float = 1
    """How many times longer than the others it may take."""
    package: str | None = None
    """The npm package, where one driver serves several."""

    def version(self, server: "Server", direct: bool) -> str:
        if self.mode == "auto":
            return server.eras[-1] if direct else MODERN
        return self.newest if self.mode == "legacy" else self.mode

    @property
    def plain(self) -> bool:
        """Speaks Streamable HTTP."""
        return not self.door and not self.sse and not self.bridge

    @property
    def declared(self) -> set[str]:
        asks = {"elicitation"} if self.newest >= "2025-06-18" else set()
        return {"roots", "sampling", *asks} - self.never

    @property
    def library(self) -> tuple:
        return self.driver, self.runs, self.package

    def can_do_without(self, server: "Server") -> bool:
        return self.speaks_to(server) and self.plain and not server.own

    def speaks_to(self, server: "Server") -> bool:
        if server.sse and self.driver == RMCP:
            return False  # the library has no HTTP+SSE
        spoken = self.version(server, True)
        return self.mode == "auto" or (MODERN if spoken == MODERN else LEGACY) in server.eras

    @property
    def environment(self) -> dict[str, str]:
        return {"INTEROP_PACKAGE": self.package} if self.package else {}


CLIENTS = {
    "py1": Client("py1.py", "legacy"),
    "py2-legacy": Client("py2.py", "legacy"),
    "py2-modern": Client("py2.py", MODERN),
    "py2-auto": Client("py2.py", "auto"),
    "ts-legacy": Client("ts.mjs", "legacy"),
    "ts-modern": Client("ts.mjs", MODERN),
    "ts-auto": Client("ts.mjs", "auto"),
    "py1-sse": Client("py1.py", "legacy", sse=True),
    "py1-door": Client("py1.py", "legacy", door=True),
    "ts-door": Client("ts.mjs", MODERN, door=True),
    "py-2024-11-05": Client("py1.py", "legacy", sse=True, newest="2024-11-05", runs="py-2024-11-05", always_able=True),
    "py-2025-03-26": Client("py1.py", "legacy", newest="2025-03-26", runs="py-2025-03-26"),
    "py-2025-06-18": Client("py1.py", "legacy", newest="2025-06-18", runs="py-2025-06-18"),
    "fastmcp4-legacy": Client("fastmcp4.py", "legacy"),
    "fastmcp4-auto": Client("fastmcp4.py", "auto"),
    "rmcp-legacy": Client(RMCP, "legacy"),
    "rmcp-modern": Client(RMCP, MODERN),
    "rmcp-auto": Client(RMCP, "auto"),
    "ts1": Client("ts1.mjs", "legacy", package="@modelcontextprotocol/sdk"),
    "ts1-2025-03-26": Client("ts1.mjs", "legacy", newest="2025-03-26", package="sdk-2025-03-26"),
    "inspector": Client("inspector.mjs", "legacy", always_able=True, never=frozenset({"elicitation", "sampling"}), patience=4),
    "mcp-remote": Client("py1.py", "legacy", bridge="mcp-remote"),
}


@dataclass(frozen=True)
class Server:
    command: tuple[str, ...]
    eras: tuple[str, ...]
    http: bool
    family: Callable[[], list[scenarios.Scenario]]
    builtin: str | None = None
    sse: bool = False
    """Over HTTP+SSE of revision 2024-11-05."""
    together: bool = False
    """The gateway's address of all servers."""

    @property
    def own(self) -> bool:
        """Part of the gateway, so never reached directly."""
        return self.together or self.builtin is not None

    def entry(self, url: str | None) -> dict:
        """What the gateway's configuration says about it."""
        if self.builtin:
            return {"builtin": self.builtin}
        if self.sse:
            return {"url": url, "transport": "sse"}
        return {"url": url} if self.http else as_command(self.command)


def servers(stack: Path) -> dict[str, Server]:
    node = str(stack / "node/node_modules/.bin/node")
    entry = str(stack / "node/node_modules/@modelcontextprotocol/server-everything/dist/index.js")
    preload = ("--import", (HERE / "servers/loopback.mjs").as_uri())
    one = (str(stack / "py1/bin/python"), str(HERE / "servers/py1.py"))
    two = (str(stack / "py2/bin/python"), str(HERE / "servers/py2.py"))
    four = (str(stack / "fastmcp4/bin/python"), str(HERE / "servers/fastmcp4.py"))
    two_ts = (node, str(HERE / "servers/server2.mjs"), str(stack))
    rust = str(stack / "rmcp/debug/rmcp-server")
    core = partial(scenarios.core, scenarios.CORE_TOOLS, "{}")
    both, everything = (LEGACY, MODERN), scenarios.everything
    with_tasks = partial(scenarios.ours, has_tasks=True)
    modern = partial(scenarios.ours, resumes=False)
    return {
        "everything-stdio": Server((node, entry, "stdio"), (LEGACY,), False, everything),
        "everything-http": Server((node, *preload, entry, "streamableHttp"), (LEGACY,), True, everything),
        "py1-stdio": Server((*one, "stdio"), (LEGACY,), False, with_tasks),
        "py1-http": Server((*one, "http"), (LEGACY,), True, with_tasks),
        "py2-stdio": Server((*two, "dual", "stdio"), both, False, modern),
        "py2-http": Server((*two, "dual", "http"), both, True, modern),
        "py2-modern-http": Server((*two, "modern", "http"), (MODERN,), True, modern),
        "everything-sse": Server((node, *preload, entry, "sse"), (LEGACY,), True, everything, sse=True),
        "py1-sse": Server((*one, "sse"), (LEGACY,), True, with_tasks, sse=True),
        "fastmcp4-stdio": Server((*four, "stdio"), both, False, core),
        "fastmcp4-http": Server((*four, "http"), both, True, core),
        "server2-stdio": Server((*two_ts, "stdio"), both, False, core),
        "server2-http": Server((*two_ts, "http"), both, True, core),
        "rmcp-stdio": Server((rust, "stdio"), both, False, core),
        "rmcp-http": Server((rust, "http"), both, True, core),
        "demo": Server((), both, False, scenarios.demo, builtin="demo"),
        ALL: Server((), both, False, scenarios.together, together=True),
    }


class Matrix:
    """One run: the processes, the addresses, and what came out of each pair."""

    def __init__(self, options: argparse.Namespace, stack: Path, logs: Path, processes: Processes):
        self.options, self.stack, self.logs, self.processes = options, stack, logs, processes
        self.servers = servers(stack)
        self.clients = chosen(CLIENTS, options.client)
        self.columns = chosen(self.servers, options.server)
        self.urls: dict[str, str] = {}
        self.upstream_urls: dict[str, str] = {}
        self.cutters: dict[str, Cutter] = {}
        self.gateway: Gateway | None = None
        self.before: Cutter | None = None
        # What a server says over a pipe names no call, so it can be told whose it is only while there is one caller.
        self.alone = {name: threading.Lock() for name, spec in self.columns.items() if not spec.http and not spec.own}
        self.direct_seen: dict[tuple[str, str, str], dict] = {}
        self.results: dict[tuple[str, str], dict[str, list]] = {}
        self.not_offered: dict[tuple[str, str], list[str]] = {}
        self.lacking: dict[tuple[str, str], list[str]] = {}
        self.spoken: dict[tuple[str, str], set[str]] = {}
        self.revisions: dict[str, str] = {}

    def start(self) -> None:
        entries = {}
        for name, spec in self.columns.items():
            if spec.together:
                continue
            if spec.http:
                port = http_server(self.processes, name, spec.command)
                path = "sse" if spec.sse else "mcp"
                self.urls[name] = f"http://127.0.0.1:{port}/{path}"
                seen = Relay(self.processes, port, f"{name}-upstream").port if self.options.trace else port
                self.upstream_urls[name] = f"http://127.0.0.1:{seen}/{path}"
                if not spec.sse:
                    entries[f"{name}-cut"] = {"url": f"http://127.0.0.1:{Cutter(seen).port}/{path}"}
                    self.cutters[name] = Cutter(port)
            entries[name] = spec.entry(self.upstream_urls.get(name))
        if not self.options.direct:
            options = self.options
            self.gateway = Gateway(self.processes, options.portreeve, entries, options.key, options.trace)
            self.before = Cutter(self.gateway.port)

    def target(self, client: Client, server: str, direct: bool) -> dict:
        if direct:
            spec = self.servers[server]
            if not spec.http:
                return as_command(spec.command)
            routes = {"client": f"http://127.0.0.1:{self.cutters[server].port}/mcp"} if server in self.cutters else {}
            return {"url": self.urls[server], "sse": spec.sse, "routes": routes}
        together = self.servers[server].together
        if client.door:
            which = () if together else (server,)
            return as_command((self.options.portreeve, "stdio", *which, *self.gateway.door_options))
        path = "" if together else f"/{server}"
        if client.sse:
            return {"url": f"{self.gateway.url}/sse{path}", "sse": True, "bearer": self.options.key}
        url = f"{self.gateway.url}/mcp{path}"
        if client.bridge:
            return as_command(self.bridge(client.bridge, url))
        routes = {"client": f"http://127.0.0.1:{self.before.port}/mcp{path}", "server": f"{url}-cut"}
        return {"url": url, "bearer": self.options.key, "routes": routes}

    def bridge(self, program: str, url: str) -> tuple[str, ...]:
        bin = self.stack / "node/node_modules/.bin"
        key = ("--header", f"Authorization: Bearer {self.options.key}") if self.options.key else ()
        return (str(bin / "node"), str(bin / program), url, "--transport", "http-only", *key)

    def is_for(self, scenario: scenarios.Scenario, client: Client, server: str, direct: bool) -> bool:
        """Whether there is such a thing between these two."""
        spec = self.servers[server]
        if scenario.eras and client.version(spec, direct) not in scenario.eras:
            return False
        if client.always_able and not scenario.able:
            return False
        has_route = {
            None: True,
            "client": client.plain and (not direct or server in self.cutters and spec.eras == (LEGACY,)),
            "server": client.plain and spec.http and not spec.sse and not direct,
        }
        return has_route[scenario.via]

    def scenarios(self, client: Client, server: str) -> list[scenarios.Scenario]:
        spec = self.servers[server]
        version = client.version(spec, self.options.direct)
        family = spec.family(self.columns) if spec.together else spec.family()
        return [scenario.for_client(version, client.declared) for scenario in family]

    def run(self, client: str, server: str, names: list[str] | None, direct: bool) -> dict[str, dict]:
        spec = CLIENTS[client]
        wanted = [
            scenario
            for scenario in self.scenarios(spec, server)
            if (scenario.name in names if names else scenario.name not in scenarios.NOT_YET)
            and self.is_for(scenario, spec, server, direct)
        ]
        job = {
            "target": self.target(spec, server, direct),
            "mode": spec.mode,
            "seconds": self.options.seconds * spec.patience,
            "budget": self.options.budget,
            "scenarios": [scenario.job() for scenario in wanted],
        }
        label = f"{client}--{server}{'--direct' if direct else ''}"
        with nullcontext() if direct else self.alone.get(server, nullcontext()):
            return drive(self.processes, self.stack, spec, job, label)

    def pair(self, client: str, server: str) -> None:
        direct = self.options.direct
        observed = self.run(client, server, self.options.scenario, direct)
        family = self.scenarios(CLIENTS[client], server)
        wrong: dict[str, list] = {}
        lacking = [s.name for s in family if s.name in observed and s.lacking(observed[s.name])]
        self.lacking[client, server] = lacking
        observed = {name: result for name, result in observed.items() if name not in lacking}
        self.spoken[client, server] = {result["version"] for result in observed.values() if result.get("version")}
        for scenario in family:
            if scenario.name in observed:
                found = self.judge(CLIENTS[client], server, scenario, observed[scenario.name])
                if found:
                    wrong[scenario.name] = found
        refused = self.not_offered_by(client, server, wrong) if wrong else []
        self.not_offered[client, server] = refused
        self.results[client, server] = {
            name: wrong.get(name, []) for name in observed if name not in refused
        }
        state = "ok" if not set(wrong) - set(refused) else "differs: " + " ".join(n for n in wrong if n not in refused)
        print(f"{client} -> {server}: {state}", file=sys.stderr, flush=True)

    def judge(self, client: Client, server: str, scenario, result: dict) -> list:
        found = scenario.mismatches(result)
        version = client.version(self.servers[server], self.options.direct)
        if not found and result.get("version") != version:
            found = [("negotiated version", version, result.get("version"))]
        if not found and scenario.name == "list" and not self.options.direct and not self.servers[server].own:
            found = self.judge_list(client, server, result)
        return found

    def judge_list(self, client: Client, server: str, result: dict) -> list:
        """Descriptions and schemas must be those that the same library is given by the server itself."""
        reference = self.direct(self.reference(client, server), server, ["list"])["list"]
        if reference.get("failed"):
            return [("the list, asked directly", "an answer", reference["failed"])]
        theirs, ours = reference["steps"][0], result["steps"][0]
        return [
            (f"tool {name} in the list", theirs[name], ours[name])
            for name in sorted(theirs.keys() & ours.keys())
            if theirs[name] != ours[name]
        ]

    def reference(self, client: Client, server: str) -> str:
        """A client of the same library that can talk to the server without the gateway."""
        spec = self.servers[server]
        same = [n for n, c in CLIENTS.items() if c.mode == client.mode and c.library == client.library and c.plain]
        kin = [n for n, c in CLIENTS.items() if c.library == client.library and c.mode != "auto" and c.plain]
        fallback = [n for n, c in CLIENTS.items() if c.driver == "py2.py" and c.mode != "auto"]
        return next(n for n in same + kin + fallback if CLIENTS[n].speaks_to(spec))

    def direct(self, client: str, server: str, names: list[str]) -> dict[str, dict]:
        missing = [name for name in names if (client, server, name) not in self.direct_seen]
        for name, result in (self.run(client, server, missing, True) if missing else {}).items():
            self.direct_seen[client, server, name] = result
        return {name: self.direct_seen[client, server, name] for name in names}

    def not_offered_by(self, client: str, server: str, wrong: dict[str, list]) -> list[str]:
        """Which of these scenarios the server does not offer either when there is nothing in between.

        Only what the server is known not to have is forgiven, and only after trying: a direct call that fails by
        accident must not excuse the gateway. What else fails directly too is added to the differences.
        """
        by_name = {scenario.name: scenario for scenario in self.scenarios(CLIENTS[client], server)}
        if self.options.direct or self.servers[server].own:
            return [name for name in wrong if not by_name[name].offered]
        reference, refused = self.reference(CLIENTS[client], server), []
        names = [name for name in wrong if self.is_for(by_name[name], CLIENTS[reference], server, True)]
        for name, again in self.direct(reference, server, names).items():
            found = by_name[name].mismatches(again)
            if found and not by_name[name].offered:
                refused.append(name)
            wrong[name] += [(f"also directly: {what}", expected, observed) for what, expected, observed in found]
        return refused


def as_command(command: tuple[str, ...]) -> dict:
    return {"command": command[0], "args": list(command[1:])}


def chosen(known: dict, names: list[str]) -> dict:
    unknown = set(names) - known.keys()
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return {name: known[name] for name in (names or known)}


def table(matrix: Matrix) -> str:
    rows = [["", *matrix.columns]]
    for client in matrix.clients:
        rows.append([client, *(cell(matrix, client, server) for server in matrix.columns)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join(lines)


def cell(matrix: Matrix, client: str, server: str) -> str:
    if (client, server) not in matrix.results:
        return "-"
    result = matrix.results[client, server]
    wrong = [name for name, found in result.items() if found]
    refused = matrix.not_offered[client, server]
    text = " ".join(wrong) if wrong else f"ok {len(result)}/{len(result)}"
    return text + (f" (not offered: {' '.join(refused)})" if refused else "")


def differences(matrix: Matrix) -> list[str]:
    lines = []
    for (client, server), result in matrix.results.items():
        for name, found in result.items():
            for what, expected, observed in found:
                lines.append(f"{client} -> {server}, {name}: {what}")
                lines.append(f"    expected {shown(expected)}")
                lines.append(f"    observed {shown(observed)}")
    return lines


def shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 1500 else f"{text[:1500]}... ({len(text)} characters)"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--client", action="append", default=[], help="only this client (repeatable)")
    parser.add_argument("--server", action="append", default=[], help="only this server (repeatable)")
    parser.add_argument("--scenario", action="append", help="only this scenario (repeatable)")
    parser.add_argument("--direct", action="store_true", help="without the gateway: pairs that share an era")
    parser.add_argument("--sample", action="store_true", help="a third of the pairs: each client and each server a few times")
    parser.add_argument("--portreeve", default=str(ROOT / "target/debug/portreeve"), help="the gateway's binary")
    parser.add_argument("--key", help="configure the gateway with this API key and send it as a bearer token")
    parser.add_argument("--json", type=Path, help="write every observation there")
    parser.add_argument("--page", type=Path, help="write the page of a whole run there, as Markdown")
    parser.add_argument("--jobs", type=int, default=2, help="pairs at the same time")
    parser.add_argument("--seconds", type=float, default=20, help="the longest a scenario may take")
    parser.add_argument("--budget", type=float, default=90, help="after this many seconds a pair starts no scenario")
    parser.add_argument("--limit", type=float, default=3600, help="after this many seconds no pair is started")
    parser.add_argument("--trace", action="store_true", help="log the bytes between client, gateway and HTTP servers")
    parser.add_argument("--keep", action="store_true", help="keep the logs also when all is well")
    return parser.parse_args()


def main() -> int:
    options = arguments()
    stack = Path(os.environ.get("PORTREEVE_STACK", ROOT / ".stack")).resolve()
    if not (stack / "node/.installed").exists():
        sys.exit(f"nothing installed in {stack}: run {HERE / 'install.sh'}")
    if not options.direct and not os.access(options.portreeve, os.X_OK):
        sys.exit(f"no gateway at {options.portreeve}: build it, or give --portreeve or --direct")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the children are ended then, too
    logs = Path(tempfile.mkdtemp(prefix="portreeve-interop-"))
    began = time.monotonic()
    with Processes(logs) as processes:
        matrix = Matrix(options, stack, logs, processes)
        matrix.start()
        pairs = [
            (client, server)
            for row, (client, spec) in enumerate(matrix.clients.items())
            for column, server in enumerate(matrix.columns)
            if not options.direct or spec.can_do_without(matrix.servers[server])
            if not options.sample or (row + column) % 3 == 2
        ]
        run_all(matrix, pairs, began + options.limit)
        if options.page and matrix.gateway:
            matrix.revisions = page.described(options.portreeve, matrix.gateway.door_config)
        left = matrix.gateway.stop() if matrix.gateway else []
    return report(matrix, left, logs, time.monotonic() - began)


def run_all(matrix: Matrix, pairs: list[tuple[str, str]], end: float) -> None:
    def one(client: str, server: str) -> None:
        if time.monotonic() < end:
            matrix.pair(client, server)
        else:
            matrix.results[client, server] = {"everything": [("the pair", "a run", "the time for the matrix was over")]}
            matrix.not_offered[client, server] = []
            matrix.spoken[client, server] = set()

    pool = ThreadPoolExecutor(matrix.options.jobs)
    try:
        for done in [pool.submit(one, *pair) for pair in pairs]:
            done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def report(matrix: Matrix, left: list[str], logs: Path, seconds: float) -> int:
    print(table(matrix))
    lines = differences(matrix) + [f"the gateway's end: {line}" for line in left]
    print("\n".join(["", *lines] if lines else [""]))
    total = sum(len(result) for result in matrix.results.values())
    wrong = sum(bool(found) for result in matrix.results.values() for found in result.values())
    print(f"{total - wrong} of {total} cells as expected, in {seconds:.0f} s")
    if matrix.options.json:
        cells = {f"{c} -> {s}": r for (c, s), r in matrix.results.items()}
        refused = {f"{c} -> {s}": names for (c, s), names in matrix.not_offered.items() if names}
        matrix.options.json.write_text(json.dumps({"cells": cells, "not_offered": refused, "end": left}, indent=1))
    if matrix.options.page:
        matrix.options.page.write_text(page.page(matrix, matrix.revisions))
    lacking = sorted({f"{client}: {name}" for (client, _), names in matrix.lacking.items() for name in names})
    if lacking:
        print(f"what a client's library said that it has not: {', '.join(lacking)}")
    if lines or matrix.options.keep:
        print(f"logs: {logs}")
    else:
        shutil.rmtree(logs)
    return 1 if lines or not total else 0


if __name__ == "__main__":
    sys.exit(main())
