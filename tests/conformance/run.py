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
import os
import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import carried
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
    """What this run has to do."""

    def __init__(self, options, stack):
        self.options = options
        self.suites = [Suite(stack, name) for name in SUITES if options.suite_version in (name, "all")]
        self.scenarios = {suite.name: suite.scenarios("server") for suite in self.suites}

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


def run_columns(plan):
    options = plan.options
    if options.url:
        yield Column("url").fill_from(plan, options.url)
        return
    portreeve = str(pathlib.Path(options.portreeve or default_portreeve()).resolve())
    names = [name for name in PLACEMENTS if options.placement in (name, "all")]
    with ThreadPoolExecutor(max_workers=max(1, options.jobs)) as pool:
        yield from pool.map(lambda name: Column(name).fill(plan, portreeve), names)


def run(options):
    stack = stack_directory()
    install(stack)
    if options.install_only:
        return 0
    plan = Plan(options, stack)
    entries, faults = carried.read(HERE / "not-carried.toml", PLACEMENTS, {
        name: Suite(stack, name).scenarios("server") for name in SUITES
    })
    report = Report(entries)
    report.faults.extend(faults)
    problems = []
    for column in run_columns(plan):
        if options.verbose:
            print("\n".join(column.said))
        for suite, revision, results, expected in column.results:
            report.add(column.name, suite, revision, results, expected)
        if column.problem:
            problems.append(column.problem)
    return conclude(report, problems, options.json)


def conclude(report, problems, out):
    report.close()
    if report.rows:
        report.print()
        if out:
            report.write(out)
    elif not problems:
        problems.append("nothing was run")
    for problem in problems:
        print(f"run.py: {problem}", file=sys.stderr)
    if problems:
        return 2
    return 1 if report.failed() else 0


def main():
    try:
        return run(parse())
    except CANNOT as problem:
        print(f"run.py: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
