"""What all Python libraries do, but not by the same names. The drivers fill in the differences.

Every move returns data and judges nothing. A library that has no such thing says so (`lacks`), which is an observation
of this run and not a list kept by hand.
"""

import inspect

import anyio

import driver

LISTS = {"prompts/list_changed": "prompts", "resources/list_changed": "resources", "tools/list_changed": "tools"}
MODERN = "2026-07-28"
LOG_LEVEL = "io.modelcontextprotocol/logLevel"
TRIES = 5
TRY_SECONDS = 2


def takes(function, parameter: str) -> bool:
    return parameter in inspect.signature(function).parameters


class Moves:
    lacks: frozenset[str] = frozenset()
    """What a server may ask and this library has no word for."""
    cannot_hear_progress = False
    cannot_page = False
    meta: dict | None = None
    """What goes with each request of the newest revision."""

    def __init__(self, session, asked: driver.Asked):
        self.session, self.asked = session, asked

    async def call(self, tool: str, arguments: dict, on_progress=None):
        return await self.session.call_tool(tool, arguments, progress_callback=on_progress)

    @property
    def modern(self) -> bool:
        return getattr(self.session, "protocol_version", None) == MODERN

    async def tools(self) -> list:
        return (await self.session.list_tools()).tools

    async def level(self, step: dict) -> None:
        if self.modern:
            self.meta = {LOG_LEVEL: step["level"]}
        else:
            await self.session.set_logging_level(step["level"])

    async def abandon(self, started: anyio.Event, step: dict, on_progress) -> bool:
        """Calls, and cancels once `started` is set; whether an answer came nevertheless."""
        answers = []
        async with anyio.create_task_group() as group:

            async def call():
                answers.append(await self.call(step["tool"], step["arguments"], on_progress))

            group.start_soon(call)
            await started.wait()
            group.cancel_scope.cancel()
        return bool(answers)

    async def cancel(self, step: dict) -> dict:
        if self.cannot_hear_progress:
            return {"lacks": "progress"}
        started = anyio.Event()

        async def on_progress(*_):
            started.set()

        answered = await self.abandon(started, step, on_progress)
        return {"started": started.is_set(), "answered": answered}

    async def complete(self, step: dict) -> list[str] | dict:
        known = [step["context"]] if "context" in step else []
        if known and not takes(self.session.complete, "context_arguments"):
            return {"lacks": "completion with context"}
        result = await self.session.complete(self.reference(step["ref"]), step["argument"], *known)
        return result.completion.values

    def reference(self, ref: dict):
        raise NotImplementedError

    async def page(self, cursor: str | None):
        """One page of resources and the cursor of the next."""
        raise NotImplementedError

    async def pages(self, step: dict) -> dict:
        if self.cannot_page:
            return {"lacks": "pages"}
        uris, cursor, count = [], None, 0
        while count == 0 or (cursor is not None and count < step["most"]):
            resources, cursor = await self.page(cursor)
            uris += [str(resource.uri) for resource in resources if str(resource.uri).startswith(step["prefix"])]
            count += 1
        return {"uris": uris, "ended": cursor is None}

    async def watch(self, step: dict) -> dict:
        """Waits for a change that `calls` bring about; then what the list holds, if it was a list."""
        kind, uri = step["kind"], step.get("uri")
        async with self.watching(kind, uri) as tries:
            results = []
            heard = False
            for _ in range(tries):
                results += [await driver.one_call(self, call) for call in step["calls"]]
                heard = await self.heard(kind, uri, TRY_SECONDS if tries > 1 else TRIES * TRY_SECONDS)
                if heard:
                    break
        found = await self.names(LISTS[kind]) if kind in LISTS else []
        failed = [result for result in results if result.get("failed") or result.get("error")]
        return {"heard": heard, "failed": failed, "has": step.get("name") in found or kind not in LISTS}

    async def heard(self, kind: str, uri: str | None, seconds: float) -> bool:
        return await self.asked.until_heard(kind, uri, seconds)

    def watching(self, kind: str, uri: str | None):
        """A context in which changes are heard; gives how often to try, because a legacy client cannot know when the
        stream that carries them is open."""
        raise NotImplementedError

    async def names(self, what: str) -> list[str]:
        result = await getattr(self.session, f"list_{what}")()
        return [entry.name for entry in getattr(result, what)]

    async def task(self, step: dict) -> dict:
        return {"lacks": "tasks"}
