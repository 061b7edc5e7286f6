"""A server on PyPI `fastmcp` 4, over stdio or Streamable HTTP, both eras. Clients of the handshake are asked in the middle of a
call; those of 2026-07-28 by input-required results, as the library's own errors recommend. Tools and their answers are
those of `py1.py`, without those that only a session can have."""

import asyncio
import json
import sys
import warnings

from fastmcp import Context, FastMCP
from fastmcp.exceptions import ToolError
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    ListRootsRequest,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field

from serve import announce_and_serve

MODERN = "2026-07-28"

warnings.simplefilter("ignore")  # what the newest revision removed is used on purpose for older clients

server = FastMCP("interop-fastmcp4")


class Answer(BaseModel):
    answer: str
    agree: bool
    count: int = Field(ge=1, le=9)


def told(outcome) -> dict:
    content = outcome.data.model_dump() if outcome.action == "accept" else None
    return {"action": outcome.action, "content": content}


def plain(answer) -> dict:
    return {"action": answer.action, "content": answer.content}


def question(message: str) -> ElicitRequest:
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=Answer.model_json_schema()))


def is_modern(ctx: Context) -> bool:
    return ctx.request_context.protocol_version == MODERN


def messages(prompt: str) -> list[SamplingMessage]:
    return [SamplingMessage(role="user", content=TextContent(type="text", text=prompt))]


@server.tool
def echo(text: str) -> str:
    """Return the text."""
    return text


@server.tool
def add(a: int, b: int) -> int:
    """Return the sum."""
    return a + b


@server.tool
def fail(reason: str) -> str:
    """Fail with the reason."""
    raise ToolError(reason)


@server.tool
async def progress(steps: int, ctx: Context) -> str:
    """Report each step."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        await asyncio.sleep(0.02)
    return f"{steps} steps"


@server.tool
async def slow(milliseconds: int) -> str:
    """Answer late."""
    await asyncio.sleep(milliseconds / 1000)
    return f"after {milliseconds} ms"


@server.tool
async def ask(token: str, ctx: Context) -> str | InputRequiredResult:
    """Ask one question that carries the token."""
    if not is_modern(ctx):
        return json.dumps({"token": token, "told": told(await ctx.elicit(f"token {token}?", Answer))})
    if not ctx.input_responses:
        return InputRequiredResult(input_requests={"only": question(f"token {token}?")})
    return json.dumps({"token": token, "told": plain(ctx.input_responses["only"])})


@server.tool
async def ask_twice(token: str, ctx: Context) -> str | InputRequiredResult:
    """Ask two questions, the second made from the first answer."""
    if not is_modern(ctx):
        first = told(await ctx.elicit(f"first {token}?", Answer))
        second = told(await ctx.elicit(f"second after {json.dumps(first['content'])}?", Answer))
        return json.dumps({"token": token, "first": first, "second": second})
    if not ctx.input_responses:
        return InputRequiredResult(input_requests={"q": question(f"first {token}?")}, request_state="round 1")
    latest = plain(ctx.input_responses["q"])
    if ctx.request_state == "round 1":
        again = question(f"second after {json.dumps(latest['content'])}?")
        return InputRequiredResult(input_requests={"q": again}, request_state=json.dumps(latest))
    return json.dumps({"token": token, "first": json.loads(ctx.request_state), "second": latest})


@server.tool
async def ask_both(token: str, ctx: Context) -> str | InputRequiredResult:
    """Ask two questions at the same time."""
    if not is_modern(ctx):
        sides = [ctx.elicit(f"{side} {token}?", Answer) for side in ("left", "right")]
        left, right = await asyncio.gather(*sides)
        return json.dumps({"token": token, "left": told(left), "right": told(right)})
    if not ctx.input_responses:
        both = {side: question(f"{side} {token}?") for side in ("left", "right")}
        return InputRequiredResult(input_requests=both, request_state="both")
    answers = {side: plain(ctx.input_responses[side]) for side in ("left", "right")}
    return json.dumps({"token": token, **answers})


@server.tool
async def sample(prompt: str, ctx: Context) -> str | InputRequiredResult:
    """Let the client's model answer the prompt."""
    params = CreateMessageRequestParams(messages=messages(prompt), max_tokens=64)
    if not is_modern(ctx):
        result = await ctx.session.create_message(messages=messages(prompt), max_tokens=64)
    elif ctx.input_responses:
        result = ctx.input_responses["model"]
    else:
        return InputRequiredResult(input_requests={"model": CreateMessageRequest(params=params)})
    return json.dumps({"model": result.model, "text": result.content.text})


@server.tool
async def roots(ctx: Context) -> str | InputRequiredResult:
    """Return the client's roots."""
    if not is_modern(ctx):
        known = (await ctx.session.list_roots()).roots
    elif ctx.input_responses:
        known = ctx.input_responses["roots"].roots
    else:
        return InputRequiredResult(input_requests={"roots": ListRootsRequest()})
    return json.dumps([{"uri": str(root.uri), "name": root.name} for root in known])


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run(show_banner=False)
    else:
        asyncio.run(announce_and_serve(server.http_app()))
