"""How every driver answers what a server asks: a pure function of the question.

`ts.mjs` has the same rules in JavaScript and `../scenarios.py` computes expected values from this file, so a question
or an answer that changes on its way, or reaches another call, shows as a difference.
"""

MODEL = "interop-model"
ROOTS = [{"uri": "file:///interop/one", "name": "one"}, {"uri": "file:///interop/two", "name": "two"}]


def field(name: str, schema: dict, message: str, ordinal: int):
    """A value for one property of a requested schema."""
    if name == "name":
        # Servers that put no token into the question are told apart by the order of the questions.
        return f"person {ordinal}"
    options = schema.get("enum") or [option["const"] for option in schema.get("oneOf", [])]
    if options:
        return options[-1]
    if schema["type"] == "boolean":
        return schema.get("default", True)
    if schema["type"] in ("integer", "number"):
        low, high = schema.get("minimum", 1), schema.get("maximum", 9)
        return low + len(message) % int(high - low + 1)
    if schema["type"] == "array":
        items = schema["items"]
        return [(items.get("enum") or [option["const"] for option in items["anyOf"]])[-1]]
    formats = {"email": "person@example.com", "uri": "https://example.com/person", "date": "2026-01-02"}
    return formats.get(schema.get("format"), f"{name} to {message}")


def elicitation(params: dict, action: str, ordinal: int) -> dict:
    """The elicitation result for a question."""
    if action != "accept":
        return {"action": action}
    properties = params["requestedSchema"]["properties"]
    content = {name: field(name, schema, params["message"], ordinal) for name, schema in properties.items()}
    return {"action": "accept", "content": content}


def sampled_text(params: dict) -> str:
    """What the client's model says to a sampling request."""
    content = params["messages"][-1]["content"]
    first = content[0] if isinstance(content, list) else content
    return f"sampled: {first['text']}"
