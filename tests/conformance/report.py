"""Every check of every run, the table of them, and the verdict."""

PASSED, FAILED, WARNED = "SUCCESS", "FAILURE", "WARNING"


def count(checks, status):
    return sum(1 for check in checks if check.get("status") == status)


def cell(checks):
    if checks is None:
        return "."
    text = f"{count(checks, PASSED)}/{count(checks, FAILED)}"
    warnings = count(checks, WARNED)
    return f"{text} w{warnings}" if warnings else text


def message(check):
    text = check.get("errorMessage") or check.get("description") or ""
    return " ".join(text.split())[:600]


class Report:
    """Checks by (suite, revision, scenario) and column."""

    def __init__(self, excuses=()):
        self.excuses = {entry: set() for entry in excuses}
        self.columns = []
        self.rows = {}
        self.excused = []
        self.missing = []
        self.faults = []
        self.notes = []

    def add(self, column, suite, revision, results, expected):
        """Takes the results of one run; what was expected and is not among them is missing."""
        if column not in self.columns:
            self.columns.append(column)
        for scenario in sorted(set(expected) - set(results)):
            self.missing.append(f"{column}: suite {suite}, {revision}: scenario {scenario} did not run")
        for scenario, checks in results.items():
            row = (suite, revision, scenario)
            self.rows.setdefault(row, {})[column] = [self.judge(row, column, check) for check in checks]

    def judge(self, row, column, check):
        if check.get("status") != FAILED:
            return check
        for entry in self.excuses:
            if entry.excuses(column, row[0], row[2], check.get("id")):
                self.excuses[entry].add(check.get("id"))
                self.excused.append((row, column, check))
                return {**check, "status": "EXCUSED"}
        return check

    def close(self):
        """After the last run: an excuse for something that ran and did not need it is a fault."""
        for entry, used in self.excuses.items():
            ran = any(entry.placement in columns and (suite, scenario) == (entry.suite, entry.scenario)
                      for (suite, _, scenario), columns in self.rows.items())
            for check in entry.checks if ran else ():
                if check not in used:
                    self.faults.append(f"an excuse that is not needed: {entry} | {check}")

    def each(self, status):
        for row, by_column in self.rows.items():
            for column, checks in by_column.items():
                for check in checks:
                    if check.get("status") == status:
                        yield row, column, check

    def totals(self, column):
        passed = sum(1 for _, where, _ in self.each(PASSED) if where == column)
        failed = sum(1 for _, where, _ in self.each(FAILED) if where == column)
        return f"{passed}/{failed}"

    def unchecked(self):
        """Scenarios that ran and neither passed nor failed anything: the suite decided to look at nothing."""
        found = {}
        for row, by_column in self.rows.items():
            for column, checks in by_column.items():
                if not count(checks, PASSED) and not count(checks, FAILED) and not count(checks, "EXCUSED"):
                    reasons = {message(check) for check in checks if check.get("status") == "SKIPPED"}
                    found.setdefault((row, " / ".join(sorted(reasons))[:300]), []).append(column)
        return found

    def print(self):
        lines = [("suite", "revision", "scenario", *self.columns)]
        for row in self.rows:
            lines.append((*row, *(cell(self.rows[row].get(column)) for column in self.columns)))
        lines.append(("", "", "TOTAL passed/failed", *(self.totals(column) for column in self.columns)))
        widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
        for line in lines:
            print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
        self.print_checks("FAILED", list(self.each(FAILED)))
        self.print_checks("WARNINGS", list(self.each(WARNED)))
        self.print_checks("NOT CARRIED, AND SAID SO", self.excused)
        unchecked = self.unchecked()
        if unchecked:
            print(f"\nNOTHING TO CHECK, BY THE SUITE'S OWN DECISION ({len(unchecked)})")
        for ((suite, revision, scenario), why), columns in unchecked.items():
            print(f"  {', '.join(columns)} | {suite} {revision} | {scenario}{': ' if why else ''}{why}")
        for line in self.notes:
            print(f"NOTE: {line}")
        for line in self.missing:
            print(f"MISSING: {line}")
        for line in self.faults:
            print(f"FAULT: {line}")

    def print_checks(self, title, found):
        """Equal findings of several columns in one line."""
        columns = {}
        for (suite, revision, scenario), column, check in found:
            line = f"{suite} {revision} | {scenario} | {check.get('id')}: {message(check)}"
            columns.setdefault(line, {})[column] = None
        if found:
            print(f"\n{title} ({len(found)})")
        for line, where in columns.items():
            print(f"  {', '.join(where)} | {line}")

    def failed(self):
        return bool(self.missing or self.faults) or any(True for _ in self.each(FAILED))

    def data(self):
        rows = [
            {"suite": suite, "revision": revision, "scenario": scenario, "columns": by_column}
            for (suite, revision, scenario), by_column in self.rows.items()
        ]
        return {"rows": rows, "missing": self.missing, "faults": self.faults}
