"""Where the demo server stands behind the gateway: starting it, and proving that it stands there.

A gateway that ignored its configuration would pass every check, so before a placement counts the demo itself is asked
in which process and in which era it was called. No conformance check is made here.
"""

import contextlib
import json
import os
import pathlib
import re
import select
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Optional

from suites import MODERN, Unable

READY_SECONDS = 20
STOP_SECONDS = 10


@dataclass(frozen=True)
class Placement:
    """How the demo is started, and what it has to say of the gateway's side of a call."""

    era: str
    transport: Optional[str] = None
    """None: inside the gateway."""
    speaks: str = "both"

    def demo(self, listen=()):
        return ["demo", "--transport", self.transport, "--era", self.speaks, *listen]


PLACEMENTS = {
    "direct": Placement("modern"),
    "stdio": Placement("legacy", "stdio", "legacy"),
    "legacy-http": Placement("legacy", "http", "legacy"),
    "http-sse": Placement("legacy", "sse", "legacy"),
    "modern-http": Placement("modern", "http", "modern"),
    "dual": Placement("modern", "http", "both"),
}

class Program:
    """A started program that prints its URL when it is ready; its log is kept for the moment something goes wrong."""

    def __init__(self, arguments, directory, name):
        self.name = name
        self.log = open(directory / f"{name}.log", "w+")
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log,
                                        cwd=directory)

    def url(self):
        """The first URL that it prints."""
        end, printed = time.monotonic() + READY_SECONDS, b""
        while time.monotonic() < end:
            readable, _, _ = select.select([self.process.stdout], [], [], end - time.monotonic())
            piece = os.read(self.process.stdout.fileno(), 4096) if readable else b""
            printed += piece
            found = re.search(rb"(http://\S+)\n", printed)
            if found:
                return found.group(1).decode()
            if not piece:
                break
        raise Unable(f"{self.name} is not ready after {READY_SECONDS} s:\n{self.output()}")

    def output(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_SECONDS)
        self.process.stdout.close()
        self.log.close()


def server_entry(placement, portreeve, url):
    """The `demo` entry of the configuration, as JSON, which is YAML too."""
    if placement.transport is None:
        return {"builtin": "demo"}
    if placement.transport == "stdio":
        # A suite acts as dozens of clients that can be asked different things, and each kind has a child of its own.
        return {"command": portreeve, "args": placement.demo(), "max_children": 64}
    return {"url": url, "transport": "sse"} if placement.transport == "sse" else {"url": url}


class Stage:
    """The programs of one run, in a directory of their own."""

    def __init__(self, portreeve, directory):
        self.portreeve = portreeve
        self.directory = directory
        self.programs = {}

    def start(self, role, arguments):
        """Starts a program and gives the URL that it tells."""
        self.programs[role] = Program([self.portreeve, *arguments], self.directory, role)
        return self.programs[role].url()

    def start_gateway(self, entry):
        """A gateway with one server, `demo`."""
        anywhere = "127.0.0.1:0"
        configuration = {"listen": anywhere, "metrics": {"listen": anywhere}, "servers": {"demo": entry}}
        (self.directory / "portreeve.yaml").write_text(json.dumps(configuration, indent=2) + "\n")
        return self.start("gateway", ["serve", "--config", "portreeve.yaml", "--data", str(self.directory / "data")])

    def check(self):
        for program in self.programs.values():
            if program.process.poll() is not None:
                raise Unable(f"{program.name} ended with {program.process.returncode} during the run:\n"
                             f"{program.output()}")

    def clear(self, say):
        for program in reversed(list(self.programs.values())):
            say(f"--- output of {program.name} ---\n{program.output()}")
            program.stop()


@contextlib.contextmanager
def stage(portreeve, say):
    with tempfile.TemporaryDirectory(prefix="portreeve-conformance-") as directory:
        mine = Stage(portreeve, pathlib.Path(directory))
        try:
            yield mine
            mine.check()
        finally:
            mine.clear(say)


@contextlib.contextmanager
def gateway(name, portreeve, say):
    """Starts what a placement needs, proves that it is so, and gives the URL under test."""
    placement = PLACEMENTS[name]
    with stage(portreeve, say) as mine:
        behind = None
        if placement.transport in ("http", "sse"):
            behind = mine.start("demo", placement.demo(["--listen", "127.0.0.1:0"]))
        url = mine.start_gateway(server_entry(placement, portreeve, behind))
        prove(placement, url, mine.programs)
        yield url


def prove(placement, url, programs):
    """Whoever answers must be where it should be, and must have been spoken to as it should be."""
    seen = connection(url)
    gate = programs["gateway"].process.pid
    faults = []
    if seen["era"] != placement.era:
        faults.append(f"the server was spoken to in the {seen['era']} era, not the {placement.era} one")
    if placement.transport is None and seen["process"] != gate:
        faults.append("the server is not inside the gateway")
    if placement.transport == "stdio" and seen["process"] in {program.process.pid for program in programs.values()}:
        faults.append("the server is not a child of the gateway")
    if "demo" in programs and seen["process"] != programs["demo"].process.pid:
        faults.append("the server is not the one behind the URL")
    if faults:
        raise Unable(f"the placement is not what it says: {'; '.join(faults)}: {json.dumps(seen)}")


def connection(url):
    """What the demo server says of its own side of the call, asked by a modern client."""
    meta = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": "connection", "arguments": {}, "_meta": meta}}
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
               "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": "connection"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=READY_SECONDS) as answer:
            text = answer.read().decode()
    except urllib.error.HTTPError as refused:
        raise Unable(f"the demo behind {url} cannot be called: {refused.code} {refused.read().decode()}") from refused
    except OSError as broken:
        raise Unable(f"the demo behind {url} cannot be called: {broken}") from broken
    events = re.findall(r"^data: ?(\{.*)$", text, re.MULTILINE) or [text]
    try:
        seen = json.loads(events[-1])["result"]["structuredContent"]
        return {key: seen[key] for key in ("era", "process", "protocolVersion")}
    except (ValueError, KeyError) as odd:
        raise Unable(f"the demo behind {url} does not tell what it sees: {text}") from odd
