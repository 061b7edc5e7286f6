"""A server on PyPI `mcp` 2.x: `dual` (both eras, over stdio or Streamable HTTP) or `modern` (2026-07-28 only, HTTP).

`dual` asks through the SDK's resolvers, which speak each era's own way. `modern` answers by hand with input-required
results, once without and once with request state, and hands every request to the SDK's 2026-07-28 entry, so that
`initialize` gets that entry's own refusal. Tools and their answers are those of `py1.py`.
"""

import asyncio
import json
import sys
import warnings
from contextlib import asynccontextmanager
from typing import Annotated

from mcp.server import MCPServer
from mcp.server._streamable_http_modern import handle_modern_request
from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import Context
from mcp.server.lowlevel import NotificationOptions
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp.server.session import ServerSession
from mcp_types import (
    Completion,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    EmptyResult,
    InputRequiredResult,
    ListResourcesResult,
    ListRootsRequest,
    ListRootsResult,
    PaginatedRequestParams,
    PromptReference,
    Resource,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.routing import Route

import shelf
from serve import announce_and_serve

MODERN = "2026-07-28"

warnings.simplefilter("ignore")  # what the newest revision removed is used on purpose for older clients

kind, transport = sys.argv[1], sys.argv[2]
server = MCPServer(f"interop-py2-{kind}")
low = server._lowlevel_server
levels: dict[int, str] = {}
subscribers: dict[str, dict[int, ServerSession]] = {}
stopped = shelf.Stopped()


class Answer(BaseModel):
    answer: str
    agree: bool
    count: int = Field(ge=1, le=9)


Outcome = ElicitationResult[Answer]


def connection(session: ServerSession) -> int:
    """A legacy client's session; the library makes an object of its own for each request."""
    return id(session._connection)


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


@server.tool()
async def log(token: str, ctx: Context) -> str:
    """Say something at three levels."""
    for level in shelf.LEVELS:
        if ctx.protocol_version == MODERN or shelf.passes(level, levels.get(connection(ctx.session))):
            await ctx.log(level, f"{level} {token}")
    return token


@server.tool()
async def hang(token: str, ctx: Context) -> str:
    """Begin and never end."""
    return await stopped.hang(token, ctx.report_progress(1, 2, "begun"))


@server.tool(name="stopped")
async def was_stopped(token: str) -> str:
    """Say whether `hang` was stopped."""
    return await stopped.wait(token)


@server.tool()
async def touch(uri: str, ctx: Context) -> str:
    """Tell everybody who subscribed to it that the resource has changed."""
    await ctx.notify_resource_updated(uri)
    for session in list(subscribers.get(uri, {}).values()):
        await session.send_resource_updated(uri)
    return uri


@server.tool()
async def grow(name: str, ctx: Context) -> str:
    """Add a prompt."""
    server._prompt_manager._prompts.setdefault(name, Prompt.from_function(lambda: name, name=name))
    await ctx.notify_prompts_changed()
    if ctx.protocol_version != MODERN:
        await ctx.session.send_prompt_list_changed()
    return name


@server.prompt()
def paint(colour: str, shade: str) -> str:
    """Ask for a painting."""
    return f"Paint it {shade} {colour}."


@server.completion()
async def complete(ref, argument, context):
    if isinstance(ref, PromptReference) and ref.name == "paint":
        known = (context.arguments if context else None) or {}
        return Completion(values=shelf.completions(argument.name, argument.value, known))
    return None


async def list_resources(ctx, params) -> ListResourcesResult:
    uris, after = shelf.page(params.cursor if params else None)
    return ListResourcesResult(resources=[Resource(uri=uri, name=uri) for uri in uris], next_cursor=after)


async def set_level(ctx, params) -> EmptyResult:
    levels[connection(ctx.session)] = params.level
    return EmptyResult()


async def subscribe(ctx, params) -> EmptyResult:
    subscribers.setdefault(str(params.uri), {})[connection(ctx.session)] = ctx.session
    return EmptyResult()


async def unsubscribe(ctx, params) -> EmptyResult:
    subscribers.get(str(params.uri), {}).pop(connection(ctx.session), None)
    return EmptyResult()


low.add_request_handler("resources/list", PaginatedRequestParams, list_resources)
if kind == "dual":
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)


def options(make=low.create_initialization_options):
    return make(NotificationOptions(prompts_changed=True))


low.create_initialization_options = options


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
    @asynccontextmanager
    async def lifespan(application):
        async with low.lifespan(low) as state:
            application.state.mcp = state
            yield

    class Entry:
        async def __call__(self, scope, receive, send):
            await handle_modern_request(low, None, False, scope["app"].state.mcp, scope, receive, send)

    return Starlette(routes=[Route("/mcp", Entry())], lifespan=lifespan)


if __name__ == "__main__":
    if kind == "dual":
        asking_by_resolvers()
    else:
        asking_by_hand()
    if transport == "stdio":
        server.run()
    else:
        store = {"event_store": shelf.Events(), "retry_interval": 400}
        application = modern_only_application() if kind == "modern" else server.streamable_http_app(**store)
        asyncio.run(announce_and_serve(application))
