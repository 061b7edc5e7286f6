"""A FastMCP server on PyPI `mcp` 1.x: the legacy era, over stdio or Streamable HTTP.

It is written the way that SDK's own documentation writes tools. In particular sampling and roots are asked without
naming the call they belong to, so over HTTP they arrive on the session's GET stream. It checks nothing itself: every
tool returns exactly what it was told, and the driver of the matrix compares.
"""

import asyncio
import json
import sys

from mcp.server.elicitation import AcceptedElicitation
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel, Field

from serve import announce_and_serve

server = FastMCP("interop-py1")


class Answer(BaseModel):
    answer: str
    agree: bool
    count: int = Field(ge=1, le=9)


def told(outcome) -> dict:
    content = outcome.data.model_dump() if isinstance(outcome, AcceptedElicitation) else None
    return {"action": outcome.action, "content": content}


@server.tool()
def echo(text: str) -> str:
    """Return the text."""
    return text


@server.tool()
def add(a: int, b: int) -> int:
    """Return the sum."""
    return a + b


@server.tool()
def fail(reason: str) -> str:
    """Fail with the reason."""
    raise ToolError(reason)


@server.tool()
async def ask(token: str, ctx: Context) -> str:
    """Ask one question that carries the token."""
    return json.dumps({"token": token, "told": told(await ctx.elicit(f"token {token}?", Answer))})


@server.tool()
async def ask_twice(token: str, ctx: Context) -> str:
    """Ask two questions, the second made from the first answer."""
    first = told(await ctx.elicit(f"first {token}?", Answer))
    second = told(await ctx.elicit(f"second after {json.dumps(first['content'])}?", Answer))
    return json.dumps({"token": token, "first": first, "second": second})


@server.tool()
async def ask_both(token: str, ctx: Context) -> str:
    """Ask two questions at the same time."""
    left, right = await asyncio.gather(
        ctx.elicit(f"left {token}?", Answer),
        ctx.elicit(f"right {token}?", Answer),
    )
    return json.dumps({"token": token, "left": told(left), "right": told(right)})


@server.tool()
async def sample(prompt: str, ctx: Context) -> str:
    """Let the client's model answer the prompt."""
    message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
    result = await ctx.session.create_message(messages=[message], max_tokens=64)
    text = result.content.text if isinstance(result.content, TextContent) else None
    return json.dumps({"model": result.model, "text": text})


@server.tool()
async def roots(ctx: Context) -> str:
    """Return the client's roots."""
    result = await ctx.session.list_roots()
    return json.dumps([{"uri": str(root.uri), "name": root.name} for root in result.roots])


@server.tool()
async def progress(steps: int, ctx: Context) -> str:
    """Report each step."""
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps, f"step {step}")
        await asyncio.sleep(0.02)
    return f"{steps} steps"


@server.tool()
async def slow(milliseconds: int) -> str:
    """Answer late."""
    await asyncio.sleep(milliseconds / 1000)
    return f"after {milliseconds} ms"


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run()
    else:
        asyncio.run(announce_and_serve(server.streamable_http_app()))
