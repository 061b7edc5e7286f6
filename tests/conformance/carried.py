"""`not-carried.toml`: what a placement cannot carry by the specification's own words, check by check.

Everything else that fails is a failure. An entry that excuses nothing is one too: it would hide the next mistake.
"""

import tomllib
from dataclasses import dataclass

FIELDS = ("placement", "suite", "scenario", "check", "why", "page")
PAGES = "https://modelcontextprotocol.io/specification/"
MOST = 6


@dataclass(frozen=True)
class Entry:
    placement: str
    suite: str
    scenario: str
    check: str
    why: str
    page: str

    def __str__(self):
        return f"{self.placement} | {self.suite} | {self.scenario} | {self.check}"

    def excuses(self, placement, suite, scenario, check):
        return (self.placement, self.suite, self.scenario, self.check) == (placement, suite, scenario, check)


def read(path, placements, known):
    """The entries, and what is wrong with them. `known` is {suite: scenarios}."""
    try:
        written = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as broken:
        return [], [f"{path.name}: {broken}"]
    entries, faults = [], []
    for number, row in enumerate(written.pop("entry", []), 1):
        wrong = [f"`{field}` is not a field" for field in row if field not in FIELDS]
        wrong += [f"`{field}` is missing" for field in FIELDS if not isinstance(row.get(field), str) or not row[field]]
        if not wrong:
            entry = Entry(**row)
            wrong = faults_of(entry, placements, known)
            entries.append(entry)
        faults += [f"{path.name}, entry {number}: {fault}" for fault in wrong]
    faults += [f"{path.name}: `{key}` is not a key" for key in written]
    if len(entries) != len(set((entry.placement, entry.suite, entry.scenario, entry.check) for entry in entries)):
        faults.append(f"{path.name}: an entry stands there twice")
    if len(entries) > MOST:
        faults.append(f"{path.name}: {len(entries)} entries, at most {MOST} are allowed")
    return entries, faults


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
