"""A service that hands out hosts as Ansible's core-ci does: its protocol over a socket, real hosts behind it.

``{endpoint}/{stage}/{provider}/{id}`` with an id that the client makes up: ``PUT`` asks for an instance, ``GET`` tells
of it, ``DELETE`` gives it back. Who asks says so in the body of ``PUT``; the id is what entitles to the rest.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from tests.system.hosts import Host

USER, PASSWORD = "whl-user", "s3cr3t-of-core-ci"
NEVER = float("inf")
_PATH = re.compile(
    r"/(?P<stage>prod|dev)/(?P<provider>aws|azure|mac)/(?P<id>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"
)
_VM = {"type", "platform", "version", "architecture", "public_key"}
_NAMESPACE = "ci@core.ansible.com"

Answer = tuple[int, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it came, and the status of its answer."""

    method: str
    path: str
    body: Mapping[str, Any]
    status: int


@dataclass(kw_only=True)
class CoreCi:
    """The service; entering starts it. What it hands out and how it answers may change while it runs."""

    hosts: Mapping[str, Host]
    """By platform and version, ``debian/12``, or else by processor: there is one of each."""
    username: str = "root"
    """As whom one logs in there: root, or somebody who may become root."""
    boot: float = 0.0
    """Seconds until an instance is running."""
    slowness: float = 0.0
    """Seconds that it takes to answer a request for an instance, which is carried out only then."""
    refusals: dict[str, Answer] = field(default_factory=dict)
    """What it answers to every request of a method."""
    arrived: list[str] = field(default_factory=list)
    """The methods of all requests, whether they were answered yet or not."""
    requests: list[Request] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    """By user the public key of one who signs."""
    attachments: dict[tuple[str, str], str] = field(default_factory=dict)
    """What Azure's REST API would tell of a build: by its id and an attachment's name, the text."""
    running: dict[str, tuple[Host | None, float]] = field(default_factory=dict)
    """By id of an instance: its host, and when it was asked for."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def do_DELETE(self) -> None:
                self._answer()

            def _answer(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, document = service.answer(self.command, self.path, json.loads(sent or b"{}"))
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def endpoint(self) -> str:
        """The address to give to clients."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        """Answer one request."""
        found = _PATH.fullmatch(path)
        act = {"PUT": self._put, "GET": self._get, "DELETE": self._delete}[method]
        self.arrived.append(method)
        if method == "PUT":
            time.sleep(self.slowness)
        with self._lock:
            status, document = self.refusals.get(method) or (
                act(found["id"], body, found) if found else (404, {"message": f"there is no {path}"})
            )
            self.requests.append(Request(method=method, path=path, body=body, status=status))
        return status, document

    def asked(self, method: str) -> list[Request]:
        """Return the requests of a method."""
        with self._lock:
            return [each for each in self.requests if each.method == method]

    @property
    def deleted(self) -> list[str]:
        """The ids of instances that were given back."""
        return [each.path.rpartition("/")[2] for each in self.asked("DELETE") if each.status == 200]

    def _put(self, id_: str, body: dict[str, Any], path: re.Match[str]) -> Answer:
        if not self._known(body, path):
            return 401, {"message": "Authentication failed."}
        config = body["config"]
        if config.keys() != _VM or config["type"] != "vm":
            return 400, {"message": f"no instance can be made of {sorted(config)}"}
        name, architecture = f"{config['platform']}/{config['version']}", config["architecture"]
        host = self.hosts.get(name) or self.hosts.get(architecture)
        if host is None or id_ in self.running:
            return 400, {"message": f"there is no {name} {architecture}"}
        authorized = self._keys(host) / "authorized_keys"
        authorized.parent.mkdir(mode=0o755, exist_ok=True)
        with authorized.open("a") as file:
            file.write(f"{config['public_key']}\n")
        owner = authorized.parent.parent.stat()
        for each in (authorized.parent, authorized):
            os.chown(each, owner.st_uid, owner.st_gid)
        self.running[id_] = (host, time.monotonic())
        return 200, {"status": "starting"}

    def _get(self, id_: str, _body: dict[str, Any], _path: re.Match[str]) -> Answer:
        if id_ not in self.running:
            return 404, {"message": "there is no such instance"}
        host, since = self.running[id_]
        if host is None or time.monotonic() - since < self.boot:
            return 200, {"status": "starting"}
        connection = {"hostname": host.address, "port": 22, "username": self.username}
        return 200, {"status": "running", "connection": connection}

    def _delete(self, id_: str, _body: dict[str, Any], _path: re.Match[str]) -> Answer:
        if id_ not in self.running:
            return 404, {"message": "there is no such instance"}
        host, _ = self.running.pop(id_)
        if host is not None:
            for keys in {self._keys(host), host.files / "root/.ssh"}:
                shutil.rmtree(keys, ignore_errors=True)  # the next one is another machine
        return 200, {"message": "stopped"}

    def _keys(self, host: Host) -> Path:
        return host.files / ("root" if self.username == "root" else f"home/{self.username}") / ".ssh"

    def _known(self, body: dict[str, Any], path: re.Match[str]) -> bool:
        """Whether whoever asks is who they say they are."""
        if body.get("type") == "remote:password":
            return (body["username"], body["password"]) == (USER, PASSWORD)
        signed = {"stage": path["stage"], "provider": path["provider"], "request_id": path["id"]}
        if body.get("type") not in {"remote:ssh", "azp:ssh"} or {name: body.get(name) for name in signed} != signed:
            return False
        if body["type"] == "remote:ssh":
            return self._signed(body, self.keys.get(body["username"]))
        return self._signed(body, self.attachments.get((str(body["build_id"]), "public-key.pem")))

    @staticmethod
    def _signed(body: dict[str, Any], public_key: str | None) -> bool:
        """Whether the request was signed by the key: it is the JSON without its signature that is."""
        if public_key is None:
            return False
        text = json.dumps({name: value for name, value in body.items() if name != "signature"}, sort_keys=True)
        with tempfile.TemporaryDirectory() as folder:
            signature, signers = Path(folder, "signature"), Path(folder, "signers")
            signature.write_text(body["signature"])
            signers.write_text(f"somebody {public_key}\n")
            verify = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "somebody", "-n", _NAMESPACE]
            verify += ["-s", str(signature)]
            return subprocess.run(verify, input=text.encode(), capture_output=True, check=False).returncode == 0
