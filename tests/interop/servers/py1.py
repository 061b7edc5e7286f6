"""A FastMCP server on PyPI `mcp` 1.x: the legacy era, over stdio, Streamable HTTP or HTTP+SSE (`sse`).

It is written the way that SDK's own documentation writes tools. In particular sampling and roots are asked without
naming the call they belong to, so over HTTP they arrive on the session's GET stream. It checks nothing itself: every
tool returns exactly what it was told, and the driver of the matrix compares.
"""

import asyncio
import contextlib
import json
import sys
import warnings
from weakref import WeakKeyDictionary, WeakSet

from mcp.server.elicitation import AcceptedElicitation
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.exceptions import ToolError
from mcp.server.fastmcp.prompts import Prompt
from mcp.server.lowlevel import NotificationOptions
from mcp.types import (
    CallToolResult,
    Completion,
    ListResourcesRequest,
    ListResourcesResult,
    PromptReference,
    Resource,
    SamplingMessage,
    TextContent,
    ToolExecution,
)
from pydantic import AnyUrl, BaseModel, Field

import shelf
from serve import announce_and_serve

warnings.simplefilter("ignore", DeprecationWarning)  # tasks are said to leave this library

server = FastMCP("interop-py1", event_store=shelf.Events(), retry_interval=400)
low = server._mcp_server
levels: WeakKeyDictionary = WeakKeyDictionary()
subscribers: dict[str, WeakSet] = {}
stopped = shelf.Stopped()


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


@server.tool()
async def log(token: str, ctx: Context) -> str:
    """Say something at three levels."""
    for level in shelf.LEVELS:
        if shelf.passes(level, levels.get(ctx.session)):
            await ctx.log(level, f"{level} {token}")
    return token


@low.set_logging_level()
async def set_level(level):
    levels[low.request_context.session] = level


@server.tool()
async def hang(token: str, ctx: Context) -> str:
    """Begin and never end."""
    return await stopped.hang(token, ctx.report_progress(1, 2, "begun"))


@server.tool(name="stopped")
async def was_stopped(token: str) -> str:
    """Say whether `hang` was stopped."""
    return await stopped.wait(token)


@low.subscribe_resource()
async def subscribe(uri):
    subscribers.setdefault(str(uri), WeakSet()).add(low.request_context.session)


@low.unsubscribe_resource()
async def unsubscribe(uri):
    subscribers.get(str(uri), WeakSet()).discard(low.request_context.session)


@server.tool()
async def touch(uri: str) -> str:
    """Tell everybody who subscribed to it that the resource has changed."""
    for session in list(subscribers.get(uri, ())):
        await session.send_resource_updated(AnyUrl(uri))
    return uri


@server.tool()
async def grow(name: str, ctx: Context) -> str:
    """Add a prompt."""
    server._prompt_manager._prompts.setdefault(name, Prompt.from_function(lambda: name, name=name))
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


@low.list_resources()
async def list_resources(request: ListResourcesRequest) -> ListResourcesResult:
    uris, after = shelf.page(request.params.cursor if request.params else None)
    return ListResourcesResult(resources=[Resource(uri=AnyUrl(uri), name=uri) for uri in uris], nextCursor=after)


support = low.experimental.enable_tasks()
begin_tasks = support.run


groups = []


@contextlib.asynccontextmanager
async def own_group():
    """The library takes the end of one session for the end of all tasks: the group of another one takes its place here."""
    try:
        async with begin_tasks():
            own = support._task_group
            groups.append(own)
            try:
                yield
            finally:
                groups.remove(own)
    finally:
        support._task_group = groups[-1] if groups else None


support.run = own_group


@low.list_tools()
async def list_tools():
    tools = await server.list_tools()
    for tool in tools:
        if tool.name == "slow":
            tool.execution = ToolExecution(taskSupport="optional")
    return tools


@low.call_tool(validate_input=False)
async def call_tool(name: str, arguments: dict):
    context = low.request_context.experimental
    if not context.is_task:
        return await server.call_tool(name, arguments)

    async def work(task):
        text = await slow(**arguments)
        known = await support.store.get_task(task.task_id)
        if known is None or known.status == "cancelled":
            # The library brings the whole process down when the work of a cancelled task ends.
            await asyncio.Event().wait()
        return CallToolResult(content=[TextContent(type="text", text=text)], structuredContent={"result": text})

    return await context.run_task(work)


def options(make=low.create_initialization_options):
    made = make(NotificationOptions(prompts_changed=True))
    made.capabilities.resources.subscribe = True
    return made


low.create_initialization_options = options

if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run()
    elif sys.argv[1] == "sse":
        asyncio.run(announce_and_serve(server.sse_app()))
    else:
        asyncio.run(announce_and_serve(server.streamable_http_app()))
