"""`not-carried.toml`: what a placement cannot carry by the specification's own words, check by check.

Everything else that fails is a failure. An excuse that is not needed is one too: it would hide the next mistake.
"""

import tomllib
from dataclasses import dataclass

TEXTS = ("placement", "suite", "scenario", "why", "page")
PAGES = "https://modelcontextprotocol.io/specification/"
MOST = 6


@dataclass(frozen=True)
class Entry:
    placement: str
    suite: str
    scenario: str
    checks: tuple
    """Ids of the checks that may fail; all others of the scenario count as ever."""
    why: str
    page: str

    def __str__(self):
        return f"{self.placement} | {self.suite} | {self.scenario}"

    def excuses(self, placement, suite, scenario, check):
        return (self.placement, self.suite, self.scenario) == (placement, suite, scenario) and check in self.checks


def read(path, placements, known):
    """The entries, and what is wrong with them. `known` is {suite: scenarios}."""
    try:
        written = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as broken:
        return [], [f"{path.name}: {broken}"]
    entries, faults = [], []
    for number, row in enumerate(written.pop("entry", []), 1):
        wrong = list(shape_of(row))
        if not wrong:
            entry = Entry(**{**row, "checks": tuple(row["checks"])})
            wrong = list(faults_of(entry, placements, known))
            entries.append(entry)
        faults += [f"{path.name}, entry {number}: {fault}" for fault in wrong]
    faults += [f"{path.name}: `{key}` is not a key" for key in written]
    if len(entries) != len({str(entry) for entry in entries}):
        faults.append(f"{path.name}: an entry stands there twice")
    if len(entries) > MOST:
        faults.append(f"{path.name}: {len(entries)} entries, at most {MOST} are allowed")
    return entries, faults


def shape_of(row):
    yield from (f"`{field}` is not a field" for field in row if field not in (*TEXTS, "checks"))
    yield from (f"`{field}` must be a text" for field in TEXTS if not is_text(row.get(field)))
    checks = row.get("checks")
    if not isinstance(checks, list) or not checks or not all(is_text(check) for check in checks):
        yield "`checks` must be a list of ids"


def is_text(value):
    return isinstance(value, str) and value != ""


def faults_of(entry, placements, known):
    if entry.placement not in placements:
        yield f"there is no placement `{entry.placement}`"
    if entry.placement == "direct":
        yield "nothing lies between the gateway and a server inside it, so nothing is excused there"
    if entry.suite not in known:
        yield f"there is no suite `{entry.suite}`"
    elif entry.scenario not in known[entry.suite]:
        yield f"suite {entry.suite} has no scenario `{entry.scenario}`"
    if not entry.page.startswith(PAGES):
        yield f"`page` must be a page of {PAGES}"
