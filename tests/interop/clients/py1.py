"""Driver for PyPI `mcp` 1.x, the newest release or an older one: `ClientSession`, the legacy era, over Streamable HTTP,
HTTP+SSE or a command. What a release has no word for, it is asked itself (`lacks`)."""

import warnings
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
from mcp import ClientSession, McpError, StdioServerParameters, types
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from pydantic import AnyUrl

import driver
from moves import TRIES, Moves, takes

warnings.simplefilter("ignore", DeprecationWarning)  # tasks are said to leave this library


class Moves1(Moves):
    @property
    def lacks(self) -> frozenset[str]:
        return frozenset() if takes(ClientSession.__init__, "elicitation_callback") else frozenset({"elicitation"})

    @property
    def cannot_page(self) -> bool:
        return not takes(self.session.list_resources, "cursor") and not takes(self.session.list_resources, "params")

    @property
    def cannot_hear_progress(self) -> bool:
        return not takes(self.session.call_tool, "progress_callback")

    async def call(self, tool, arguments, on_progress=None):
        wanted = {"progress_callback": on_progress} if on_progress else {}
        return await self.session.call_tool(tool, arguments, **wanted)

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
            cancelled = types.CancelledNotification(method="notifications/cancelled", params=params)
            await self.session.send_notification(types.ClientNotification(cancelled))
            with anyio.move_on_after(0.3):
                while not answers:
                    await anyio.sleep(0.05)
            group.cancel_scope.cancel()
        return bool(answers)

    def reference(self, ref: dict):
        return types.PromptReference.model_validate(ref)

    async def page(self, cursor):
        if takes(self.session.list_resources, "params"):
            result = await self.session.list_resources(params=types.PaginatedRequestParams(cursor=cursor))
        else:
            result = await self.session.list_resources(*[cursor] if cursor else [])
        return result.resources, result.nextCursor

    @asynccontextmanager
    async def watching(self, kind, uri):
        if uri:
            await self.session.subscribe_resource(AnyUrl(uri))
        yield TRIES
        if uri:
            await self.session.unsubscribe_resource(AnyUrl(uri))

    async def task(self, step: dict) -> dict:
        if not hasattr(self.session, "experimental"):
            return await super().task(step)
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


async def streamable_http(stack: AsyncExitStack, url: str, headers: dict[str, str]):
    """Imported here because the oldest release has none."""
    from mcp.client import streamable_http as module

    if not hasattr(module, "streamable_http_client"):
        return module.streamablehttp_client(url, headers=headers)
    from mcp.shared._httpx_utils import create_mcp_http_client

    http = await stack.enter_async_context(create_mcp_http_client(headers=headers))
    return module.streamable_http_client(url, http_client=http)


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
            streams = await stack.enter_async_context(await streamable_http(stack, target["url"], headers))
        callbacks = {
            "elicitation_callback": elicitation,
            "sampling_callback": sampling,
            "list_roots_callback": roots,
        }
        known = {name: given for name, given in callbacks.items() if takes(ClientSession.__init__, name)}
        session = await stack.enter_async_context(
            ClientSession(
                streams[0],
                streams[1],
                **(known if asked.able else {}),
                logging_callback=said,
                message_handler=message_handler,
            )
        )
        yield Moves1(session, asked), (await session.initialize()).protocolVersion


driver.main(connect)
