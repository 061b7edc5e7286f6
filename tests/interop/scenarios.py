"""The scenarios: what a driver is told to do with a server, and the value that must be observed.

One list for the servers of ours (`servers/py1.py`, `servers/py2.py`, same tools, same answers), one for
`server-everything`, one for the gateway's own demo server. Expected values are literal or computed by `clients/answers.py`; none is taken from a run.
"""

import itertools
import json
import sys
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, Iterable

sys.path.insert(0, str(Path(__file__).parent / "clients"))
import answers  # noqa: E402

EIGHT = range(1, 9)
NOT_YET = ()
"""Run only when asked for by name: the gateway does not have all of it yet."""
NUMBERS = itertools.count(1)
RUN = uuid.uuid4().hex[:8]
STRUCTURED_SINCE = "2025-06-18"


@dataclass
class Step:
    """One step for a driver, and what its result must be once `view` has reduced it to what matters."""

    do: dict
    expected: Any = None
    view: Callable[[Any], Any] = lambda result: result
    older: dict[str, Any] = field(default_factory=dict)
    """What clients up to a revision must observe instead."""

    absent: dict[str, str] = field(default_factory=dict)
    """For a list: the tool that a server does not offer to whoever does not declare this capability."""

    def for_client(self, version: str, declared: set[str]) -> "Step":
        known = [expected for newest, expected in sorted(self.older.items()) if version <= newest]
        expected = known[0] if known else self.expected
        if self.absent:
            expected = sorted(tool for capability, tool in self.absent.items() if capability not in declared)
        return replace(self, expected=expected if version >= STRUCTURED_SINCE else unstructured(expected))


@dataclass
class Scenario:
    name: str
    steps: list[Step]
    action: str = "accept"
    asked: list[str] | None = field(default_factory=list)
    """The elicitation questions that the client must have seen, each once; None: not compared."""
    able: bool = True
    """False: the client declares no capability, so that a server which looks at them offers less."""
    offered: bool = True
    """False where the server is known to have no such tool: the only failure that a direct run forgives."""
    said: list | None = None
    """The log messages that the client must have been given, in order; None: not compared."""
    via: str | None = None
    """A route of the target that is not the plain one: `client` cuts streams before the gateway, `server` behind it."""
    eras: tuple[str, ...] | None = None
    """Clients of these revisions only, because the others have no such thing."""

    def job(self) -> dict:
        steps = [step.do for step in self.steps]
        return {
            "name": self.name,
            "action": self.action,
            "able": self.able,
            "needs": self.needs(),
            "via": self.via,
            "steps": steps,
        }

    def needs(self) -> list[str]:
        """What the server asks in it."""
        return (["elicitation"] if self.asked else []) + ([self.name] if self.name in ("sampling", "roots") else [])

    def for_client(self, version: str, declared: set[str]) -> "Scenario":
        """What a client of this revision that declares these capabilities must observe."""
        return replace(self, steps=[step.for_client(version, declared) for step in self.steps])

    def lacking(self, result: dict) -> bool:
        """Whether the client's library said that it has no such thing."""
        return any(isinstance(step, dict) and "lacks" in step for step in result["steps"])

    def mismatches(self, result: dict) -> list[tuple[str, Any, Any]]:
        """`(what, expected, observed)` for everything that differs; empty when the cell is right."""
        found = [("the scenario", "an end", result["failed"])] if result.get("failed") else []
        for number, step in enumerate(self.steps):
            if number >= len(result["steps"]):
                found = found or [(describe(step.do), step.expected, "nothing")]
                break
            observed = result["steps"][number]
            try:
                reduced = step.view(observed)
            except Exception:  # an unforeseen shape is itself the observation
                reduced = observed
            if reduced != step.expected:
                found.append((describe(step.do), step.expected, reduced))
        asked = sorted(entry["message"] for entry in result.get("asked", []) if entry["kind"] == "elicitation")
        if not found and self.asked is not None and asked != sorted(self.asked):
            found.append(("questions seen by the client", sorted(self.asked), asked))
        if not found and self.said is not None and result.get("said") != self.said:
            found.append(("log messages", self.said, result.get("said")))
        return found


def unstructured(expected: Any) -> Any:
    """The same value without structured copies of results."""
    if isinstance(expected, list):
        return [unstructured(each) for each in expected]
    if not isinstance(expected, dict):
        return expected
    gone = {"structured": None, "copied": False}
    return {key: gone[key] if key in gone else unstructured(each) for key, each in expected.items()}


def describe(step: dict) -> str:
    if step["op"] == "together":
        return f"{len(step['calls'])} calls at once"
    if step["op"] in ("call", "cancel", "task"):
        return f"{step['op']} {step['tool']} {json.dumps(step['arguments'])}"
    return f"{step['op']} {step['kind']}" if step["op"] == "watch" else step["op"]


def call(tool: str, arguments: dict, progress: bool = False) -> dict:
    return {"op": "call", "tool": tool, "arguments": arguments, "progress": progress}


# ---------------------------------------------------------------------------------------------- servers of ours

ANSWER = {
    "properties": {
        "answer": {"type": "string"},
        "agree": {"type": "boolean"},
        "count": {"type": "integer", "minimum": 1, "maximum": 9},
    }
}
OUR_TOOLS = [
    "add", "ask", "ask_both", "ask_twice", "echo", "fail", "grow", "hang", "log", "progress", "roots", "sample", "slow",
    "stopped", "touch",
]  # fmt: skip
CORE_TOOLS = ["add", "ask", "ask_both", "ask_twice", "echo", "fail", "progress", "roots", "sample", "slow"]
HEARD = {"heard": True, "failed": [], "has": True}
LEGACY = "2025-11-25"
OUTCOME_UNKNOWN = -31004


def reply(message: str, action: str = "accept") -> dict:
    """What a tool of ours must say it was told, when it asked `message`."""
    told = answers.elicitation({"message": message, "requestedSchema": ANSWER}, action, 1)
    return {"action": action, "content": told.get("content")}


def text(value: str) -> dict:
    return {"error": False, "content": [value], "structured": {"result": value}}


def parsed(result: dict) -> dict:
    """A result of ours whose text is JSON; the structured copy must be that same text."""
    (only,) = result["content"]
    return {"error": result["error"], "told": json.loads(only), "copied": result["structured"] == {"result": only}}


def value(told: Any) -> dict:
    return {"error": False, "told": told, "copied": True}


def asked_once(action: str) -> Step:
    token = f"{action}-1"
    return Step(call("ask", {"token": token}), value({"token": token, "told": reply(f"token {token}?", action)}), parsed)


def twice() -> tuple[Step, list[str]]:
    first = reply("first tw?")
    second = f"second after {json.dumps(first['content'])}?"
    expected = {"token": "tw", "first": first, "second": reply(second)}
    return Step(call("ask_twice", {"token": "tw"}), value(expected), parsed), ["first tw?", second]


def both() -> Step:
    expected = {"token": "bo", "left": reply("left bo?"), "right": reply("right bo?")}
    return Step(call("ask_both", {"token": "bo"}), value(expected), parsed)


def steps_of(count: int) -> list:
    return [[step, count, f"step {step}"] for step in range(1, count + 1)]


def eight() -> Step:
    """Eight questions at once among other calls: each result must hold exactly its own token."""
    calls, expected = [], []
    for number in EIGHT:
        token = f"e{number}"
        calls.append(call("ask", {"token": token}))
        expected.append(value({"token": token, "told": reply(f"token {token}?")}))
        calls.append(call("echo", {"text": token}))
        expected.append(text(token))
    calls += [call("slow", {"milliseconds": 200}), call("progress", {"steps": 4}, progress=True)]
    expected += [text("after 200 ms"), text("4 steps") | {"progress": steps_of(4)}]

    def view(results: list) -> list:
        return [parsed(r) if c["tool"] == "ask" else r for c, r in zip(calls, results, strict=True)]

    return Step({"op": "together", "calls": calls}, expected, view)


def fresh(name: str) -> str:
    """A name that no other pair of any run uses: what a server remembers must not answer for another."""
    return f"interop-{name}-{RUN}-{next(NUMBERS)}"


def logged() -> Scenario:
    steps = [Step({"op": "level", "level": "info"}), Step(call("log", {"token": "lo"}), text("lo"))]
    return Scenario("log", steps, said=[["info", "info lo"], ["error", "error lo"]])


def cancelled() -> Scenario:
    """Cancelled by the client; and the server itself says that it stopped."""
    token = fresh("hang")
    stop = Step({"op": "cancel", "tool": "hang", "arguments": {"token": token}}, {"started": True, "answered": False})
    return Scenario("cancel-call", [stop, Step(call("stopped", {"token": token}), text("stopped"))])


def updated() -> Scenario:
    uri = f"interop://{fresh('note')}"
    watch = {"op": "watch", "kind": "resources/updated", "uri": uri, "calls": [call("touch", {"uri": uri})]}
    return Scenario("subscribe", [Step(watch, HEARD)])


def changed() -> Scenario:
    name = fresh("grown")
    watch = {"op": "watch", "kind": "prompts/list_changed", "calls": [call("grow", {"name": name})], "name": name}
    return Scenario("changed", [Step(watch, HEARD)])


def completed() -> Scenario:
    ref = {"type": "ref/prompt", "name": "paint"}
    first = {"op": "complete", "ref": ref, "argument": {"name": "colour", "value": "r"}}
    shade = {"name": "shade", "value": ""}
    second = {"op": "complete", "ref": ref, "argument": shade, "context": {"colour": "rose"}}
    return Scenario("completion", [Step(first, ["red", "rose"]), Step(second, ["dusty"])])


def paged() -> Scenario:
    uris = [f"interop://page/{number}" for number in range(1, 9)]
    pages = {"op": "pages", "most": 9, "prefix": "interop://page/"}
    return Scenario("pages", [Step(pages, {"uris": uris, "ended": True})])


def tasks(offered: bool) -> list[Scenario]:
    slow = {"op": "task", "tool": "slow", "arguments": {"milliseconds": 300}, "then": "result"}
    long = slow | {"arguments": {"milliseconds": 20000}, "then": "cancel"}
    done = {"started": "working", "status": "completed"} | text("after 300 ms")
    return [
        Scenario("task", [Step(slow, done)], offered=offered),
        Scenario("task-cancel", [Step(long, {"status": "cancelled"})], offered=offered),
    ]


def cut(of: Step, behind: Step, resumes: bool) -> list[Scenario]:
    """The stream of a call is cut, before the gateway or behind it: nothing may be missing or there twice. What a server
    of the newest revision was doing is lost with its stream, and the client must hear exactly that."""
    lost = Step(behind.do, OUTCOME_UNKNOWN, lambda result: result.get("code"))
    return [
        Scenario("cut-client", [of], via="client", eras=(LEGACY,)),
        Scenario("cut-server", [behind if resumes else lost], via="server"),
    ]


def core(tools: list[str], failed: str) -> list[Scenario]:
    """What every server of ours has; `failed` is how its library words the error of a tool."""
    added = {"error": False, "content": ["5"], "structured": {"result": 5}}
    refused = {"error": True, "content": [failed.format("no such luck: ä€")], "structured": None}
    echoed = Step(call("echo", {"text": "ä€ \"q\""}), text("ä€ \"q\""))
    moving = Step(call("progress", {"steps": 5}, True), text("5 steps") | {"progress": steps_of(5)})
    two, two_asked = twice()
    model = {"model": answers.MODEL, "text": "sampled: say it"}
    return [
        Scenario("list", [Step({"op": "list"}, tools, sorted)]),
        Scenario("call", [echoed, Step(call("add", {"a": 2, "b": 3}), added)]),
        Scenario("error", [Step(call("fail", {"reason": "no such luck: ä€"}), refused)]),
        *(Scenario(a, [asked_once(a)], a, [f"token {a}-1?"]) for a in ("accept", "decline", "cancel")),
        Scenario("two", [two], asked=two_asked),
        Scenario("both", [both()], asked=["left bo?", "right bo?"]),
        Scenario("eight", [eight()], asked=[f"token e{number}?" for number in EIGHT]),
        Scenario("sampling", [Step(call("sample", {"prompt": "say it"}), value(model), parsed)]),
        Scenario("roots", [Step(call("roots", {}), value(answers.ROOTS), parsed)]),
        Scenario("progress", [moving]),
    ]


def ours(has_tasks: bool = False, resumes: bool = True) -> list[Scenario]:
    # Before the gateway long enough to go on after the stream has been taken up again. Behind it all is over by then:
    # the Python servers lose what they say while they replay.
    many = Step(call("progress", {"steps": 20}, True), text("20 steps") | {"progress": steps_of(20)[:-1]}, but_the_last_step)
    few = Step(call("progress", {"steps": 5}, True), text("5 steps") | {"progress": steps_of(5)[:-1]}, but_the_last_step)
    return [
        *core(OUR_TOOLS, "Error executing tool fail: {}"),
        logged(),
        cancelled(),
        updated(),
        changed(),
        completed(),
        paged(),
        *tasks(has_tasks),
        *cut(many, few, resumes),
    ]


# ---------------------------------------------------------------------------------------------- server-everything

EVERYTHING_QUESTION = "Please provide inputs for the following fields:"
EVERYTHING_ALWAYS = {
    "echo", "get-annotated-message", "get-env", "get-resource-links", "get-resource-reference", "get-roots-list",
    "get-structured-content", "get-sum", "get-tiny-image", "gzip-file-as-resource", "toggle-simulated-logging",
    "toggle-subscriber-updates", "trigger-elicitation-request", "trigger-long-running-operation",
    "trigger-sampling-request",
}  # fmt: skip
EVERYTHING_IF_ABLE = {
    "roots": "get-roots-list",
    "elicitation": "trigger-elicitation-request",
    "sampling": "trigger-sampling-request",
}
# One needs a client that declares URL elicitation, the other is a tool that can only run as a task.
EVERYTHING_PERHAPS = {"trigger-url-elicitation", "simulate-research-query"}
# A revision without choices of several is asked about each, and the first is what the server suggests.
CHOSEN_ONE_BY_ONE = {"untitledMultipleSelectEnum": ["Guitar"], "titledMultipleSelectEnum": ["fish-1"]}
EVERYTHING_ACCEPTED = {
    "name": "person 1",
    "check": True,
    "firstLine": f"firstLine to {EVERYTHING_QUESTION}",
    "email": "person@example.com",
    "homepage": "https://example.com/person",
    "birthdate": "2026-01-02",
    "integer": 48,
    "number": 47,
    "untitledSingleSelectEnum": "Phoebe",
    "untitledMultipleSelectEnum": ["Bass"],
    "titledSingleSelectEnum": "hero-3",
    "titledMultipleSelectEnum": ["fish-3"],
    "legacyTitledEnum": "pet-5",
}


def said(*lines: str, error: bool = False, structured: Any = None) -> dict:
    return {"error": error, "content": list(lines), "structured": structured}


def raw_result(result: dict) -> dict:
    """The elicitation result that `trigger-elicitation-request` prints in full."""
    return json.loads(result["content"][-1].split("Raw result: ", 1)[1])


def everything_elicitation(action: str) -> Scenario:
    told = {"action": "accept", "content": EVERYTHING_ACCEPTED} if action == "accept" else {"action": action}
    older = {"2025-06-18": told | {"content": EVERYTHING_ACCEPTED | CHOSEN_ONE_BY_ONE}} if action == "accept" else {}
    step = Step(call("trigger-elicitation-request", {}), told, raw_result, older)
    return Scenario(action, [step], action, [EVERYTHING_QUESTION])


def everything_eight() -> Step:
    """The questions carry no token, so each of the eight different answers must come back exactly once."""
    calls, expected = [], []
    for number in EIGHT:
        calls += [call("trigger-elicitation-request", {}), call("echo", {"message": f"e{number}"})]
        expected.append(said(f"Echo: e{number}"))
    operation = {"duration": 0.2, "steps": 2}
    calls.append(call("trigger-long-running-operation", operation, progress=True))
    expected.append(long_running(operation))

    def view(results: list) -> dict:
        pairs = list(zip(calls, results, strict=True))
        asking = [raw_result(r)["content"]["name"] for c, r in pairs if c["tool"] == "trigger-elicitation-request"]
        others = [r for c, r in pairs if c["tool"] != "trigger-elicitation-request"]
        others[-1] = but_the_last_step(others[-1])
        return {"answers": sorted(asking), "others": others}

    return Step({"op": "together", "calls": calls}, {"answers": [f"person {n}" for n in EIGHT], "others": expected}, view)


def long_running(operation: dict) -> dict:
    duration, count = operation["duration"], operation["steps"]
    line = f"Long running operation completed. Duration: {duration} seconds, Steps: {count}."
    return said(line) | {"progress": [[step, count, None] for step in range(1, count)]}


def but_the_last_step(result: dict) -> dict:
    """The TypeScript client hands progress on a turn later than results, so it loses a last step that comes in one breath
    with the result (also without a gateway): from this server always, from those of ours when a stream is replayed."""
    steps = result["progress"]
    total = steps[-1][1] if steps else None
    return result | {"progress": [step for step in steps if step[0] != total]}


def everything_more() -> list[Scenario]:
    # It is switched on and off by the same tool, for all who share a session; it speaks at once when switched on.
    uri = "demo://resource/dynamic/text/1"
    toggle = call("toggle-subscriber-updates", {})
    watch = {"op": "watch", "kind": "resources/updated", "uri": uri, "calls": [toggle, toggle]}
    name = fresh("grown") + ".gz"
    grow = call("gzip-file-as-resource", {"name": name, "data": "data:text/plain,grown", "outputType": "resourceLink"})
    grown = {"op": "watch", "kind": "resources/list_changed", "calls": [grow], "name": name}
    ref = {"type": "ref/prompt", "name": "completable-prompt"}
    first = {"op": "complete", "ref": ref, "argument": {"name": "department", "value": "S"}}
    named = {"name": "name", "value": ""}
    second = {"op": "complete", "ref": ref, "argument": named, "context": {"department": "Sales"}}
    research = {"op": "task", "tool": "simulate-research-query", "arguments": {"topic": "gates"}, "then": "result"}
    report = {"started": "working", "status": "completed", "error": False, "title": "# Research Report: gates"}
    stopped = research | {"then": "cancel"}

    def titled(result: dict) -> dict:
        seen = {key: result.get(key) for key in ("started", "status", "error")}
        return seen | {"title": result["content"][0].split("\n", 1)[0]}

    operation = {"duration": 0.8, "steps": 4}
    long = call("trigger-long-running-operation", operation, True)
    absent = "the server has nothing of the kind"
    return [
        Scenario("log", [Step(call("log", {"token": "lo"}), absent)], offered=False),
        Scenario("cancel-call", [Step(call("stopped", {"token": "none"}), absent)], offered=False),
        Scenario("subscribe", [Step(watch, HEARD)]),
        Scenario("changed", [Step(grown, HEARD)]),
        Scenario("completion", [Step(first, ["Sales", "Support"]), Step(second, ["David", "Eve", "Frank"])]),
        Scenario("pages", [Step({"op": "pages", "most": 9, "prefix": "interop://page/"}, absent)], offered=False),
        Scenario("task", [Step(research, report, titled)]),
        Scenario("task-cancel", [Step(stopped, {"status": "cancelled"})]),
        *cut(*[Step(long, long_running(operation), but_the_last_step)] * 2, resumes=True),
    ]


def everything() -> list[Scenario]:
    def listed(names: set[str], absent: dict[str, str]) -> Step:
        return Step({"op": "list"}, [], lambda tools: sorted(names ^ (tools.keys() - EVERYTHING_PERHAPS)), absent=absent)

    failed = said("Invalid resourceId: -1. Must be a finite positive integer.", error=True)
    bad = call("get-resource-reference", {"resourceType": "Text", "resourceId": -1})
    sampled = {
        "model": answers.MODEL,
        "role": "assistant",
        "stopReason": "endTurn",
        "content": {"type": "text", "text": "sampled: Resource trigger-sampling-request context: say it"},
    }
    lines = [f"{n}. {root['name']}\n   URI: {root['uri']}" for n, root in enumerate(answers.ROOTS, 1)]
    roots = "\n\n".join(["Current MCP Roots (2 total):", *lines])
    operation = {"duration": 0.2, "steps": 5}
    missing = said("no such tool, so there is nothing to expect")
    return [
        Scenario("list", [listed(EVERYTHING_ALWAYS, EVERYTHING_IF_ABLE)]),
        Scenario(
            "call",
            [
                Step(call("echo", {"message": "ä€ \"q\""}), said("Echo: ä€ \"q\"")),
                Step(call("get-sum", {"a": 2, "b": 3}), said("The sum of 2 and 3 is 5.")),
            ],
        ),
        Scenario("error", [Step(bad, failed)]),
        *(everything_elicitation(action) for action in ("accept", "decline", "cancel")),
        # It has no tool that asks more than one question.
        Scenario("two", [Step(call("ask_twice", {"token": "tw"}), missing)], offered=False),
        Scenario("both", [Step(call("ask_both", {"token": "bo"}), missing)], offered=False),
        Scenario("eight", [everything_eight()], asked=[EVERYTHING_QUESTION] * len(EIGHT)),
        Scenario(
            "sampling",
            [
                Step(
                    call("trigger-sampling-request", {"prompt": "say it", "maxTokens": 10}),
                    sampled,
                    lambda result: json.loads(result["content"][0].split("\n", 1)[1]),
                )
            ],
        ),
        Scenario(
            "roots",
            [
                # The server asks for the roots by itself a moment after the handshake; a call that comes sooner races
                # with that over HTTP, also without a gateway.
                Step({"op": "until_asked", "kind": "roots", "seconds": 1.0}),
                Step(call("get-roots-list", {}), roots, lambda result: result["content"][0].split("\n\nNote:")[0]),
            ],
        ),
        Scenario(
            "progress",
            [Step(call("trigger-long-running-operation", operation, True), long_running(operation), but_the_last_step)],
        ),
        *everything_more(),
        Scenario(
            "plain",
            [listed(EVERYTHING_ALWAYS - set(EVERYTHING_IF_ABLE.values()), {}), Step(call("echo", {"message": "p"}), said("Echo: p"))],
            able=False,
        ),
    ]


# ---------------------------------------------------------------------------------------------- the built-in demo

DEMO_TOOLS = {"add", "ask_model", "ask_name", "ask_two", "countdown", "echo", "fail", "interview", "list_roots"}


def demo_name(action: str) -> Scenario:
    endings = {
        "accept": said("Hello, person 1!"),
        "decline": said("You declined to answer.", error=True),
        "cancel": said("You closed the question.", error=True),
    }
    return Scenario(action, [Step(call("ask_name", {}), endings[action])], action, ["What is your name?"])


def demo_eight() -> Step:
    calls = [each for n in EIGHT for each in (call("ask_name", {}), call("echo", {"text": f"e{n}"}))]

    def view(results: list) -> dict:
        asking = sorted(result["content"][0] for result in results[::2])
        return {"answers": asking, "others": [result["content"] for result in results[1::2]]}

    expected = {"answers": [f"Hello, person {n}!" for n in EIGHT], "others": [[f"e{n}"] for n in EIGHT]}
    return Step({"op": "together", "calls": calls}, expected, view)


def demo() -> list[Scenario]:
    """Both ends are then not of others, so this column has no direct counterpart; the conformance suite has more."""
    colour, first, last = "What is your favourite colour, person 1?", "What is your first name?", "What is your last name?"
    roots = said("Roots:\n" + "\n".join(f"{root['name']}: {root['uri']}" for root in answers.ROOTS))
    countdown = call("countdown", {"steps": 3, "interval_ms": 30}, progress=True)
    return [
        Scenario("list", [Step({"op": "list"}, [], lambda tools: sorted(DEMO_TOOLS - tools.keys()))]),
        Scenario(
            "call",
            [
                Step(call("echo", {"text": "ä€ \"q\""}), said("ä€ \"q\"")),
                Step(call("add", {"a": 2, "b": 3}), {"structured": {"sum": 5}}, lambda result: {"structured": result["structured"]}),
            ],
        ),
        Scenario("error", [Step(call("fail", {"message": "no such luck"}), said("no such luck", error=True))]),
        *(demo_name(action) for action in ("accept", "decline", "cancel")),
        Scenario(
            "two",
            [Step(call("interview", {}), said(f"person 1 likes colour to {colour}."))],
            asked=["What is your name?", colour],
        ),
        Scenario(
            "both",
            [Step(call("ask_two", {}), said(f"Hello, first to {first} last to {last}!"))],
            asked=[first, last],
        ),
        Scenario("eight", [demo_eight()], asked=["What is your name?"] * len(EIGHT)),
        Scenario(
            "sampling", [Step(call("ask_model", {"prompt": "say it"}), said("Your model says: sampled: say it"))]
        ),
        Scenario("roots", [Step(call("list_roots", {}), roots)]),
        Scenario("progress", [Step(countdown, [[1, 3], [2, 3], [3, 3]], lambda r: [p[:2] for p in r["progress"]])]),
    ]


# ---------------------------------------------------------------------------------------------- all servers together


def prefixed(server: str, step: Step) -> Step:
    """The same step at the address of all servers, where names say whose they are."""
    do = dict(step.do)
    for key in ("tool", "name"):
        if key in do:
            do[key] = f"{server}_{do[key]}"
    if "calls" in do:
        do["calls"] = [{**each, "tool": f"{server}_{each['tool']}"} for each in do["calls"]]
    if "ref" in do:
        do["ref"] = {**do["ref"], "name": f"{server}_{do['ref']['name']}"}
    return replace(step, do=do)


def together(servers: Iterable[str]) -> list[Scenario]:
    """What the servers of ours do, each asked by its own name for things, on one connection."""
    known = {"py1-": OUR_TOOLS, "py2-": OUR_TOOLS, "fastmcp4-": CORE_TOOLS, "server2-": CORE_TOOLS, "rmcp-": CORE_TOOLS}
    tools = {server: known[kind] for server in servers for kind in known if server.startswith(kind)}
    every = {f"{server}_{tool}" for server, names in tools.items() for tool in names}
    full = {server for server, names in tools.items() if names is OUR_TOOLS and not server.endswith("stdio")}

    def at_each(some: Iterable[str], make: Callable[[str], list[Step]]) -> list[Step]:
        return [prefixed(server, step) for server in some for step in make(server)]

    def only(scenario: Scenario) -> Callable[[str], list[Step]]:
        return lambda server: scenario.steps

    asking = {server: f"of {server}" for server in tools}
    # The gateway says in front of a question which server asks.
    asked = {server: f"{server}: token {token}?" for server, token in asking.items()}

    def ask(server: str) -> list[Step]:
        expected = value({"token": asking[server], "told": reply(asked[server])})
        return [Step(call("ask", {"token": asking[server]}), expected, parsed)]

    core_of = {scenario.name: scenario for scenario in core(CORE_TOOLS, "{}")}
    listed = Step({"op": "list"}, [], lambda seen: sorted(every - seen.keys()))
    return [
        # First, so that all of them are up: a list leaves out who is not there in time.
        Scenario("call", at_each(tools, only(core_of["call"]))),
        Scenario("list", [listed]),
        Scenario("accept", at_each(tools, ask), asked=list(asked.values())),
        Scenario("sampling", at_each(tools, only(core_of["sampling"]))),
        Scenario("roots", at_each(tools, only(core_of["roots"]))),
        Scenario("progress", at_each(tools, only(core_of["progress"]))),
        Scenario("cancel-call", at_each(sorted(full), lambda server: cancelled().steps)),
        Scenario("completion", at_each(sorted(full), lambda server: completed().steps)),
        Scenario("changed", at_each(sorted(full), lambda server: changed().steps)),
    ]
