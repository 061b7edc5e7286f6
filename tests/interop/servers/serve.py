"""Serve an ASGI application on a loopback port of the system's choice and say on stdout which one it is."""

import json
import socket

import uvicorn


async def announce_and_serve(application) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    await uvicorn.Server(uvicorn.Config(application, log_level="info", lifespan="on")).serve(sockets=[listener])
