"""Headless Chromium for tests, and a server that compresses as GitHub Pages does. Both stay on this machine."""

import contextlib
import functools
import gzip
import http.server
import json
import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
FAULTS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")


class Navigated(Exception):
    """The page was left before it had answered."""


class Browser:
    """A headless chromium, driven by its debugging pipe: commands out, answers and events in, divided by NUL."""

    def __init__(self, folder: Path):
        flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
        flags += " --disable-background-networking --disable-component-update --remote-debugging-pipe"
        self.commands, self.answers = os.pipe(), os.pipe()
        theirs = (self.commands[0], self.answers[1])
        shell = f'exec "$0" "$@" 3<&{theirs[0]} 4>&{theirs[1]}'  # chromium reads from 3 and writes to 4
        command = ["bash", "-c", shell, CHROMIUM, *flags.split(), f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(
            command, pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for end in theirs:
            os.close(end)
        self.events, self.count, self.rest, self.session = [], 0, b"", None
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page", "Network"):
            self(f"{domain}.enable")

    def __call__(self, method: str, **params) -> dict:
        """The answer to one command; the events before it go to `events`."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands[1], json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self.rest:
                if not select.select([self.answers[0]], [], [], 60)[0]:
                    raise TimeoutError(f"no answer to {method} in 60 seconds")
                self.rest += os.read(self.answers[0], 1 << 20)
            line, self.rest = self.rest.split(b"\0", 1)
            answer = json.loads(line)
            if answer.get("id") == self.count:
                if "navigated" in answer.get("error", {}).get("message", ""):
                    raise Navigated(answer["error"]["message"])
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def value(self, expression: str):
        """The value of a JavaScript expression, which may be a promise."""
        answer = self("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def key(self, key: str, code: int, text: str = ""):
        """Press and release a key: a real one to the page."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self("Input.dispatchKeyEvent", type="keyUp", **common)

    def until(self, expression: str, seconds: float = 20):
        """Wait until a JavaScript expression, which may be a promise, is true; the page may be left meanwhile."""
        end = time.monotonic() + seconds
        while True:
            with contextlib.suppress(Navigated):
                if self.value(f"Promise.resolve({expression}).then(Boolean)"):
                    return
            assert time.monotonic() < end, expression
            time.sleep(0.05)

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        os.close(self.commands[1])
        os.close(self.answers[0])

    def faults(self) -> list[dict]:
        """Exceptions and lines of the console since the events were last cleared."""
        self.value("1")  # receives what is under way
        return [event["params"] for event in self.events if event["method"] in FAULTS]

    def requests(self) -> list[str]:
        """The addresses that were asked for since the events were last cleared."""
        sent = (e["params"] for e in self.events if e["method"] == "Network.requestWillBeSent")
        return [params["request"]["url"] for params in sent]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; text compressed, as GitHub Pages sends it."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        if path.suffix not in (".html", ".css", ".js", ".svg", ".json") or not path.is_file():
            return super().do_GET()
        body = gzip.compress(path.read_bytes())
        self.send_response(200)
        for name, value in {
            "Content-Type": self.guess_type(path),
            "Content-Encoding": "gzip",
            "Content-Length": str(len(body)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        return self.wfile.write(body)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of this folder, which ends with the block."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
