"""moto's S3 API on a free port of this machine, with a bucket of files, made unreliable on request.

    python3 s3_server.py FOLDER

serves the files below FOLDER as the bucket `photos` and prints the port. Then it reads commands, a line of JSON each,
and replies to each with a line; it ends with its standard input.

    {"command": "requests"}     the requests since the last such command: method, path with query, range
    {"command": "fail", "request": REGEX, "kind": KIND, "times": N}
    {"command": "heal"}         forgets all failures
    {"command": "lock"}         from now on requests need a signature; replies with the key and the secret for it
    {"command": "throttle", "bytes_a_second": N}    from now on all bodies together come no faster

The next N requests that match, written as `GET /photos/a.jpg?query`, fail: `busy` returns 503, `broken` 500, `hang`
responds only once the next such request has come, `cut` ends the connection amid the body, `short` sends half of the body
as if it were all, and `lose` responds and then deletes the object `key`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from moto import settings
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.s3.models import get_canned_acl, s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

BUCKET = "photos"


class Unreliable:
    """A WSGI application in front of another, which logs requests and injects failures."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application = application
        self.lock = threading.Lock()
        self.failures: list[dict[str, Any]] = []
        self.requests: list[str] = []
        self.hanging: dict[str, threading.Event] = {}
        self.line = threading.Lock()
        self.bytes_a_second: float | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        request = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{'?' if query else ''}{query}"
        with self.lock:
            self.requests.append(f"{request} {environ.get('HTTP_RANGE', '')}".strip())
            failure = self.failure_of(request)
            earlier = self.hanging.pop(request, None)
            if failure and failure["kind"] == "hang":
                self.hanging[request] = hung = threading.Event()
        if earlier:
            earlier.set()
        if failure is None:
            return self.throttled(self.application(environ, start_response))
        match failure["kind"]:
            case "busy":
                return Response("<Error><Code>SlowDown</Code></Error>", 503)(environ, start_response)
            case "broken":
                return Response("<Error><Code>InternalError</Code></Error>", 500)(environ, start_response)
            case "short":
                return self.shortened(environ, start_response)
            case "hang":
                hung.wait()
                return self.application(environ, start_response)
            case "cut":
                body = b"".join(self.application(environ, start_response))
                return [body[: len(body) // 2]]
            case "lose":
                body = list(self.application(environ, start_response))
                backend().delete_object(BUCKET, failure["key"])
                return body
        raise ValueError(failure["kind"])

    def shortened(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Half of a body, with a length that fits it."""
        started: list[Any] = []
        body = b"".join(self.application(environ, lambda status, headers, *_: started.extend([status, headers])))
        half = body[: len(body) // 2]
        headers = [(name, value) for name, value in started[1] if name.lower() != "content-length"]
        start_response(started[0], [*headers, ("Content-Length", str(len(half)))])
        return [half]

    def throttled(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """Holds a body back for as long as a line of this speed is busy with it."""
        if self.bytes_a_second is None:
            return body
        parts = list(body)
        with self.line:
            time.sleep(sum(map(len, parts)) / self.bytes_a_second)
        return parts

    def failure_of(self, request: str) -> dict[str, Any] | None:
        """Takes one of the times that a matching failure has left."""
        for failure in self.failures:
            if failure["times"] > 0 and re.fullmatch(failure["request"], request):
                failure["times"] -= 1
                return failure
        return None

    def obey(self, command: dict[str, Any]) -> Any:
        """Carries out a command and returns its reply."""
        with self.lock:
            if command["command"] == "requests":
                requests, self.requests = self.requests, []
                return requests
            if command["command"] == "heal":
                self.failures = []
                return "ok"
            if command["command"] == "lock":
                return lock()
            if command["command"] == "throttle":
                self.bytes_a_second = command["bytes_a_second"]
                return "ok"
            self.failures.append(command)
            return "ok"


def lock() -> list[str]:
    """Has moto check signatures; returns a key and a secret that may do anything."""
    users = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    users.create_user("us-east-1", "tester")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    users.put_user_policy("tester", "anything", json.dumps(policy))
    key = users.create_access_key("tester")
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    return [key.access_key_id, key.secret_access_key]


def backend() -> Any:
    """Returns what moto keeps its buckets in."""
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]


def main() -> None:
    """Serves until standard input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    folder = Path(sys.argv[1])
    backend().create_bucket(BUCKET, "us-east-1")
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            key = backend().put_object(BUCKET, file.relative_to(folder).as_posix(), file.read_bytes())
            key.acl = get_canned_acl("public-read")
    application = Unreliable(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for line in sys.stdin:
        print(json.dumps(application.obey(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
