"""Driver for PyPI `mcp` 1.x: `ClientSession`, the legacy era, over Streamable HTTP or a command."""

from contextlib import AsyncExitStack, asynccontextmanager

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
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
            parameters = StdioServerParameters(command=target["command"], args=target["args"])
            streams = await stack.enter_async_context(stdio_client(parameters))
        else:
            headers = {"Authorization": f"Bearer {target['bearer']}"} if target.get("bearer") else {}
            http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
            streams = await stack.enter_async_context(streamable_http_client(target["url"], http_client=http))
        session = await stack.enter_async_context(
            ClientSession(
                streams[0],
                streams[1],
                elicitation_callback=elicitation if asked.able else None,
                sampling_callback=sampling if asked.able else None,
                list_roots_callback=roots if asked.able else None,
            )
        )
        yield session, (await session.initialize()).protocolVersion


driver.main(connect)
