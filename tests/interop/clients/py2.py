"""Driver for PyPI `mcp` 2.x: `Client` in mode `legacy`, `auto` or `2026-07-28`, over Streamable HTTP, HTTP+SSE
or a command."""

import warnings
from contextlib import AsyncExitStack, asynccontextmanager

import anyio
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

import driver
from moves import TRIES, Moves

EVENTS = {"PromptsListChanged": "prompts/list_changed", "ResourcesListChanged": "resources/list_changed"}

warnings.simplefilter("ignore")  # what the newest revision removed is used on purpose with older servers


class Moves2(Moves):
    async def call(self, tool, arguments, on_progress=None):
        return await self.session.call_tool(tool, arguments, progress_callback=on_progress, meta=self.meta)

    def reference(self, ref: dict):
        return types.PromptReference.model_validate(ref)

    async def page(self, cursor):
        result = await self.session.list_resources(cursor=cursor)
        return result.resources, result.next_cursor

    @asynccontextmanager
    async def watching(self, kind, uri):
        if self.modern:
            wanted = {"resource_subscriptions": [uri]} if uri else {kind.replace("/", "_"): True}
            async with self.session.listen(**wanted) as events, anyio.create_task_group() as group:
                group.start_soon(self._collect, events)
                yield 1
                group.cancel_scope.cancel()
            return
        if uri:
            await self.session.subscribe_resource(uri)
        yield TRIES
        if uri:
            await self.session.unsubscribe_resource(uri)

    async def _collect(self, events) -> None:
        async for event in events:
            kind = EVENTS.get(type(event).__name__, "resources/updated")
            self.asked.hear(kind, getattr(event, "uri", None))


@asynccontextmanager
async def connect(target: dict, mode: str, asked: driver.Asked):
    async def elicitation(context, params):
        return types.ElicitResult.model_validate(asked.elicitation(driver.dump(params)))

    async def sampling(context, params):
        return types.CreateMessageResult.model_validate(asked.sampling(driver.dump(params)))

    async def roots(context):
        return types.ListRootsResult.model_validate(asked.roots())

    async def said(params):
        asked.said.append([params.level, params.data])

    async def on_message(message):
        method = getattr(message, "method", "") or ""
        if method.startswith("notifications/"):
            asked.hear(method.removeprefix("notifications/"), getattr(message.params, "uri", None))

    headers = {"Authorization": f"Bearer {target['bearer']}"} if target.get("bearer") else {}
    async with AsyncExitStack() as stack:
        if "command" in target:
            server = StdioServerParameters(command=target["command"], args=target["args"])
        elif target.get("sse"):
            server = sse_client(target["url"], headers=headers)
        else:
            http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
            server = streamable_http_client(target["url"], http_client=http)
        client = await stack.enter_async_context(
            Client(
                server,
                mode=mode,
                elicitation_callback=elicitation if asked.able else None,
                sampling_callback=sampling if asked.able else None,
                list_roots_callback=roots if asked.able else None,
                logging_callback=said,
                message_handler=on_message,
            )
        )
        yield Moves2(client, asked), client.protocol_version


driver.main(connect)
