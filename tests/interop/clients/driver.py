"""The part that both Python drivers share: read a job from stdin, run its scenarios, print one JSON document.

A job is `{"target": {"url", "bearer"} | {"command", "args"}, "mode", "seconds", "scenarios": [...]}`; a scenario is
`{"name", "action", "able", "needs", "steps": [...]}` with steps `{"op": "list"}`, `{"op": "call", "tool", "arguments"}`,
`{"op": "together", "calls": [...]}`, `{"op": "until_asked", "kind", "seconds"}`, and what a library does in its own way
(`moves.py`): `level`, `cancel`, `watch`, `complete`, `pages`, `task`. Over HTTP each scenario gets a connection of its
own, through `target["routes"][via]` if it says `via`; a command, which takes long to start, is kept until a scenario
fails. This file judges nothing; `../run.py` compares.
"""

import json
import sys
import time
import traceback

import anyio

import answers


class Asked:
    """Answers the server's questions and remembers them."""

    def __init__(self, able: bool = True):
        self.able = able
        """Whether the client declares that it can be asked at all."""
        self.event = anyio.Event()
        self.kinds: set[str] = set()
        self.begin("accept")

    def begin(self, action: str) -> None:
        """A new scenario on the same connection: its own way to answer, its own memory."""
        self.action = action
        self.log: list[dict] = []
        self.said: list[list] = []
        """Log messages of the server, `[level, data]`."""
        self.heard: list[list] = []
        """Other notifications that belong to no call, `[kind, uri or null]`."""

    def hear(self, kind: str, uri: str | None = None) -> None:
        """A notification has come."""
        self.heard.append([kind, uri])
        self._wake()

    def _wake(self) -> None:
        self.event.set()
        self.event = anyio.Event()

    def _note(self, kind: str, **what) -> int:
        self.log.append({"kind": kind, **what})
        self.kinds.add(kind)
        self._wake()
        return sum(entry["kind"] == kind for entry in self.log)

    def elicitation(self, params: dict) -> dict:
        ordinal = self._note("elicitation", message=params["message"])
        return answers.elicitation(params, self.action, ordinal)

    def sampling(self, params: dict) -> dict:
        text = answers.sampled_text(params)
        self._note("sampling", message=text)
        content = {"type": "text", "text": text}
        return {"role": "assistant", "model": answers.MODEL, "content": content, "stopReason": "endTurn"}

    def roots(self) -> dict:
        self._note("roots")
        return {"roots": answers.ROOTS}

    async def until(self, kind: str, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            while kind not in self.kinds:
                await self.event.wait()

    async def until_heard(self, kind: str, uri: str | None, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            while [kind, uri] not in self.heard:
                await self.event.wait()
        return [kind, uri] in self.heard


def dump(model) -> dict | None:
    return None if model is None else model.model_dump(mode="json", by_alias=True, exclude_none=True)


def told(result: dict) -> dict:
    """One tool result in the form that all drivers share."""
    content = [block["text"] if block["type"] == "text" else block["type"] for block in result["content"]]
    return {
        "error": bool(result.get("isError", False)),
        "content": content,
        "structured": result.get("structuredContent"),
    }


async def one_call(moves, step: dict) -> dict:
    seen = []

    async def on_progress(progress, total=None, message=None):
        seen.append([progress, total, message])

    wanted = on_progress if step.get("progress") else None
    if wanted and moves.cannot_hear_progress:
        return {"lacks": "progress"}
    try:
        outcome = told(dump(await moves.call(step["tool"], step["arguments"], wanted)))
    except Exception as error:  # the job's answer is data, also when it is a failure
        outcome = failure(error)
    return {**outcome, "progress": seen} if wanted else outcome


def failure(error: BaseException) -> dict:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    detail = getattr(error, "error", None)
    code = getattr(detail, "code", None)
    return {"failed": type(error).__name__, "code": code, "message": str(getattr(detail, "message", error))}


async def one_step(moves, asked: Asked, step: dict):
    if step["op"] == "list":
        tools = [dump(tool) for tool in await moves.tools()]
        return {tool["name"]: {key: tool.get(key) for key in ("description", "inputSchema")} for tool in tools}
    if step["op"] == "until_asked":
        return await asked.until(step["kind"], step["seconds"])
    if step["op"] == "call":
        return await one_call(moves, step)
    if step["op"] != "together":
        try:
            return await getattr(moves, step["op"])(step)
        except Exception as error:
            return failure(error)
    results: list = [None] * len(step["calls"])

    async def run(index: int, call: dict) -> None:
        results[index] = await one_call(moves, call)

    async with anyio.create_task_group() as group:
        for index, call in enumerate(step["calls"]):
            group.start_soon(run, index, call)
    return results


async def one_scenario(job: dict, moves, asked: Asked, scenario: dict, outcome: dict) -> None:
    asked.begin(scenario.get("action", "accept"))
    outcome["asked"] = asked.log
    for need in moves.lacks & set(scenario["needs"]):
        outcome.update(steps=[{"lacks": need}], said=[], done=True)
        return
    with anyio.fail_after(job["seconds"]):
        for step in scenario["steps"]:
            outcome["steps"].append(await one_step(moves, asked, step))
    outcome["said"] = asked.said
    outcome["done"] = True


def able(scenario: dict) -> bool:
    return scenario.get("able", True)


def target(job: dict, scenario: dict) -> dict:
    """Where this scenario's connection goes."""
    via = scenario.get("via")
    return {**job["target"], "url": job["target"]["routes"][via]} if via else job["target"]


async def on_one_connection(connect, job: dict, waiting: list[dict], results: dict) -> None:
    """Connects and takes scenarios from the front of `waiting`: one over HTTP, all over a command until one fails."""
    asked = Asked(able(waiting[0]))
    outcome = results.setdefault(waiting[0]["name"], {"steps": [], "asked": []})
    try:
        with anyio.CancelScope() as connecting:
            connecting.deadline = anyio.current_time() + job["seconds"]
            async with connect(target(job, waiting[0]), job["mode"], asked) as (moves, version):
                connecting.deadline = float("inf")
                while waiting and able(waiting[0]) == asked.able and time.monotonic() < job["end"]:
                    scenario = waiting.pop(0)
                    print(f"--- {scenario['name']}", file=sys.stderr, flush=True)
                    outcome = results[scenario["name"]] = {"steps": [], "asked": [], "version": version}
                    await one_scenario(job, moves, asked, scenario, outcome)
                    if "url" in job["target"]:
                        break
                connecting.deadline = anyio.current_time() + job["seconds"]
        if connecting.cancelled_caught and not outcome.get("done"):
            outcome["failed"] = f"no connection within {job['seconds']} s"
    except TimeoutError:
        outcome.setdefault("failed", f"no answer within {job['seconds']} s")
    except BaseException as error:
        if not isinstance(error, (Exception, BaseExceptionGroup)):
            raise
        traceback.print_exc()
        # What breaks while a connection is taken down after its scenarios says nothing about them.
        if not outcome.get("done"):
            outcome["failed"] = failure(error)


async def run(connect) -> None:
    job = json.load(sys.stdin)
    job["end"] = time.monotonic() + job["budget"]
    waiting, results = list(job["scenarios"]), {}
    while waiting and time.monotonic() < job["end"]:
        before = len(waiting)
        await on_one_connection(connect, job, waiting, results)
        if len(waiting) == before:  # it never connected
            waiting.pop(0)
    for scenario in waiting:
        results[scenario["name"]] = {"steps": [], "failed": "the time for this pair was over"}
    print(json.dumps(results))


def main(connect) -> None:
    anyio.run(run, connect)
