"""A headless Chromium, driven over its debugging pipe."""

import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import time

import pytest

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
_TIMEOUT = 60  # seconds for an answer


class Browser:
    """One page in Chromium; commands are those of the DevTools protocol."""

    def __init__(self, program, profile):
        to_child, self._write = os.pipe()
        self._read, from_child = os.pipe()
        # The pipe is on descriptors 3 and 4 by the protocol's definition.
        shell = f'exec "$0" "$@" 3<&{to_child} 4>&{from_child}'
        self._process = subprocess.Popen(
            [
                "/bin/bash",
                "-c",
                shell,
                program,
                *_FLAGS,
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            pass_fds=(to_child, from_child),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_child)
        os.close(from_child)
        self._numbers, self._buffer, self.events = itertools.count(1), b"", []
        self._session = None
        target = next(
            t for t in self.send("Target.getTargets")["targetInfos"] if t["type"] == "page"
        )
        attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        self.send("Page.setLifecycleEventsEnabled", enabled=True)
        self.send("Emulation.setFocusEmulationEnabled", enabled=True)

    def send(self, method, **params):
        """Sends a command and returns its result; events meanwhile are kept in `events`."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _next(self):
        end = time.monotonic() + _TIMEOUT
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(end - time.monotonic(), 0))
            assert ready, "Chromium does not answer"
            chunk = os.read(self._read, 1 << 20)
            assert chunk, "Chromium has ended"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    def open(self, file, *, width=1400, dark=False, script=True, fragment="", media=""):
        """Opens a file and waits until it has loaded."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        self.events.clear()
        # A new query makes even a changed fragment load the page anew.
        url = f"{file.as_uri()}?{next(self._numbers)}{fragment}"
        loader = self.send("Page.navigate", url=url)["loaderId"]
        while not any(_is_loaded(event, loader) for event in self.events):
            self.events.append(self._next())
        return self

    def run(self, expression):
        """Evaluates JavaScript in the page and returns its value, of a promise when it is there."""
        options = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        found = self.send("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key, *, text="", code=0, shift=False):
        """Presses and releases a key."""
        common = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 8 * shift}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def pointer(self, kind, x, y, *, held=False):
        """Moves, presses or releases the mouse: `kind` is "Moved", "Pressed" or "Released"."""
        pressed = {"button": "left" if kind != "Moved" or held else "none", "buttons": int(held)}
        self.send(
            "Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, clickCount=1, **pressed
        )

    def problems(self):
        """Returns the console's messages and errors since the page was opened."""
        self.run("1")
        kinds = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}
        return [e for e in self.events if e.get("method") in kinds]

    def close(self):
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(30)
        os.close(self._read)
        os.close(self._write)


def _is_loaded(event, loader):
    params = event.get("params", {})
    return params.get("loaderId") == loader and params.get("name") == "load"


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    program = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if program is None:
        pytest.skip("no Chromium on this machine")
    browser = Browser(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory, runs):
    """A page of six methods with long and hostile names among them."""
    results = runs.make_results(corruptions=9, n=80)
    results["methods"][3]["label"] = "An optimizer with a rather long name · RigL 90 %"
    results["methods"][4]["label"] += "</script><img src=x onerror=alert(1)>"
    return runs.build(tmp_path_factory.mktemp("run"), results)


@pytest.fixture(scope="session")
def large(tmp_path_factory, runs):
    """A page of 40 methods, 19 corruptions and 5 severities."""
    results = runs.make_results(kinds=4, seeds=1, n=60)
    return runs.build(tmp_path_factory.mktemp("large"), runs.multiply(results, 40))


@pytest.fixture(scope="session")
def several(tmp_path_factory, runs):
    """A page of two runs."""
    from robustbench_zosam.report import build_side_by_side

    root = tmp_path_factory.mktemp("several")
    sizes = {"first": 2, "a second run with a rather long name": 3}
    folders = [
        runs.write_run(root / name, runs.make_results(kinds=kinds, corruptions=2, n=40))
        for name, kinds in sizes.items()
    ]
    return build_side_by_side(folders, root / "runs.html")


@pytest.fixture
def page(browser, report):
    """The page of six methods, opened anew."""
    return browser.open(report)
