"""What the two Python servers hold in common and no library brings: pages, completions, and who was stopped."""

import asyncio
import tempfile
from collections.abc import Awaitable
from pathlib import Path

LEVELS = ("debug", "info", "error")
COLOURS = {"red": ["pale", "deep"], "rose": ["dusty"], "blue": ["pale", "navy"]}
PAGES = [f"interop://page/{number}" for number in range(1, 9)]
PAGE = 3


def passes(level: str, least: str | None) -> bool:
    return least is None or LEVELS.index(level) >= LEVELS.index(least)


def completions(name: str, value: str, known: dict[str, str]) -> list[str]:
    offered = list(COLOURS) if name == "colour" else COLOURS.get(known.get("colour", ""), [])
    return [each for each in offered if each.startswith(value)]


def page(cursor: str | None) -> tuple[list[str], str | None]:
    """Three of the resources, after this cursor, and the next cursor if there are more."""
    start = int(cursor.removeprefix("after ")) if cursor else 0
    end = start + PAGE
    return PAGES[start:end], f"after {end}" if end < len(PAGES) else None


class Stopped:
    """Calls that never end, and which of them were cancelled: in files, since a gateway may have several processes of one
    server and need not ask the one that was stopped."""

    folder = Path(tempfile.gettempdir())

    async def hang(self, token: str, begin: Awaitable) -> str:
        try:
            await begin
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            (self.folder / token).touch()
            raise
        return "nobody stopped it"

    async def wait(self, token: str) -> str:
        for _ in range(160):
            if (self.folder / token).exists():
                (self.folder / token).unlink()
                return "stopped"
            await asyncio.sleep(0.05)
        return "still there"


class Events:
    """An event store for resumption: as small as the interface of both libraries allows."""

    def __init__(self):
        self.all: list[tuple] = []

    async def store_event(self, stream_id, message) -> str:
        self.all.append((stream_id, message))
        return str(len(self.all))

    async def replay_events_after(self, last_event_id, send_callback):
        after = int(last_event_id)
        if not 0 < after <= len(self.all):
            return None
        stream = self.all[after - 1][0]
        for number, (of, message) in enumerate(self.all[after:], after + 1):
            if of == stream and message is not None:
                await send_callback(self.event_message(message, str(number)))
        return stream

    @staticmethod
    def event_message(message, number):
        from mcp.server.streamable_http import EventMessage

        return EventMessage(message, number)
