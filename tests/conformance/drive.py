#!/usr/bin/env python3
"""The client that a suite tests: a gateway with the suite's server behind it, and a caller in front.

    drive.py --portreeve PATH --caller legacy|modern URL

The suite starts it, names its scenario in MCP_CONFORMANCE_SCENARIO and gives the URL of its server. What is tested is
the gateway's side towards that server; the caller only makes the calls that the scenario waits for.
"""

import argparse
import json
import os
import sys

from callers import CALLERS, Unanswered
from placements import stage


def expect(text, part):
    if part not in text:
        raise Unanswered(f"`{part}` is not in the answer: {text}")


def lists(caller):
    caller.list("tools")


def adds(caller):
    lists(caller)
    expect(caller.call("add_numbers", {"a": 5, "b": 3}), "is 8")


def defaults(caller):
    lists(caller)
    expect(caller.call("test_client_elicitation_defaults"), "John Doe")


def reconnects(caller):
    lists(caller)
    expect(caller.call("test_reconnection"), "Reconnection test completed")


def states(caller):
    lists(caller)

    def unrelated():
        expect(caller.call("test_mrtr_unrelated"), "unrelated-ok")

    expect(caller.call("test_mrtr_echo_state", meanwhile=unrelated), "echo-state-ok")
    expect(caller.call("test_mrtr_no_state", meanwhile=unrelated), "no-state-ok")
    expect(caller.call("test_mrtr_no_result_type"), "no-result-type-test-ok")


def everything(caller):
    for tool in caller.list("tools"):
        caller.call(tool["name"])
    for resource in caller.list("resources"):
        caller.ask("resources/read", {"uri": resource["uri"]})
    for prompt in caller.list("prompts"):
        caller.ask("prompts/get", {"name": prompt["name"]})


def given(caller):
    lists(caller)
    for call in json.loads(os.environ["MCP_CONFORMANCE_CONTEXT"])["toolCalls"]:
        caller.call(call["name"], call["arguments"])


def whatever_is_listed(caller):
    sample = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {}}
    for tool in caller.list("tools"):
        fields = tool["inputSchema"].get("properties", {})
        caller.call(tool["name"], {name: sample.get(field.get("type")) for name, field in fields.items()})


def echoes_schema(caller):
    schema = next(tool["inputSchema"] for tool in caller.list("tools") if tool["name"] == "json_schema_2020_12_tool")
    expect(caller.call("json_schema_echo", {"schema": schema}), "echoed")


def lists_skills(caller):
    caller.ask("skills/list", {})


SCENARIOS = {
    "initialize": lists,
    "tools_call": adds,
    "elicitation-sep1034-client-defaults": defaults,
    "sse-retry": reconnects,
    "request-metadata": lists,
    "sep-2322-client-request-state": states,
    "http-standard-headers": everything,
    "http-custom-headers": given,
    "http-invalid-tool-headers": whatever_is_listed,
    "json-schema-ref-no-deref": lists,
    "json-schema-2020-12-preservation": echoes_schema,
    "sep-2640-client-no-prefetch": lists_skills,
}

# Scenarios that are not driven, by how their names begin, and why.
LEFT_OUT = {
    "auth/": "sign-in: the gateway signs in to no server yet",
    "sep-2640-client-verify-": "what a host does with a skill that it has read; the gateway passes it on unread",
}


def left_out(scenario):
    return next((why for begin, why in LEFT_OUT.items() if scenario.startswith(begin)), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--portreeve", required=True)
    parser.add_argument("--caller", choices=CALLERS, required=True)
    parser.add_argument("url")
    options = parser.parse_args()
    # What the gateway logged is what one wants to read when a scenario failed; the suite keeps it.
    with stage(options.portreeve, lambda text: print(text, file=sys.stderr)) as mine:
        caller = CALLERS[options.caller](mine.start_gateway({"url": options.url}))
        SCENARIOS[os.environ["MCP_CONFORMANCE_SCENARIO"]](caller)
        caller.end()


if __name__ == "__main__":
    main()
