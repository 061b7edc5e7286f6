"""The comparison itself: right observations pass, and each kind of wrong one is found. `python3 -m unittest` runs it."""

import copy
import json
import unittest

import scenarios


def right(scenario: scenarios.Scenario) -> dict:
    """An observation that is exactly as a scenario of ours expects."""

    def observed(step: scenarios.Step):
        if step.do["op"] == "list":
            return {name: {} for name in step.expected}
        if step.do["op"] == "together":
            return [undo(result) for result in step.expected]
        return undo(step.expected) if isinstance(step.expected, dict) else copy.deepcopy(step.expected)

    asked = [{"kind": "elicitation", "message": message} for message in scenario.asked]
    steps = [observed(step) for step in scenario.steps]
    return {"steps": steps, "asked": asked, "said": copy.deepcopy(scenario.said)}


def undo(result: dict) -> dict:
    if "told" not in result:
        return copy.deepcopy(result)
    text = json.dumps(result["told"])
    return {"error": result["error"], "content": [text], "structured": {"result": text}}


class Comparison(unittest.TestCase):
    def setUp(self):
        self.known = {scenario.name: scenario for scenario in scenarios.ours()}

    def differs(self, name: str, change) -> bool:
        result = right(self.known[name])
        change(result)
        return bool(self.known[name].mismatches(result))

    def test_what_is_expected_passes(self):
        for name, scenario in self.known.items():
            with self.subTest(name):
                self.assertEqual(scenario.mismatches(right(scenario)), [])

    def test_wrong_observations_are_found(self):
        def swap(result):
            calls = result["steps"][0]
            calls[0], calls[2] = calls[2], calls[0]

        wrong = {
            "the scenario broke": ("call", lambda r: r.update(failed="no answer")),
            "nothing was observed": ("call", lambda r: r.update(steps=[], failed="no connection")),
            "a step is missing": ("call", lambda r: r["steps"].pop()),
            "another text": ("call", lambda r: r["steps"][0].update(content=["other"])),
            "a tool is missing": ("list", lambda r: r["steps"][0].pop("echo")),
            "a tool too many": ("list", lambda r: r["steps"][0].update(extra={})),
            "an error that is none": ("error", lambda r: r["steps"][0].update(error=False)),
            "a decline became a cancel": ("decline", lambda r: r.update(right(self.known["cancel"]))),
            "the structured copy is gone": ("accept", lambda r: r["steps"][0].update(structured=None)),
            "asked a second time": ("accept", lambda r: r["asked"].append(r["asked"][0])),
            "never asked": ("accept", lambda r: r["asked"].clear()),
            "two calls got each other's answer": ("eight", swap),
            "a call failed": ("eight", lambda r: r["steps"][0].__setitem__(0, {"failed": "Error", "code": 1})),
            "a progress step is missing": ("progress", lambda r: r["steps"][0]["progress"].pop()),
            "progress out of order": ("progress", lambda r: r["steps"][0]["progress"].reverse()),
            "a log message below the level": ("log", lambda r: r["said"].insert(0, ["debug", "debug lo"])),
            "a log message twice": ("log", lambda r: r["said"].append(r["said"][-1])),
            "an answer to a cancelled call": ("cancel-call", lambda r: r["steps"][0].update(answered=True)),
            "the server went on": ("cancel-call", lambda r: r["steps"][1].update(content=["still there"])),
            "a change that nobody heard": ("changed", lambda r: r["steps"][0].update(heard=False)),
            "a page twice": ("pages", lambda r: r["steps"][0]["uris"].append("interop://page/8")),
            "completion without its context": ("completion", lambda r: r["steps"][1].clear()),
            "a task that never ended": ("task", lambda r: r["steps"][0].update(status="working")),
            "progress twice after a cut": ("cut-client", lambda r: r["steps"][0]["progress"].insert(1, [1, 20, "step 1"])),
            "nothing resumed": ("cut-server", lambda r: r["steps"][0].update(failed="no answer", code=-31004)),
        }
        for what, (name, change) in wrong.items():
            with self.subTest(what):
                self.assertTrue(self.differs(name, change))

    def test_what_a_library_lacks_is_neither_right_nor_wrong(self):
        self.assertTrue(self.known["task"].lacking({"steps": [{"lacks": "tasks"}]}))
        self.assertFalse(self.known["task"].lacking(right(self.known["task"])))


if __name__ == "__main__":
    unittest.main()
