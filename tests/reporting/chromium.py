"""A headless Chromium driven through its pipe: pages at any width, light or dark, with real clicks and keys."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

BROWSERS = (
    "chromium-headless-shell",  # the only one whose window can be narrower than 500 pixels
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
)
"""Names under which it is looked for on PATH."""
_KEYS = {
    "ArrowUp": 38,
    "ArrowDown": 40,
    "ArrowLeft": 37,
    "ArrowRight": 39,
    "Enter": 13,
    "Tab": 9,
    "Home": 36,
    "End": 35,
    "Escape": 27,
    "PageUp": 33,
    "PageDown": 34,
}
_TEXTS = {"Enter": "\r"}


def find_browser() -> str | None:
    """Return the path of a browser, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


class Chromium:
    """One page in a browser of its own; ``messages`` are what its console said.

    The DevTools protocol over ``--remote-debugging-pipe``: JSON ended by a zero byte on descriptors 3 and 4.
    """

    def __init__(self, browser: str) -> None:
        self.home = tempfile.mkdtemp(prefix="segbench-chromium-")
        self.messages: list[str] = []
        self.requests: list[str] = []
        told, tell = os.pipe()
        hear, said = os.pipe()
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe")
        script = f'exec "$@" 3<&{told} 4>&{said}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", browser, *flags, f"--user-data-dir={self.home}", "about:blank"],
            pass_fds=(told, said),
            env={**os.environ, "HOME": self.home},
            stderr=subprocess.DEVNULL,
        )
        os.close(told)
        os.close(said)
        self._out, self._in = os.fdopen(tell, "wb", buffering=0), os.fdopen(hear, "rb", buffering=0)
        self._rest, self._number, self._session = b"", 0, ""
        target = next(one for one in self.call("Target.getTargets")["targetInfos"] if one["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()
        self._in.close()
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.home, ignore_errors=True)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Say something to the page (or the browser) and return its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        wanted = self._number
        while True:
            answer = self._next()
            if answer.get("id") == wanted:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = self._in.read(1 << 20)
            if not more:
                raise RuntimeError("the browser went away")
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        about = message.get("params", {})
        if message.get("method") == "Runtime.consoleAPICalled":
            self.messages.append(" ".join(str(one.get("value")) for one in about["args"]))
        elif message.get("method") == "Runtime.exceptionThrown":
            self.messages.append(str(about["exceptionDetails"].get("exception", about)))
        elif message.get("method") == "Log.entryAdded":
            self.messages.append(str(about["entry"]["text"]))
        elif message.get("method") == "Network.requestWillBeSent":
            self.requests.append(str(about["request"]["url"]))
        return message

    def look(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Set the size of the window and the colour scheme that the reader prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str, ready: str = "document.readyState === 'complete'") -> None:
        """Open a page and wait until an expression of it is true."""
        self.call("Page.navigate", url="about:blank")  # or an earlier page of this address would seem ready
        self.wait("location.href === 'about:blank'")
        self.call("Page.navigate", url=address)
        self.wait(f"location.href !== 'about:blank' && ({ready})")

    def run(self, expression: str) -> Any:
        """Return the value of an expression, awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        stop = time.monotonic() + seconds
        while not self.run(f"Boolean({expression})"):
            if time.monotonic() > stop:
                raise TimeoutError(f"{expression} did not become true within {seconds} s; console: {self.messages}")
            time.sleep(0.02)

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press and release a key (``modifiers`` 8 = shift)."""
        about = {"key": key, "code": key, "windowsVirtualKeyCode": _KEYS[key], "modifiers": modifiers}
        text = {"text": _TEXTS[key]} if key in _TEXTS else {}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **about, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def click(self, selector: str) -> None:
        """Click into the middle of an element with the mouse."""
        found = json.dumps(selector)
        box = self.run(
            f"(() => {{ const one = document.querySelector({found}); one.scrollIntoView({{ block: 'center', behavior: "
            f"'instant' }}); const box = one.getBoundingClientRect(); "
            f"return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            about = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **about)

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """Write a screenshot of the page, or of the window alone."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))

    def spoken(self) -> list[tuple[str, str]]:
        """Return role and name of everything that a screen reader is told."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            (str(node["role"]["value"]), str(node.get("name", {}).get("value", "")))
            for node in nodes
            if not node.get("ignored") and "role" in node
        ]
