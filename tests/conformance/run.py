#!/usr/bin/env python3
"""Runs the protocol's own conformance suites against the gateway: as a server, and as a client.

    run.py [--portreeve PATH] [--side server|client|both] [--placement NAME] [--suite-version old|new]
           [--revision REVISION] [--scenario NAME] [--url URL] [--json OUT] [--jobs N] [--verbose] [--install-only]

As a server, /mcp/demo of a gateway is tested with every scenario that a suite has, at every revision for which the
suite has it; a placement says where the demo server stands behind the gateway. As a client, the gateway is tested with
the suite's own servers behind it. Every failed check counts, but for those that `not-carried.toml` names.

Exit status: 0 everything passed; 1 a check failed, or a scenario did not run; 2 the run itself could not be made.
It needs Python and npm, nothing else. The suites land in $PORTREEVE_STACK (default <repository>/.stack/conformance).
"""

import argparse
import json
import os
import pathlib
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import carried
import drive
from callers import CALLERS
from placements import PLACEMENTS, gateway
from report import Report
from suites import REPOSITORY, SUITES, Suite, Unable, install, stack_directory

HERE = pathlib.Path(__file__).resolve().parent
REVISIONS = sorted({revision for revisions in SUITES.values() for revision in revisions})
# What is told of a program that could not do its part.
CANNOT = (Unable, OSError, subprocess.TimeoutExpired)


def default_portreeve():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    built = [path for path in target.glob("*/portreeve") if path.is_file()]
    if not built:
        raise Unable("no built portreeve found: build it or give --portreeve")
    return str(max(built, key=lambda path: path.stat().st_mtime))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portreeve", help="the program (default: whatever was built last)")
    parser.add_argument("--side", choices=("server", "client", "both"), default="both")
    parser.add_argument("--placement", choices=(*PLACEMENTS, "all"), default="all")
    parser.add_argument("--suite-version", choices=(*SUITES, "all"), default="all")
    parser.add_argument("--revision", choices=(*REVISIONS, "all"), default="all")
    parser.add_argument("--scenario", help="one scenario only")
    parser.add_argument("--url", help="test a running endpoint instead of starting one")
    parser.add_argument("--json", help="write every check there")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many placements at a time")
    parser.add_argument("--verbose", action="store_true", help="print what the suites and programs print")
    parser.add_argument("--install-only", action="store_true")
    return parser.parse_args()


class Plan:
    """What this run has to do on one side."""

    def __init__(self, options, stack, side):
        self.options = options
        self.suites = [Suite(stack, name) for name in SUITES if options.suite_version in (name, "all")]
        self.scenarios = {suite.name: suite.scenarios(side) for suite in self.suites}

    def expected(self, suite, revision):
        """The scenarios that have to run at a revision."""
        if self.options.revision not in (revision, "all"):
            return set()
        known = {name for name, revisions in self.scenarios[suite.name].items() if revision in revisions}
        return known & {self.options.scenario} if self.options.scenario else known

    def run(self, url, say):
        """Everything against one URL: (suite, revision, results, expected) each."""
        for suite in self.suites:
            for revision in suite.revisions:
                expected = self.expected(suite, revision)
                if expected:
                    results = suite.run_server(url, revision, self.options.scenario, say)
                    wanted = {name: checks for name, checks in results.items() if name in expected}
                    yield suite.name, revision, wanted, expected


class Column:
    """One placement's results, or why there are none."""

    def __init__(self, name):
        self.name = name
        self.results = []
        self.said = []
        self.problem = None

    def fill(self, plan, portreeve):
        try:
            with gateway(self.name, portreeve, self.said.append) as url:
                self.results.extend(plan.run(url, self.said.append))
        except CANNOT as problem:
            self.problem = f"{self.name}: {problem}"
        return self

    def fill_from(self, plan, url):
        self.results.extend(plan.run(url, self.said.append))
        return self


def program(options):
    return str(pathlib.Path(options.portreeve or default_portreeve()).resolve())


def as_server(options, stack, pool):
    """The gateway as the server under test: a column a placement. Gives the report and what could not be run."""
    plan = Plan(options, stack, "server")
    known = {name: Suite(stack, name).scenarios("server") for name in SUITES}
    entries, faults = carried.read(HERE / "not-carried.toml", PLACEMENTS, known)
    report, problems = Report(entries), []
    report.faults.extend(faults)
    if options.url:
        columns = [Column("url").fill_from(plan, options.url)]
    else:
        portreeve = program(options)
        names = [name for name in PLACEMENTS if options.placement in (name, "all")]
        columns = pool.map(lambda name: Column(name).fill(plan, portreeve), names)
    for column in columns:
        if options.verbose:
            print("\n".join(column.said))
        for suite, revision, results, expected in column.results:
            report.add(column.name, suite, revision, results, expected)
        if column.problem:
            problems.append(column.problem)
    return report, problems


def as_client(options, stack, pool):
    """The gateway as the client under test: a column a kind of caller in front of it."""
    plan = Plan(options, stack, "client")
    cells = [
        (suite, revision, scenario, caller)
        for suite in plan.suites
        for revision in suite.revisions
        for scenario in drive.SCENARIOS if scenario in plan.expected(suite, revision)
        for caller in CALLERS
    ]

    def fill(cell):
        suite, revision, scenario, caller = cell
        said = []
        command = [sys.executable, str(HERE / "drive.py"), "--portreeve", program(options), "--caller", caller]
        return suite.run_client(shlex.join(command), scenario, revision, said.append), said

    report = Report()
    for name in {name for scenarios in plan.scenarios.values() for name in scenarios} - set(drive.SCENARIOS):
        if not drive.left_out(name):
            report.faults.append(f"drive.py does not know the client scenario {name}")
    for (suite, revision, scenario, caller), (checks, said) in zip(cells, pool.map(fill, cells)):
        if options.verbose:
            print("\n".join(said))
        report.add(f"{caller} caller", suite.name, revision, {scenario: checks}, [scenario])
    for begin, why in drive.LEFT_OUT.items():
        report.notes.append(f"not driven: {begin}…: {why}")
    return report, []


SIDES = {"server": as_server, "client": as_client}


def run(options):
    stack = stack_directory()
    install(stack)
    if options.install_only:
        return 0
    reports, problems = {}, []
    with ThreadPoolExecutor(max_workers=max(1, options.jobs)) as pool:
        for side, work in SIDES.items():
            if options.side in (side, "both") and not (side == "client" and options.url):
                reports[side], problem = work(options, stack, pool)
                problems += problem
    return conclude(reports, problems, options.json)


def conclude(reports, problems, out):
    if not problems and not any(report.rows for report in reports.values()):
        problems = ["nothing was run"]
    for side, report in reports.items():
        report.close()
        if report.rows or report.faults:
            print(f"\n=== the gateway as a {side} ===\n")
            report.print()
    if out:
        whole = {side: report.data() for side, report in reports.items()}
        pathlib.Path(out).write_text(json.dumps(whole, indent=1) + "\n")
    for problem in problems:
        print(f"run.py: {problem}", file=sys.stderr)
    if problems:
        return 2
    return 1 if any(report.failed() for report in reports.values()) else 0


def main():
    try:
        return run(parse())
    except CANNOT as problem:
        print(f"run.py: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
