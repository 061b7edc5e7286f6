"""Lays our templates out as makejinja wants them: one template for each file of the tree, under `first/`, and under
`second/` those that list what the first made. Which applications are there is decided here, too, so that the run that
is measured does nothing but render. Nothing is read but the templates, the values and the key files.

    stage.py TEMPLATES CLUSTER VALUES SITE
"""

import base64
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

SETTINGS = """\
[makejinja]
inputs = ["first", "second"]
output = "out"
data = ["data.json"]
plugins = ["plugin.Plugin"]
jinja_suffix = ".j2"
undefined = "strict"
quiet = true
[makejinja.delimiter]
block_start = "#%"
block_end = "%#"
variable_start = "#{"
variable_end = "}#"
comment_start = "#|"
comment_end = "|#"
"""
APPS = "kubernetes/apps"
TALCONFIG = "talos/talconfig.yaml"


def applications(templates: Path, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Those that are there, by namespace and name, as the shared templates see them."""
    environment = Environment(undefined=StrictUndefined)
    found = {}
    for path in sorted(templates.glob("apps/*/*/app.yaml")):
        namespace, name = path.parts[-3:-1]
        about = yaml.safe_load(path.read_text()) or {}
        if when := about.get("when"):
            if not environment.compile_expression(when)(**values):
                continue
        found[f"{namespace}/{name}"] = {
            "namespace": namespace,
            "name": name,
            "release": about.get("release", name),
            "chart": about.get("chart"),
            "needs": about.get("needs", []),
            "wait": about.get("wait", False),
            "prune": about.get("prune", True),
        }
    for app in found.values():
        needs = (need.split("/") for need in app["needs"] if need in found)
        app["needs"] = [{"namespace": namespace, "name": name} for namespace, name in needs]
    return found


def keys(cluster: Path) -> dict[str, str]:
    """What templates may ask of the key files."""

    def text(name: str) -> str:
        path = cluster / name
        return path.read_text() if path.exists() else ""

    age = text("age.key").splitlines()
    public = (line.removeprefix("# public key: ") for line in age if line.startswith("# public key: "))
    found = {
        "age_public": next(public),
        "age_private": "\n".join(line for line in age if line.startswith("AGE-SECRET-KEY-")),
        "deploy": text("github-deploy.key"),
        "push": text("github-push-token.txt").strip(),
    }
    if tunnel := text("cloudflare-tunnel.json"):
        parts = json.loads(tunnel)
        token = {"a": parts["AccountTag"], "t": parts["TunnelID"], "s": parts["TunnelSecret"]}
        packed = json.dumps(token, separators=(",", ":"), ensure_ascii=False)
        found["tunnel"] = parts["TunnelID"]
        found["tunnel_token"] = base64.b64encode(packed.encode()).decode()
    return found


class Site:
    """The folder that makejinja runs in."""

    def __init__(self, root: Path, templates: Path) -> None:
        self.root, self.templates = root, templates

    def write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def copy(self, template: Path, path: str) -> None:
        self.write(path, template.read_text())

    def wrapped(self, step: str, path: str, given: list[str], template: str) -> None:
        """A template that sets what a shared one needs and takes it in."""
        blocks = [*given, f'include "{template}"']
        self.write(f"{step}/{path}.j2", "".join(f"#% {block} %#\n" for block in blocks))

    def tree_files(self) -> None:
        root = self.templates / "root"
        for template in filter(Path.is_file, root.rglob("*")):
            path = template.relative_to(root).as_posix()
            self.copy(template, f"{'second' if path == TALCONFIG else 'first'}/{path}.j2")

    def namespace(self, name: str) -> None:
        for file in ("kustomization.yaml", "namespace.yaml"):
            given = [f'set namespace = namespaces["{name}"]']
            self.wrapped("first", f"{APPS}/{name}/{file}", given, f"namespace/{file}")

    def application(self, name: str, app: dict[str, Any]) -> None:
        source, target = self.templates / "apps" / name, f"{APPS}/{name}"
        own = set()
        for template in filter(Path.is_file, (source / "files").rglob("*")):
            path = template.relative_to(source / "files").as_posix()
            self.copy(template, f"first/{target}/{path}.j2")
            own.add(path)
        this = f'set app = applications["{name}"]'
        shared = [("first", "ks.yaml", [this])]
        if chart := app["chart"]:
            values = ['set values = ""']
            if (source / "values.yaml").exists():
                self.copy(source / "values.yaml", f"shared/apps/{name}/values.yaml")
                values = ["set values | trim", f'include "apps/{name}/values.yaml"', "endset"]
            given = [this, f'set chart = charts["{chart}"]']
            shared.append(("first", "app/helmrelease.yaml", [*given, *values]))
            shared.append(("first", "app/ocirepository.yaml", given))
        shared.append(("second", "app/kustomization.yaml", [f'set app = with_resources("{name}")']))
        for step, path, given in shared:
            if path not in own:
                self.wrapped(step, f"{target}/{path}", given, f"app/{path.removeprefix('app/')}")


def main() -> None:
    templates, cluster, values, site = map(Path, sys.argv[1:])
    data = json.loads(values.read_text())
    data["talos_minor"] = int(data["talos_version"].split(".")[1])
    apps = applications(templates, data)
    namespaces: dict[str, dict[str, Any]] = {}
    for app in apps.values():
        namespace = namespaces.setdefault(app["namespace"], {"name": app["namespace"], "apps": []})
        namespace["apps"].append(app["name"])
    data |= {"applications": apps, "namespaces": namespaces, "apps": list(apps), "keys": keys(cluster)}
    data["charts"] = yaml.safe_load((templates / "charts.yaml").read_text())
    at = Site(site, templates)
    at.write("data.json", json.dumps(data))
    at.write("makejinja.toml", SETTINGS)
    shutil.copy(Path(__file__).with_name("plugin.py"), site)
    for folder in ("app", "namespace"):
        shutil.copytree(templates / folder, site / "shared" / folder)
    at.tree_files()
    for name in namespaces:
        at.namespace(name)
    for name, app in apps.items():
        at.application(name, app)


main()
