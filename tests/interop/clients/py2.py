"""Driver for PyPI `mcp` 2.x: `Client` in mode `legacy`, `auto` or `2026-07-28`, over Streamable HTTP or a command."""

from contextlib import AsyncExitStack, asynccontextmanager

import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

import driver


@asynccontextmanager
async def connect(job: dict, asked: driver.Asked):
    async def elicitation(context, params):
        return types.ElicitResult.model_validate(asked.elicitation(driver.dump(params)))

    async def sampling(context, params):
        return types.CreateMessageResult.model_validate(asked.sampling(driver.dump(params)))

    async def roots(context):
        return types.ListRootsResult.model_validate(asked.roots())

    target = job["target"]
    async with AsyncExitStack() as stack:
        if "command" in target:
            server = StdioServerParameters(command=target["command"], args=target["args"])
        else:
            headers = {"Authorization": f"Bearer {target['bearer']}"} if target.get("bearer") else {}
            http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
            server = streamable_http_client(target["url"], http_client=http)
        client = await stack.enter_async_context(
            Client(
                server,
                mode=job["mode"],
                elicitation_callback=elicitation if asked.able else None,
                sampling_callback=sampling if asked.able else None,
                list_roots_callback=roots if asked.able else None,
            )
        )
        yield client, client.protocol_version


driver.main(connect)
