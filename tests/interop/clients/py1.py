"""Driver for PyPI `mcp` 1.x: `ClientSession`, the legacy era, over Streamable HTTP, HTTP+SSE or a command."""

import warnings
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from pydantic import AnyUrl

import driver
from moves import TRIES, Moves

warnings.simplefilter("ignore", DeprecationWarning)  # tasks are said to leave this library


class Moves1(Moves):
    async def abandon(self, started, step, on_progress) -> bool:
        # The library has no way to cancel a request: its number is the next one that it gives.
        number = self.session._request_id
        answers = []
        async with anyio.create_task_group() as group:

            async def call():
                with suppress(McpError):  # the server may say that it was cancelled
                    answers.append(await self.call(step["tool"], step["arguments"], on_progress))

            group.start_soon(call)
            await started.wait()
            params = types.CancelledNotificationParams(requestId=number, reason="no longer wanted")
            await self.session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
            with anyio.move_on_after(0.3):
                while not answers:
                    await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        return bool(answers)

    def reference(self, ref: dict):
        return types.PromptReference.model_validate(ref)

    async def page(self, cursor):
        result = await self.session.list_resources(params=types.PaginatedRequestParams(cursor=cursor))
        return result.resources, result.nextCursor

    @asynccontextmanager
    async def watching(self, kind, uri):
        if uri:
            await self.session.subscribe_resource(AnyUrl(uri))
        yield TRIES
        if uri:
            await self.session.unsubscribe_resource(AnyUrl(uri))

    async def task(self, step: dict) -> dict:
        tasks = self.session.experimental
        started = (await tasks.call_tool_as_task(step["tool"], step["arguments"])).task
        if step["then"] == "cancel":
            await tasks.cancel_task(started.taskId)
            return {"status": (await tasks.get_task(started.taskId)).status}
        result = await tasks.get_task_result(started.taskId, types.CallToolResult)
        status = (await tasks.get_task(started.taskId)).status
        return {"started": started.status, "status": status, **driver.told(driver.dump(result))}


async def on_message(asked: driver.Asked, message) -> None:
    if isinstance(message, types.ServerNotification):
        method = message.root.method.removeprefix("notifications/")
        uri = getattr(message.root.params, "uri", None)
        asked.hear(method, str(uri) if uri else None)


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

    async def message_handler(message):
        await on_message(asked, message)

    headers = {"Authorization": f"Bearer {target['bearer']}"} if target.get("bearer") else {}
    async with AsyncExitStack() as stack:
        if "command" in target:
            parameters = StdioServerParameters(command=target["command"], args=target["args"])
            streams = await stack.enter_async_context(stdio_client(parameters))
        elif target.get("sse"):
            streams = await stack.enter_async_context(sse_client(target["url"], headers=headers))
        else:
            http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
            streams = await stack.enter_async_context(streamable_http_client(target["url"], http_client=http))
        session = await stack.enter_async_context(
            ClientSession(
                streams[0],
                streams[1],
                elicitation_callback=elicitation if asked.able else None,
                sampling_callback=sampling if asked.able else None,
                list_roots_callback=roots if asked.able else None,
                logging_callback=said,
                message_handler=message_handler,
            )
        )
        yield Moves1(session, asked), (await session.initialize()).protocolVersion


driver.main(connect)
