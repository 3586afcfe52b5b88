"""Chromium without a window, driven over its debugging pipe (the Chrome DevTools Protocol): messages
are JSON with a NUL behind each. Needs nothing but Python."""

import base64
import json
import os
import select
import subprocess
import time


class Browser:
    """One tab. `with Browser(folder) as browser`: the folder keeps its profile."""

    LONG = 60

    def __init__(self, folder):
        program = next((p for p in ("chromium", "chromium-browser", "google-chrome") if which(p)), None)
        if program is None:
            raise SystemExit("browser: no chromium: apt-get install chromium")
        ours_read, its_write = os.pipe()
        its_read, ours_write = os.pipe()

        def descriptors():
            # It reads from 3 and writes to 4; by way of higher numbers, lest one takes the other's place.
            high_read, high_write = os.dup2(its_read, 103), os.dup2(its_write, 104)
            os.dup2(high_read, 3), os.dup2(high_write, 4)

        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
             f"--user-data-dir={folder}", "about:blank"],
            close_fds=False, preexec_fn=descriptors,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(its_read), os.close(its_write)
        self.read, self.write = ours_read, ours_write
        self.buffer, self.count, self.events, self.session = b"", 0, [], None
        tab = next(t for t in self("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self.session = self("Target.attachToTarget", targetId=tab["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def __call__(self, method, **params):
        """One command, and its answer."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def message(self):
        deadline = time.monotonic() + self.LONG
        while b"\0" not in self.buffer:
            if not select.select([self.read], [], [], max(0, deadline - time.monotonic()))[0]:
                raise RuntimeError("the browser says nothing any more")
            piece = os.read(self.read, 1 << 20)
            if not piece:
                raise RuntimeError("the browser has ended")
            self.buffer += piece
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def loads(self, act):
        """Does what makes a page load, and waits until it has."""
        self.events.clear()
        act()
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.message())

    def open(self, url):
        self.loads(lambda: self("Page.navigate", url=url))

    def run(self, script):
        """The value of some JavaScript."""
        result = self("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"]["exception"]["description"])
        return result["result"].get("value")

    def type(self, selector, text):
        """Types into a field as a person does, by the focus and the keyboard."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self("Input.insertText", text=text)

    def click(self, selector):
        box = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])"
                       f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def size(self, width, height):
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
             mobile=width < 600)

    def scheme(self, scheme):
        self("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self("Page.captureScreenshot", format="png")["data"]))

    def complaints(self):
        """What a console would show: errors, and what the page's own policy has refused."""
        texts = []
        for event in self.events:
            if event.get("method") == "Log.entryAdded":
                texts.append(event["params"]["entry"]["text"])
            if event.get("method") == "Runtime.exceptionThrown":
                texts.append(event["params"]["exceptionDetails"]["text"])
        return texts


def which(program):
    return any(os.access(os.path.join(folder, program), os.X_OK) for folder in os.environ["PATH"].split(":"))
