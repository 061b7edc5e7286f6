"""What our templates use and makejinja does not have: our filters, functions and tests, as a plugin. They do what the
engine in `crates/cluster/src/render` does with values that have passed the checks; its refusals are not repeated.
"""

import ipaddress
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader, pass_context

ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
TREE = "kubernetes/apps"


@pass_context
def q(context: Any, value: Any) -> str:
    """A text in quotes that mean the same in JSON and in every version of YAML."""
    if value is None:
        raise ValueError("something is printed that is not set")
    text = value if isinstance(value, str) else json.dumps(value)
    if "${" in text and ".sops." not in context.name and context.name.startswith(("apps/", TREE)):
        text = text.replace("${", "$${")
    text = json.dumps(text, ensure_ascii=False)
    return ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def nthhost(network: str, number: int) -> str:
    return str(ipaddress.ip_network(network)[number])


def basename(path: str) -> str:
    return path.rsplit("/", 1)[-1].split(".", 1)[0]


def indented(text: str, spaces: int) -> str:
    pad = " " * spaces
    return "\n".join(pad + line if line else "" for line in text.rstrip("\n").split("\n"))


def split(text: str, by: str) -> list[str]:
    return text.split(by)


def startingwith(text: str, start: str) -> bool:
    return text.startswith(start)


def secret_domain(index: int) -> str:
    return f"${{SECRET_DOMAIN_{index}}}" if index else "${SECRET_DOMAIN}"


class Plugin:
    def __init__(self, env: Any, data: dict[str, Any], config: Any) -> None:
        self.out: Path = config.output
        self.applications, self.keys = data["applications"], data["keys"]
        self.charts = data["charts"]
        env.loader = ChoiceLoader([env.loader, FileSystemLoader("shared")])

    def data(self) -> dict[str, Any]:
        # With attributes, for Jinja takes `chart.update` of a dictionary for its method.
        return {"charts": {name: SimpleNamespace(**chart) for name, chart in self.charts.items()}}

    def filters(self) -> list[Any]:
        return [q, nthhost, basename, indented, split]

    def tests(self) -> list[Any]:
        return [startingwith]

    def functions(self) -> list[Any]:
        def age_key(kind: str) -> str:
            return self.keys[f"age_{kind}"]

        def cloudflare_tunnel_id() -> str:
            return self.keys["tunnel"]

        def cloudflare_tunnel_secret() -> str:
            return self.keys["tunnel_token"]

        def github_deploy_key() -> str:
            return self.keys["deploy"]

        def github_push_token() -> str:
            return self.keys["push"]

        def talos_patches(kind: str) -> list[str]:
            folder = self.out / "talos/patches" / kind
            names = sorted(os.listdir(folder)) if folder.is_dir() else []
            return [f"@./patches/{kind}/{name}" for name in names]

        def with_resources(name: str) -> dict[str, Any]:
            """An application with the files that have become part of it."""
            there = sorted(path.name for path in (self.out / TREE / name / "app").iterdir() if path.is_file())
            return self.applications[name] | {"resources": there}

        given = [cloudflare_tunnel_id, cloudflare_tunnel_secret, github_deploy_key, github_push_token]
        return [age_key, *given, secret_domain, talos_patches, with_resources]
