"""Driver for PyPI `fastmcp` 4: its `Client` in mode `legacy`, `auto` or `2026-07-28`, over Streamable HTTP, HTTP+SSE or a
command. What only the library underneath can do is none of its own moves (`lacks`)."""

import warnings
from contextlib import asynccontextmanager

import mcp_types as types
from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport

import driver
from moves import TRIES, Moves

warnings.simplefilter("ignore")  # what the newest revision removed is used on purpose with older servers


class MovesFast(Moves):
    async def tools(self) -> list:
        return await self.session.list_tools()

    async def call(self, tool, arguments, on_progress=None):
        return await self.session.call_tool_mcp(tool, arguments, progress_handler=on_progress, meta=self.meta)

    async def complete(self, step: dict) -> list[str]:
        ref = types.PromptReference.model_validate(step["ref"])
        result = await self.session.complete_mcp(ref, step["argument"], step.get("context"))
        return result.completion.values

    async def page(self, cursor):
        result = await self.session.list_resources_mcp(cursor=cursor)
        return result.resources, result.next_cursor

    async def names(self, what: str) -> list[str]:
        return [entry.name for entry in await getattr(self.session, f"list_{what}")()]

    async def watch(self, step: dict) -> dict:
        if self.modern or step.get("uri"):
            return {"lacks": "subscriptions"}
        return await super().watch(step)

    @asynccontextmanager
    async def watching(self, kind, uri):
        yield TRIES


@asynccontextmanager
async def connect(target: dict, mode: str, asked: driver.Asked):
    async def elicitation(message, response_type, params, context):
        return types.ElicitResult.model_validate(asked.elicitation(driver.dump(params)))

    async def sampling(messages, params, context):
        return types.CreateMessageResult.model_validate(asked.sampling(driver.dump(params)))

    async def roots(context):
        return types.ListRootsResult.model_validate(asked.roots()).roots

    async def said(params):
        asked.said.append([params.level, params.data])

    async def on_message(message):
        method = getattr(message, "method", "") or ""
        if method.startswith("notifications/"):
            asked.hear(method.removeprefix("notifications/"), getattr(message.params, "uri", None))

    headers = {"Authorization": f"Bearer {target['bearer']}"} if target.get("bearer") else {}
    if "command" in target:
        transport = StdioTransport(target["command"], target["args"])
    elif target.get("sse"):
        transport = SSETransport(target["url"], headers=headers)
    else:
        transport = StreamableHttpTransport(target["url"], headers=headers)
    able = {"elicitation_handler": elicitation, "sampling_handler": sampling, "roots": roots} if asked.able else {}
    async with Client(transport, mode=mode, log_handler=said, message_handler=on_message, **able) as client:
        yield MovesFast(client, asked), client.protocol_version


driver.main(connect)
