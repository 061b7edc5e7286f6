#!/usr/bin/env python3
"""Runs the protocol's own conformance suites against the gateway.

    run.py [--portreeve PATH] [--placement direct|stdio|legacy-http|modern-http|all]
           [--suite-version old|new|all] [--suite required|active|all|draft|pending]
           [--scenario NAME] [--url URL] [--json OUT] [--install-only]

The server under test is always /mcp/demo of a gateway; a placement says where the demo server stands behind it.
Two suites run side by side: the last stable one (revision 2025-11-25 only) and the newest alpha (2025-11-25 and
2026-07-28). `required`, the default, is what a revision asks of a server; scenarios that the suite runs without
scoring them (extensions, pending ones) are shown and do not count. With any other `--suite` everything counts.

Exit status: 0 every counted check passed; 1 a check failed; 2 the run itself could not be made.
It needs Python and npm, nothing else. The suites land in $PORTREEVE_STACK (default <repository>/.stack/conformance).
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
PLACEMENTS = ("direct", "stdio", "legacy-http", "modern-http")
LEGACY, MODERN = "2025-11-25", "2026-07-28"
# Which revisions each suite knows.
SUITES = {"old": (LEGACY,), "new": (LEGACY, MODERN)}
LEAST_NODE = 22

INSTALL_SECONDS = 300
READY_SECONDS = 20
STOP_SECONDS = 10
LIST_SECONDS = 30
# A whole suite takes under a minute; a hung server costs each scenario its own limit first.
SUITE_SECONDS = 900
SCENARIO_MILLISECONDS = 30_000


class Unable(Exception):
    """The run cannot be made: something is missing or did not start."""


# --- the suites -------------------------------------------------------------------------------------------------


def stack_directory():
    given = os.environ.get("PORTREEVE_STACK")
    return pathlib.Path(given) if given else REPOSITORY / ".stack" / "conformance"


def install(stack):
    """Installs exactly what the lock names, once per lock."""
    stamp = stack / "installed.lock"
    lock = (HERE / "package-lock.json").read_bytes()
    if stamp.exists() and stamp.read_bytes() == lock:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise Unable("npm is not installed")
    stack.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, stack / name)
    done = subprocess.run([npm, "ci"], cwd=stack, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=INSTALL_SECONDS)
    if done.returncode != 0:
        raise Unable(f"npm ci failed:\n{done.stdout}")
    stamp.write_bytes(lock)


def find_node(stack):
    """The suites need Node 22: the installed one, or the machine's own where none is packaged for it."""
    for candidate in sorted(stack.glob("node_modules/node-*/bin/node")):
        return str(candidate)
    own = shutil.which("node")
    if own:
        version = subprocess.run([own, "--version"], capture_output=True, text=True, timeout=LIST_SECONDS).stdout
        if int(re.match(r"v(\d+)", version).group(1)) >= LEAST_NODE:
            return own
    raise Unable(f"no Node {LEAST_NODE} or newer: npm packages none for this machine")


class Suite:
    """One installed conformance suite."""

    def __init__(self, stack, name):
        self.name = name
        self.command = [find_node(stack), str(stack / "node_modules" / f"conformance-{name}" / "dist" / "index.js")]

    def required(self, revision):
        """The scenarios that a revision scores, or None where the suite has no such list."""
        if self.name == "old":
            return None
        done = subprocess.run([*self.command, "list", "--server", "--requirements", revision],
                              capture_output=True, text=True, timeout=LIST_SECONDS)
        names, inside = set(), False
        for line in done.stdout.splitlines():
            if line and not line.startswith(" "):
                inside = line.startswith("Server scenarios")
            elif inside and line.startswith("  - "):
                names.add(line[4:].split(" ")[0])
        if not names:
            raise Unable(f"suite {self.name} lists no required scenario for {revision}: {done.stderr}")
        return names

    def selection(self, revision, suite, scenario):
        if scenario:
            return ["--scenario", scenario, "--spec-version", revision]
        if suite == "required" and self.name == "new":
            return ["--requirements", revision]
        return ["--suite", "active" if suite == "required" else suite, "--spec-version", revision]

    def run(self, url, revision, suite, scenario, say):
        """Runs and gives {scenario: [checks]}."""
        with tempfile.TemporaryDirectory(prefix="portreeve-conformance-") as out:
            arguments = ["server", "--url", url, "--output-dir", out, *self.selection(revision, suite, scenario)]
            if self.name == "new":
                arguments += ["--timeout", str(SCENARIO_MILLISECONDS)]
            try:
                done = subprocess.run([*self.command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                      text=True, timeout=SUITE_SECONDS)
            except subprocess.TimeoutExpired as slow:
                raise Unable(f"suite {self.name} {revision} did not end in {SUITE_SECONDS} s:\n{slow.output}") from slow
            say(done.stdout)
            return self.collect(pathlib.Path(out), done.stdout, scenario)

    def collect(self, out, printed, scenario):
        results = {}
        for path in sorted(out.glob("*/checks.json")):
            name = re.sub(r"^server-(.*)-\d{4}-\d\d-\d\dT[\d-]+Z$", r"\1", path.parent.name)
            results[name] = json.loads(path.read_text())
        for failed in re.findall(r"^Failed to run scenario ([^\s:]+)", printed, re.MULTILINE):
            results.setdefault(failed, [{"id": failed, "status": "FAILURE", "errorMessage": "the scenario did not run"}])
        if scenario and re.search("SKIPPED: scenario|Unknown scenario", printed):
            return {}
        announced = re.search(r"\((\d+) scenarios\)", printed)
        expected = 1 if scenario else int(announced.group(1)) if announced else None
        if expected is None or len(results) < expected:
            raise Unable(f"suite {self.name}: {len(results)} of {expected} scenarios have a result\n{printed}")
        return results


# --- the gateway ------------------------------------------------------------------------------------------------


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Program:
    """A started program; its output is kept for the moment something goes wrong."""

    def __init__(self, arguments, directory, name):
        self.name = name
        self.log = open(directory / f"{name}.log", "w+")
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        cwd=directory)

    def wait_for(self, port):
        """Ready is when it answers HTTP, whatever the status."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Unable(f"{self.name} ended with {self.process.returncode}:\n{self.output()}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.05)
        raise Unable(f"{self.name} does not answer on port {port} after {READY_SECONDS} s:\n{self.output()}")

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
        self.log.close()


def server_entry(placement, portreeve, behind_port):
    """The `demo` entry of the configuration, as JSON, which is YAML too."""
    if placement == "direct":
        return {"builtin": "demo"}
    if placement == "stdio":
        return {"command": portreeve, "args": ["demo", "--transport", "stdio", "--era", "legacy"]}
    return {"url": f"http://127.0.0.1:{behind_port}/mcp"}


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


def prove(placement, url, programs):
    """A gateway that ignores its configuration would pass every check: whoever answers must be where it should be."""
    seen = connection(url)
    gate = programs["gateway"].process.pid
    era = "legacy" if placement in ("stdio", "legacy-http") else "modern"
    faults = []
    if seen["era"] != era:
        faults.append(f"the server was spoken to in the {seen['era']} era, not the {era} one")
    if placement == "direct" and seen["process"] != gate:
        faults.append("the server is not inside the gateway")
    if placement == "stdio" and seen["process"] in {program.process.pid for program in programs.values()}:
        faults.append("the server is not a child of the gateway")
    if "demo" in programs and seen["process"] != programs["demo"].process.pid:
        faults.append("the server is not the one behind the URL")
    if faults:
        raise Unable(f"placement {placement} is not what it says: {'; '.join(faults)}: {json.dumps(seen)}")


@contextlib.contextmanager
def gateway(placement, portreeve, say):
    """Starts what a placement needs, proves that it is so, and gives the URL under test."""
    programs = {}
    with tempfile.TemporaryDirectory(prefix="portreeve-gate-") as name:
        directory = pathlib.Path(name)

        def start(role, arguments, port):
            programs[role] = Program([portreeve, *arguments], directory, role)
            programs[role].wait_for(port)

        try:
            behind = None
            if placement in ("legacy-http", "modern-http"):
                behind = free_port()
                era = placement.split("-")[0]
                start("demo", ["demo", "--transport", "http", "--era", era, "--listen", f"127.0.0.1:{behind}"], behind)
            port = free_port()
            configuration = {
                "listen": f"127.0.0.1:{port}",
                "metrics": {"listen": f"127.0.0.1:{free_port()}"},
                "servers": {"demo": server_entry(placement, portreeve, behind)},
            }
            (directory / "portreeve.yaml").write_text(json.dumps(configuration, indent=2) + "\n")
            start("gateway", ["serve", "--config", "portreeve.yaml", "--data", str(directory / "data")], port)
            url = f"http://127.0.0.1:{port}/mcp/demo"
            prove(placement, url, programs)
            yield url
            for program in programs.values():
                if program.process.poll() is not None:
                    raise Unable(f"{program.name} ended with {program.process.returncode} during the run:\n"
                                 f"{program.output()}")
        finally:
            for program in reversed(programs.values()):
                say(f"--- output of {program.name} ---\n{program.output()}")
                program.stop()


# --- the report -------------------------------------------------------------------------------------------------


def count(checks, status):
    return sum(1 for check in checks if check.get("status") == status)


def cell(checks):
    if checks is None:
        return "."
    text = f"{count(checks, 'SUCCESS')}/{count(checks, 'FAILURE')}"
    warnings = count(checks, "WARNING")
    return f"{text} w{warnings}" if warnings else text


class Report:
    """Every check of every run, by (suite, revision, scenario) and placement."""

    def __init__(self):
        self.columns = []
        self.rows = {}
        self.unscored = set()
        self.broken = []
        self.unable = []

    def add(self, placement, suite, revision, results, required):
        if placement not in self.columns:
            self.columns.append(placement)
        for scenario, checks in results.items():
            row = (suite, revision, scenario)
            self.rows.setdefault(row, {})[placement] = checks
            if required is not None and scenario not in required:
                self.unscored.add(row)
        for scenario in sorted((required or set()) - set(results)):
            self.broken.append(f"{placement}: suite {suite}, {revision}: required scenario {scenario} did not run")

    def each(self, status, scored):
        for row, by_placement in self.rows.items():
            if (row not in self.unscored) != scored:
                continue
            for placement, checks in by_placement.items():
                for check in checks:
                    if check.get("status") == status:
                        yield row, placement, check

    def totals(self, placement, scored):
        passed = sum(1 for _, where, _ in self.each("SUCCESS", scored) if where == placement)
        failed = sum(1 for _, where, _ in self.each("FAILURE", scored) if where == placement)
        return f"{passed}/{failed}"

    def print(self):
        lines = [("suite", "revision", "scenario", *self.columns)]
        for row in self.rows:
            name = row[2] + (" (not counted)" if row in self.unscored else "")
            lines.append((row[0], row[1], name, *(cell(self.rows[row].get(column)) for column in self.columns)))
        lines.append(("", "", "TOTAL passed/failed", *(self.totals(column, True) for column in self.columns)))
        if self.unscored:
            lines.append(("", "", "TOTAL not counted", *(self.totals(column, False) for column in self.columns)))
        widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
        for line in lines:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
        self.print_checks("FAILED", "FAILURE", True)
        self.print_checks("WARNINGS", "WARNING", True)
        self.print_checks("FAILED, NOT COUNTED", "FAILURE", False)
        for line in self.broken:
            print(f"BROKEN: {line}")

    def print_checks(self, title, status, scored):
        found = list(self.each(status, scored))
        if found:
            print(f"\n{title} ({len(found)})")
        for (suite, revision, scenario), placement, check in found:
            message = (check.get("errorMessage") or check.get("description") or "").replace("\n", " ")
            print(f"  {placement} | {suite} {revision} | {scenario} | {check.get('id')}: {message[:600]}")

    def failed(self):
        return bool(self.broken) or any(True for _ in self.each("FAILURE", True))

    def write(self, path):
        rows = [
            {"suite": suite, "revision": revision, "scenario": scenario,
             "counted": (suite, revision, scenario) not in self.unscored, "placements": by_placement}
            for (suite, revision, scenario), by_placement in self.rows.items()
        ]
        pathlib.Path(path).write_text(json.dumps({"rows": rows, "broken": self.broken}, indent=1) + "\n")


# --- the run ----------------------------------------------------------------------------------------------------


def default_portreeve():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    built = [path for path in target.glob("*/portreeve") if path.is_file()]
    if not built:
        raise Unable("no built portreeve found: build it or give --portreeve")
    return str(max(built, key=lambda path: path.stat().st_mtime))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portreeve", help="the program (default: whatever was built last)")
    parser.add_argument("--placement", choices=(*PLACEMENTS, "all"), default="all")
    parser.add_argument("--suite-version", choices=(*SUITES, "all"), default="all")
    parser.add_argument("--suite", choices=("required", "active", "all", "draft", "pending"), default="required")
    parser.add_argument("--revision", choices=(LEGACY, MODERN, "all"), default="all")
    parser.add_argument("--scenario", help="one scenario only")
    parser.add_argument("--url", help="test a running endpoint instead of starting one")
    parser.add_argument("--json", help="write every check there")
    parser.add_argument("--verbose", action="store_true", help="print what the suites and programs print")
    parser.add_argument("--install-only", action="store_true")
    return parser.parse_args()


def run_one(report, options, suites, placement, url, say):
    for suite in suites:
        for revision in SUITES[suite.name]:
            if options.revision not in (revision, "all"):
                continue
            if suite.name == "old" and options.suite == "draft":
                continue
            required = suite.required(revision) if options.suite == "required" and not options.scenario else None
            results = suite.run(url, revision, options.suite, options.scenario, say)
            report.add(placement, suite.name, revision, results, required)


def run_placement(report, options, suites, placement, portreeve, say):
    """One placement that cannot be run does not keep the others from it."""
    try:
        with gateway(placement, portreeve, say) as url:
            run_one(report, options, suites, placement, url, say)
    except (Unable, subprocess.TimeoutExpired) as problem:
        report.unable.append(f"{placement}: {problem}")


def main():
    options = parse()
    say = print if options.verbose else lambda _text: None
    report = Report()
    try:
        stack = stack_directory()
        install(stack)
        if options.install_only:
            return 0
        suites = [Suite(stack, name) for name in SUITES if options.suite_version in (name, "all")]
        if options.url:
            run_one(report, options, suites, "url", options.url, say)
        else:
            portreeve = str(pathlib.Path(options.portreeve or default_portreeve()).resolve())
            for placement in PLACEMENTS:
                if options.placement in (placement, "all"):
                    run_placement(report, options, suites, placement, portreeve, say)
    except (Unable, subprocess.TimeoutExpired) as problem:
        if report.rows:
            report.print()
        print(f"run.py: {problem}", file=sys.stderr)
        return 2
    if report.rows:
        report.print()
        if options.json:
            report.write(options.json)
    elif not report.unable:
        report.unable.append("nothing was run")
    for problem in report.unable:
        print(f"run.py: {problem}", file=sys.stderr)
    if report.unable:
        return 2
    return 1 if report.failed() else 0


if __name__ == "__main__":
    sys.exit(main())
