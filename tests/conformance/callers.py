"""The smallest clients of both eras: what a person's program would be in front of the gateway.

They list, call, and answer what they are asked, filling forms in with the defaults of their fields. They judge nothing
but what makes an answer useless, and know neither the gateway nor the suites.
"""

import base64
import json
import time
import urllib.error
import urllib.request

LEGACY, MODERN = "2025-11-25", "2026-07-28"
RESERVED = "io.modelcontextprotocol/"
INFO = {"name": "portreeve-conformance-caller", "version": "1.0.0"}
CAPABILITIES = {"elicitation": {"form": {}}, "sampling": {}, "roots": {}}
ANSWER_SECONDS = 20
# More rounds of questions, and more streams of one answer, than any scenario has.
ROUNDS = 5
STREAMS = 10


class Unanswered(Exception):
    """There is no result: an error, or nothing at all."""


def fill(schema):
    """An answer to a form: the default of each field, else something of its type."""
    blank = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": []}
    fields = schema.get("properties", {})
    return {name: field.get("default", blank.get(field.get("type"), "text")) for name, field in fields.items()}


def answer(method, params):
    """What the client's side says to a question."""
    if method == "elicitation/create":
        return {"action": "accept", "content": fill(params.get("requestedSchema", {}))}
    if method == "sampling/createMessage":
        return {"role": "assistant", "model": "none", "content": {"type": "text", "text": "an answer"}}
    if method == "roots/list":
        return {"roots": []}
    raise Unanswered(f"a question that this client does not know: {method}")


def messages(response, place=None):
    """The JSON-RPC messages of a response, as they come: one JSON body, or the events of a stream.

    `place` is told where the stream stands: the last `id` and `retry`.
    """
    if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
        body = response.read()
        if body:
            yield json.loads(body)
        return
    data = []
    for line in response:
        text = line.decode().rstrip("\r\n")
        field, _, value = text.partition(":")
        if place is not None and field in ("id", "retry"):
            place[field] = value.strip()
        if text.startswith("data:"):
            data.append(text[5:].removeprefix(" "))
        elif not text and data:
            joined, data = "\n".join(data), []
            if joined:
                yield json.loads(joined)


class Caller:
    """What both eras share."""

    def __init__(self, url):
        self.url = url
        self.last = 0

    def next(self):
        self.last += 1
        return self.last

    def post(self, message, headers):
        base = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        request = urllib.request.Request(self.url, json.dumps(message).encode(), {**base, **headers})
        try:
            return urllib.request.urlopen(request, timeout=ANSWER_SECONDS)
        except urllib.error.HTTPError as refused:
            raise Unanswered(f"{message.get('method')}: {refused.code} {refused.read().decode()}") from refused

    def result(self, method, message):
        if "result" not in message:
            raise Unanswered(f"{method}: {json.dumps(message.get('error'))}")
        return message["result"]

    def list(self, what):
        """Every page of a list."""
        found, params = [], {}
        while True:
            page = self.ask(f"{what}/list", params)
            found += page[what]
            if not page.get("nextCursor"):
                return found
            params = {"cursor": page["nextCursor"]}

    def call(self, name, arguments=None, meanwhile=None):
        """Calls a tool. `meanwhile` is done between a question and its answer."""
        result = self.ask("tools/call", {"name": name, "arguments": arguments or {}}, meanwhile)
        if result.get("isError"):
            raise Unanswered(f"{name}: {json.dumps(result)}")
        return "".join(block.get("text", "") for block in result["content"])

    def ask(self, method, params, meanwhile=None):
        raise NotImplementedError

    def end(self):
        pass


class LegacyCaller(Caller):
    """Shakes hands, holds a session, is asked in the middle of a call."""

    def __init__(self, url):
        super().__init__(url)
        self.headers = {}
        message = {"jsonrpc": "2.0", "id": self.next(), "method": "initialize",
                   "params": {"protocolVersion": LEGACY, "capabilities": CAPABILITIES, "clientInfo": INFO}}
        with self.post(message, {}) as response:
            session = response.headers["Mcp-Session-Id"]
            version = self.result("initialize", next(messages(response)))["protocolVersion"]
        self.headers = {"Mcp-Session-Id": session, "MCP-Protocol-Version": version}
        self.tell({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def tell(self, message):
        self.post(message, self.headers).close()

    def ask(self, method, params, meanwhile=None):
        identifier = self.next()
        message = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
        response, place = self.post(message, self.headers), {}
        for _ in range(STREAMS):
            with response:
                for given in messages(response, place):
                    if "method" not in given and given.get("id") == identifier:
                        return self.result(method, given)
                    self.reply(given, meanwhile)
            response = self.take_up(method, place)
        raise Unanswered(f"{method}: no answer on {STREAMS} streams")

    def reply(self, message, meanwhile):
        """Answers a question; what is no question is only heard."""
        if "method" not in message or "id" not in message:
            return
        if meanwhile:
            meanwhile()
        said = answer(message["method"], message.get("params", {}))
        self.tell({"jsonrpc": "2.0", "id": message["id"], "result": said})

    def take_up(self, method, place):
        """A server may close the stream of a call and be asked again (specification 2025-11-25: basic/transports)."""
        if "id" not in place:
            raise Unanswered(f"{method}: the stream ended without an answer")
        time.sleep(int(place.get("retry", "1000")) / 1000)
        headers = {**self.headers, "Accept": "text/event-stream", "Last-Event-ID": place["id"]}
        return urllib.request.urlopen(urllib.request.Request(self.url, headers=headers), timeout=ANSWER_SECONDS)

    def end(self):
        request = urllib.request.Request(self.url, headers=self.headers, method="DELETE")
        urllib.request.urlopen(request, timeout=ANSWER_SECONDS).close()


class ModernCaller(Caller):
    """Sends everything with each request, and repeats a call with the answers to its questions."""

    def __init__(self, url):
        super().__init__(url)
        self.tools = {}

    def list(self, what):
        found = super().list(what)
        if what == "tools":
            self.tools = {tool["name"]: tool for tool in found}
        return found

    def ask(self, method, params, meanwhile=None):
        more = {}
        for _ in range(ROUNDS):
            result = self.once(method, {**params, **more})
            if result["resultType"] != "input_required":
                return result
            if meanwhile:
                meanwhile()
            asked = result.get("inputRequests", {})
            more = {"inputResponses": {key: answer(ask["method"], ask["params"]) for key, ask in asked.items()}}
            if "requestState" in result:
                more["requestState"] = result["requestState"]
        raise Unanswered(f"{method}: asked more than {ROUNDS} times")

    def once(self, method, params):
        identifier = self.next()
        meta = {f"{RESERVED}protocolVersion": MODERN, f"{RESERVED}clientCapabilities": CAPABILITIES,
                f"{RESERVED}clientInfo": INFO}
        message = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": {**params, "_meta": meta}}
        with self.post(message, self.headers(method, params)) as response:
            for given in messages(response):
                if "method" not in given:
                    return self.result(method, given)
        raise Unanswered(f"{method}: the stream ended without an answer")

    def headers(self, method, params):
        """Everything that is mirrored out of the body (specification: basic/transports/streamable-http)."""
        headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
        name = params.get("uri" if method == "resources/read" else "name")
        if method in ("tools/call", "prompts/get", "resources/read"):
            headers["Mcp-Name"] = encode(name)
        fields = self.tools.get(name, {}).get("inputSchema", {}).get("properties", {})
        for field, value in params.get("arguments", {}).items():
            header = fields.get(field, {}).get("x-mcp-header")
            if method == "tools/call" and header and value is not None:
                headers[f"Mcp-Param-{header}"] = encode(value)
        return headers


def encode(value):
    """A value as a header: as it is where that is safe, else in the sentinel form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    looks_encoded = text.startswith("=?base64?") and text.endswith("?=")
    if text == text.strip() and all(" " <= letter <= "~" for letter in text) and not looks_encoded:
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


CALLERS = {"legacy": LegacyCaller, "modern": ModernCaller}
