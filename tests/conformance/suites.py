"""The published conformance suites: installing them, what they have, and running them.

It says nothing about the gateway, and judges nothing: a run gives the checks that a suite wrote, as it wrote them.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
LEGACY, MODERN = "2025-11-25", "2026-07-28"
# Scenarios of protocol extensions stand outside the revisions; the suite runs them at the newest one.
EXTENSION = "extension"
# The old suite has one wire, whatever revision is asked for: its scenarios run once.
SUITES = {"old": (LEGACY,), "new": ("2025-03-26", "2025-06-18", LEGACY, MODERN, EXTENSION)}
LEAST_NODE = 22

INSTALL_SECONDS = 300
LIST_SECONDS = 30
# A whole suite takes some seconds; a hung server costs each scenario its own limit first.
SUITE_SECONDS = 600
SCENARIO_MILLISECONDS = 30_000


class Unable(Exception):
    """The run cannot be made: something is missing or did not start."""


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
        self.revisions = SUITES[name]
        self.command = [find_node(stack), str(stack / "node_modules" / f"conformance-{name}" / "dist" / "index.js")]

    def scenarios(self, side):
        """Every scenario for `server` or `client`, by the revisions at which it has to run."""
        done = subprocess.run([*self.command, "list", f"--{side}"], capture_output=True, text=True,
                              timeout=LIST_SECONDS)
        found = {}
        for name, revisions in re.findall(r"^  - (\S+) \[([^\]]*)\]", done.stdout, re.MULTILINE):
            found[name] = {LEGACY} if self.name == "old" else set(revisions.split(","))
        if not found:
            raise Unable(f"suite {self.name} lists no scenario for a {side}: {done.stderr}")
        return found

    def run_server(self, url, revision, scenario, say):
        """Runs a revision's scenarios against a server and gives {scenario: [checks]}."""
        if scenario:
            selection = ["--scenario", scenario]
        else:
            # Every extension is among the pending ones, and of those only the extensions are wanted.
            selection = ["--suite", "pending" if revision == EXTENSION else "all"]
        if revision != EXTENSION:
            selection += ["--spec-version", revision]
        if self.name == "new":
            selection += ["--timeout", str(SCENARIO_MILLISECONDS)]
        results, printed = self.execute(["server", "--url", url, *selection], "server-", say)
        for failed in re.findall(r"^Failed to run scenario ([^\s:]+)", printed, re.MULTILINE):
            results.setdefault(failed, [never_ran(failed, "the scenario did not run")])
        return results

    def run_client(self, command, scenario, revision, say):
        """Runs one scenario against a client and gives its checks."""
        selection = ["--scenario", scenario]
        if self.name == "new" and revision != EXTENSION:
            selection += ["--spec-version", revision]
        arguments = ["client", "--command", command, *selection, "--timeout", str(SCENARIO_MILLISECONDS)]
        results, printed = self.execute(arguments, "", say)
        checks = results.get(scenario) or []
        for problem in re.findall(r"CLIENT (?:TIMED OUT|EXITED WITH ERROR).*", printed):
            checks.append(never_ran("client-exit", problem))
        return checks or [never_ran(scenario, f"the scenario did not run:\n{printed}")]

    def execute(self, arguments, prefix, say):
        with tempfile.TemporaryDirectory(prefix="portreeve-conformance-") as out:
            command = [*self.command, *arguments, "--output-dir", out]
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      timeout=SUITE_SECONDS)
            except subprocess.TimeoutExpired as slow:
                raise Unable(f"{' '.join(command)} did not end in {SUITE_SECONDS} s:\n{slow.output}") from slow
            say(done.stdout)
            results = {}
            for path in sorted(pathlib.Path(out).rglob("checks.json")):
                folder = str(path.parent.relative_to(out))
                name = re.sub(rf"^{prefix}(.*)-\d{{4}}-\d\d-\d\dT[\d-]+Z$", r"\1", folder)
                results[name] = json.loads(path.read_text())
            return results, done.stdout


def never_ran(identifier, why):
    return {"id": identifier, "status": "FAILURE", "errorMessage": why}
