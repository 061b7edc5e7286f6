"""The processes of a run: servers, gateway, drivers and recording relays, each with its log, all ended by their pid.

Everything listens on loopback. Nothing here knows what a scenario means.
"""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Self

HERE = Path(__file__).resolve().parent
START_SECONDS = 20
END_SECONDS = 5


class Processes:
    """Owns every child of the run; leaving the context ends those that are still there."""

    def __init__(self, logs: Path):
        self.logs = logs
        self.running: list[subprocess.Popen] = []
        self.lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        with self.lock:
            left = list(self.running)
        for child in left:
            end(child)

    def start(self, command: list[str], log: str, **options) -> subprocess.Popen:
        """Starts a command in a process group of its own, its stderr in LOG."""
        with open(self.logs / f"{log}.log", "ab") as errors:
            child = subprocess.Popen(command, stderr=errors, start_new_session=True, **options)
        with self.lock:
            self.running.append(child)
        return child

    def finished(self, child: subprocess.Popen) -> None:
        with self.lock:
            self.running.remove(child)


def end(child: subprocess.Popen) -> None:
    """Asks a child's group to end, then makes it. The group outlives its leader only if somebody in it hangs."""
    for step in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, step)
        except ProcessLookupError:
            break
        try:
            child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    child.wait(END_SECONDS)


def http_server(processes: Processes, name: str, command: tuple[str, ...]) -> int:
    """Starts a server that says `{"port": N}` on a line of stdout; returns the port."""
    environment = {**os.environ, "PORT": "0", "PYTHONUNBUFFERED": "1"}
    child = processes.start(list(command), name, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment)
    found = threading.Event()
    ports: list[int] = []

    def read() -> None:
        with open(processes.logs / f"{name}.out.log", "ab") as log:
            for line in child.stdout:
                log.write(line)
                log.flush()
                if not ports and line.startswith(b'{"port"'):
                    ports.append(json.loads(line)["port"])
                    found.set()
        found.set()

    threading.Thread(target=read, daemon=True).start()
    if not found.wait(START_SECONDS) or not ports:
        raise SystemExit(f"{name} did not start, see {processes.logs}/{name}.log")
    return ports[0]


def driver_command(stack: Path, client) -> list[str]:
    driver = HERE / "clients" / client.driver
    if driver.suffix == ".mjs":
        return [str(stack / "node/node_modules/.bin/node"), str(driver)]
    if driver.suffix == ".py":
        return [str(stack / (client.runs or driver.stem) / "bin/python"), str(driver)]
    return [str(stack / client.driver)]


def drive(processes: Processes, stack: Path, client, job: dict, label: str) -> dict[str, dict]:
    """Runs one driver on one job. A driver that breaks or hangs is an observation for each of its scenarios."""
    environment = {**os.environ, "PORTREEVE_STACK": str(stack), "PYTHONUNBUFFERED": "1", **client.environment}
    command = driver_command(stack, client)
    child = processes.start(command, label, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    try:
        output, _ = child.communicate(json.dumps(job).encode(), job["budget"] + 2 * job["seconds"])
        return json.loads(output)
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        what = f"the driver: {type(error).__name__}, exit code {child.poll()}, see {processes.logs}/{label}.log"
        return {scenario["name"]: {"steps": [], "failed": what} for scenario in job["scenarios"]}
    finally:
        end(child)
        processes.finished(child)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Gateway:
    """`portreeve serve` with a generated configuration."""

    def __init__(self, processes: Processes, binary: str, servers: dict, key: str | None, trace: bool):
        self.processes, self.logs = processes, processes.logs
        self.child, port = self._serve(binary, servers, key)
        self.port = port
        self.door_config = self.logs / "door.yaml"
        self.door_options = ("--config", str(self.door_config), "--data", str(self.logs / "door-data"))
        write_config(self.door_config, free_port(), servers, None)
        if trace:
            port = Relay(processes, port, "gateway").port
        self.url = f"http://127.0.0.1:{port}"

    def _serve(self, binary: str, servers: dict, key: str | None) -> tuple[subprocess.Popen, int]:
        for _ in range(3):  # somebody else may take the port between its choice and its use
            port = free_port()
            config = self.logs / "portreeve.yaml"
            write_config(config, port, servers, key)
            with open(self.logs / "gateway.out.log", "ab") as output:
                command = [binary, "serve", "--config", str(config), "--data", str(self.logs / "data")]
                child = self.processes.start(command, "gateway", stdout=output, stdin=subprocess.DEVNULL)
            if listens(child, port):
                return child, port
            end(child)
        raise SystemExit(f"the gateway did not start, see {self.logs}/gateway.log")

    def stop(self) -> list[str]:
        """Ends the gateway as an operator would; says what was wrong with its end."""
        if self.child.poll() is not None:
            return [f"it had ended by itself, exit code {self.child.returncode}"]
        children = descendants(self.child.pid)
        self.child.terminate()
        try:
            code = self.child.wait(2 * END_SECONDS)
        except subprocess.TimeoutExpired:
            end(self.child)
            return ["it did not end on SIGTERM"]
        children += with_argument(str(self.door_config))
        left = [pid for pid in children if still_there(pid, time.monotonic() + END_SECONDS)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        problems = [f"exit code {code} after SIGTERM"] if code != 0 else []
        return problems + ([f"{len(left)} of its or a door's processes left alive"] if left else [])


def write_config(path: Path, port: int, servers: dict, key: str | None) -> None:
    # JSON is YAML: no need to write another emitter.
    config: dict = {"listen": f"127.0.0.1:{port}", "servers": servers}
    if key:
        config["keys"] = [{"name": "interop", "secret": key, "allow": [{"server": name} for name in servers]}]
        # Callers with a key have a rate by default; the matrix is one caller and makes many calls.
        config["limits"] = {"calls_per_minute": 1_000_000}
    path.write_text(json.dumps(config, indent=1))


def listens(child: subprocess.Popen, port: int) -> bool:
    end_at = time.monotonic() + START_SECONDS
    while time.monotonic() < end_at and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False


def descendants(pid: int) -> list[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it ended while we looked
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def with_argument(text: str) -> list[int]:
    """The doors of this run that have not ended: they carry its configuration file's path in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and text in (entry / "cmdline").read_text().split("\0"):
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked
    return found


def still_there(pid: int, until: float) -> bool:
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return False
        except OSError:
            return False
        time.sleep(0.02)
    return True


class Cutter:
    """Passes a loopback port on, but cuts the connection of every tool call after the first progress of its stream: both
    sides see it end in the middle. Other requests pass, so that a stream can be resumed."""

    def __init__(self, to: int):
        self.to = to
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near, _ = self.listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                near.close()
                continue
            is_call = threading.Event()
            threading.Thread(target=self._up, args=(near, far, is_call), daemon=True).start()
            threading.Thread(target=self._down, args=(near, far, is_call), daemon=True).start()

    def _up(self, near: socket.socket, far: socket.socket, is_call: threading.Event) -> None:
        mine, theirs = f"127.0.0.1:{self.port}".encode(), f"127.0.0.1:{self.to}".encode()
        try:
            while chunk := near.recv(65536):
                if chunk.startswith((b"GET ", b"POST ", b"DELETE ")):
                    is_call.clear()
                if b"tools/call" in chunk:
                    is_call.set()
                far.sendall(chunk.replace(mine, theirs))
        except OSError:
            pass  # the other direction tells both sides
        hang_up(far)

    def _down(self, near: socket.socket, far: socket.socket, is_call: threading.Event) -> None:
        seen = b""
        try:
            while chunk := far.recv(65536):
                seen = seen + chunk if is_call.is_set() else b""
                end_at = end_of_progress(seen)
                if end_at is not None:
                    near.sendall(chunk[: max(end_at - (len(seen) - len(chunk)), 0)])
                    break
                near.sendall(chunk)
        except OSError:
            pass  # one side went away by itself
        hang_up(near)
        hang_up(far)


def end_of_progress(seen: bytes) -> int | None:
    """Where the first event with progress ends."""
    at = seen.find(b"notifications/progress")
    ends = [seen.find(blank, at) + len(blank) for blank in (b"\n\n", b"\r\n\r\n") if seen.find(blank, at) >= 0]
    return min(ends) if at >= 0 and ends else None


def hang_up(side: socket.socket) -> None:
    try:
        side.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it had hung up


class Relay:
    """Passes a loopback port on and writes what went through to `NAME.wire.log`, one file for all connections."""

    def __init__(self, processes: Processes, to: int, name: str):
        self.to = to
        self.log = open(processes.logs / f"{name}.wire.log", "ab")  # noqa: SIM115, lives as long as the run
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        number = 0
        while True:
            near, _ = self.listener.accept()
            far = socket.create_connection(("127.0.0.1", self.to))
            number += 1
            for arrow, source, sink in ((">", near, far), ("<", far, near)):
                threading.Thread(target=self._pass, args=(number, arrow, source, sink), daemon=True).start()

    def _pass(self, number: int, arrow: str, source: socket.socket, sink: socket.socket) -> None:
        # The far side must see its own port in Host, or its rebinding protection refuses.
        mine, theirs = f"127.0.0.1:{self.port}".encode(), f"127.0.0.1:{self.to}".encode()
        try:
            while chunk := source.recv(65536):
                self._note(number, arrow, chunk)
                sink.sendall(chunk.replace(mine, theirs) if arrow == ">" else chunk)
        except OSError:
            pass  # one side went away; the other is told below
        self._note(number, arrow, b"(end)")
        for end_of in (source, sink):
            try:
                end_of.shutdown(socket.SHUT_WR if end_of is sink else socket.SHUT_RD)
            except OSError:
                pass

    def _note(self, number: int, arrow: str, chunk: bytes) -> None:
        with self.lock:
            self.log.write(f"\n== {time.time():.3f} #{number} {arrow}\n".encode() + chunk)
            self.log.flush()
