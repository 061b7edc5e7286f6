"""A server on PyPI `mcp` 2.x: `dual` (both eras, over stdio or Streamable HTTP) or `modern` (2026-07-28 only, HTTP).

`dual` asks through the SDK's resolvers, which speak each era's own way. `modern` answers by hand with input-required
results, once without and once with request state, and hands every request to the SDK's 2026-07-28 entry, so that
`initialize` gets that entry's own refusal. Tools and their answers are those of `py1.py`.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import Annotated

from mcp.server import MCPServer
from mcp.server._streamable_http_modern import handle_modern_request
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp_types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.routing import Route

from serve import announce_and_serve

kind, transport = sys.argv[1], sys.argv[2]
server = MCPServer(f"interop-py2-{kind}")


class Answer(BaseModel):
    answer: str
    agree: bool
    count: int = Field(ge=1, le=9)


Outcome = ElicitationResult[Answer]


def told(outcome) -> dict:
    content = outcome.data.model_dump() if isinstance(outcome, AcceptedElicitation) else None
    return {"action": outcome.action, "content": content}


def sampled(result: CreateMessageResult) -> str:
    text = result.content.text if isinstance(result.content, TextContent) else None
    return json.dumps({"model": result.model, "text": text})


def listed(result: ListRootsResult) -> str:
    return json.dumps([{"uri": str(root.uri), "name": root.name} for root in result.roots])


def prompt_message(prompt: str) -> list[SamplingMessage]:
    return [SamplingMessage(role="user", content=TextContent(type="text", text=prompt))]


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


def asking_by_resolvers() -> None:
    async def only(token: str) -> Elicit[Answer]:
        return Elicit(f"token {token}?", Answer)

    async def first(token: str) -> Elicit[Answer]:
        return Elicit(f"first {token}?", Answer)

    async def second(first: Annotated[Outcome, Resolve(first)]) -> Elicit[Answer]:
        return Elicit(f"second after {json.dumps(told(first)['content'])}?", Answer)

    async def left(token: str) -> Elicit[Answer]:
        return Elicit(f"left {token}?", Answer)

    async def right(token: str) -> Elicit[Answer]:
        return Elicit(f"right {token}?", Answer)

    async def answered(prompt: str) -> Sample:
        return Sample(prompt_message(prompt), max_tokens=64)

    async def known() -> ListRoots:
        return ListRoots()

    @server.tool()
    async def ask(token: str, one: Annotated[Outcome, Resolve(only)]) -> str:
        """Ask one question that carries the token."""
        return json.dumps({"token": token, "told": told(one)})

    @server.tool()
    async def ask_twice(
        token: str, one: Annotated[Outcome, Resolve(first)], two: Annotated[Outcome, Resolve(second)]
    ) -> str:
        """Ask two questions, the second made from the first answer."""
        return json.dumps({"token": token, "first": told(one), "second": told(two)})

    @server.tool()
    async def ask_both(
        token: str, one: Annotated[Outcome, Resolve(left)], two: Annotated[Outcome, Resolve(right)]
    ) -> str:
        """Ask two questions at the same time."""
        return json.dumps({"token": token, "left": told(one), "right": told(two)})

    @server.tool()
    async def sample(prompt: str, result: Annotated[CreateMessageResult, Resolve(answered)]) -> str:
        """Let the client's model answer the prompt."""
        return sampled(result)

    @server.tool()
    async def roots(result: Annotated[ListRootsResult, Resolve(known)]) -> str:
        """Return the client's roots."""
        return listed(result)


def question(message: str) -> ElicitRequest:
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=Answer.model_json_schema()))


def plain(answer) -> dict:
    return {"action": answer.action, "content": answer.content}


def asking_by_hand() -> None:
    @server.tool()
    async def ask(token: str, ctx: Context) -> str | InputRequiredResult:
        """Ask one question that carries the token."""
        if not ctx.input_responses:
            # No request state: the retry must then carry none either.
            return InputRequiredResult(input_requests={"only": question(f"token {token}?")})
        return json.dumps({"token": token, "told": plain(ctx.input_responses["only"])})

    @server.tool()
    async def ask_twice(token: str, ctx: Context) -> str | InputRequiredResult:
        """Ask two questions, the second made from the first answer."""
        if not ctx.input_responses:
            return InputRequiredResult(input_requests={"q": question(f"first {token}?")}, request_state="round 1")
        latest = plain(ctx.input_responses["q"])
        if ctx.request_state == "round 1":
            again = question(f"second after {json.dumps(latest['content'])}?")
            return InputRequiredResult(input_requests={"q": again}, request_state=json.dumps(latest))
        return json.dumps({"token": token, "first": json.loads(ctx.request_state), "second": latest})

    @server.tool()
    async def ask_both(token: str, ctx: Context) -> str | InputRequiredResult:
        """Ask two questions at the same time."""
        if not ctx.input_responses:
            both = {side: question(f"{side} {token}?") for side in ("left", "right")}
            return InputRequiredResult(input_requests=both, request_state="both")
        answers = {side: plain(ctx.input_responses[side]) for side in ("left", "right")}
        return json.dumps({"token": token, **answers})

    @server.tool()
    async def sample(prompt: str, ctx: Context) -> str | InputRequiredResult:
        """Let the client's model answer the prompt."""
        if not ctx.input_responses:
            params = CreateMessageRequestParams(messages=prompt_message(prompt), max_tokens=64)
            return InputRequiredResult(input_requests={"model": CreateMessageRequest(params=params)})
        return sampled(ctx.input_responses["model"])

    @server.tool()
    async def roots(ctx: Context) -> str | InputRequiredResult:
        """Return the client's roots."""
        if not ctx.input_responses:
            return InputRequiredResult(input_requests={"roots": ListRootsRequest()})
        return listed(ctx.input_responses["roots"])


def modern_only_application() -> Starlette:
    lowlevel = server._lowlevel_server

    @asynccontextmanager
    async def lifespan(application):
        async with lowlevel.lifespan(lowlevel) as state:
            application.state.mcp = state
            yield

    class Entry:
        async def __call__(self, scope, receive, send):
            await handle_modern_request(lowlevel, None, False, scope["app"].state.mcp, scope, receive, send)

    return Starlette(routes=[Route("/mcp", Entry())], lifespan=lifespan)


if __name__ == "__main__":
    if kind == "dual":
        asking_by_resolvers()
    else:
        asking_by_hand()
    if transport == "stdio":
        server.run()
    else:
        asyncio.run(announce_and_serve(modern_only_application() if kind == "modern" else server.streamable_http_app()))
