"""chromium.py - a headless Chromium that is told what to do, over two pipes.

The DevTools protocol (https://chromedevtools.github.io/devtools-protocol/) as JSON messages that
end with a NUL byte: with --remote-debugging-pipe no port is opened, and no WebSocket is needed.
Python's standard library is all this needs.
"""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SHIFT = 8  # DevTools' bit for the modifier
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "ArrowLeft": 37, "ArrowRight": 39}
TEXT = {"Enter": "\r", " ": " "}


def find():
    """The program's path; None where there is none. CHROMIUM names another."""
    names = (os.environ["CHROMIUM"],) if os.environ.get("CHROMIUM") else NAMES
    return next((path for path in map(shutil.which, names) if path), None)


class Failure(Exception):
    """What the browser refused, or did not do in time."""


class Browser:
    """One browser with a profile of its own, which is removed with it."""

    def __init__(self, program):
        self.profile = tempfile.mkdtemp(prefix="cnnscope-browser-")
        self.buffer = b""
        self.number = 0
        self.pages = {}
        inside, self.to = os.pipe()
        self.come, outside = os.pipe()
        options = ["--headless=new", "--remote-debugging-pipe", "--user-data-dir=" + self.profile,
                   "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                   "--disable-background-networking", "--disable-component-update", "--disable-sync",
                   "--force-color-profile=srgb"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")  # Chromium's sandbox refuses root
        # The protocol's pipes are the file descriptors 3 and 4, whatever ours are.
        shell = 'exec "$0" "$@" 3<&%d 4>&%d' % (inside, outside)
        self.process = subprocess.Popen(["/bin/sh", "-c", shell, program, *options], pass_fds=(inside, outside),
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        os.close(inside)
        os.close(outside)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.send("Browser.close")
        except (Failure, OSError):
            self.process.kill()
        self.process.wait()
        os.close(self.to)
        os.close(self.come)
        shutil.rmtree(self.profile, ignore_errors=True)

    def receive(self, seconds):
        """The next message; None where none comes in time."""
        until = time.monotonic() + seconds
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.come], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            more = os.read(self.come, 1 << 20)
            if not more:
                raise Failure("Chromium ended")
            self.buffer += more
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def keep(self, message):
        """An event goes to its page."""
        page = self.pages.get(message.get("sessionId"))
        if page and "method" in message:
            page.events.append(message)

    def send(self, method, session=None, seconds=60.0, **parameters):
        """Sends a command and waits for its answer; events that come meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        until = time.monotonic() + seconds
        while True:
            answer = self.receive(max(0.0, until - time.monotonic()))
            if answer is None:
                raise Failure(f"{method}: no answer in {seconds:.0f} s")
            if answer.get("id") != self.number:
                self.keep(answer)
            elif "error" in answer:
                raise Failure(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def open(self, url, **how):
        return Page(self, url, **how)


class Page:
    """One tab: what it asked for and said is in `events`, from before the first byte was loaded."""

    def __init__(self, browser, url, width=1280, height=900, dark=False, scripts=True, seconds=120.0):
        self.browser = browser
        self.events = []
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.target = target
        browser.pages[self.session] = self
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility"):
            self.send(domain + ".enable")
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 600)
        self.send("Emulation.setEmulatedMedia", media="",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                            {"name": "prefers-reduced-motion", "value": "reduce"}])
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.send("Page.navigate", url=url)
        self.wait(lambda: any(e["method"] == "Page.loadEventFired" for e in self.events), "loaded", seconds)

    def send(self, method, **parameters):
        return self.browser.send(method, session=self.session, **parameters)

    def close(self):
        self.browser.send("Target.closeTarget", targetId=self.target)

    def wait(self, condition, what, seconds=10.0):
        """Waits until `condition` holds; events are taken in meanwhile."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                raise Failure(f"not {what} in {seconds:.0f} s")
            message = self.browser.receive(0.02)
            if message:
                self.browser.keep(message)

    def evaluate(self, script):
        """The value of a JavaScript expression, as JSON has it."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failure(answer["exceptionDetails"]["exception"].get("description", script))
        return answer["result"].get("value")

    def settle(self):
        """Lets the page draw twice."""
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def key(self, name, shift=False):
        press = {"key": name, "code": "Space" if name == " " else name, "windowsVirtualKeyCode": KEYS[name],
                 "modifiers": SHIFT if shift else 0}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=TEXT.get(name, ""), **press)
        self.send("Input.dispatchKeyEvent", type="keyUp", **press)

    def type(self, text):
        self.send("Input.insertText", text=text)

    def click(self, selector):
        """Presses the middle of an element, as a mouse does."""
        x, y = self.evaluate("(() => { const e = document.querySelector(%s); e.scrollIntoView({block: 'center', "
                             "behavior: 'instant'}); const r = e.getBoundingClientRect(); "
                             "return [r.x + r.width / 2, r.y + r.height / 2]; })()" % json.dumps(selector))
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tree(self):
        """The accessibility tree's nodes that are not ignored."""
        nodes = self.send("Accessibility.getFullAXTree")["nodes"]
        return [Node(node) for node in nodes if not node.get("ignored")]

    def requests(self):
        """Every address that was asked for."""
        return [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]

    def complaints(self):
        """Errors and warnings of the console, exceptions, dialogs."""
        return [e for e in self.events
                if e["method"] in ("Runtime.exceptionThrown", "Page.javascriptDialogOpening", "Runtime.consoleAPICalled")
                or (e["method"] == "Log.entryAdded" and e["params"]["entry"]["level"] in ("error", "warning"))]

    def picture(self, path, whole=False):
        """A PNG of what is on the screen, or of the whole page."""
        size = {}
        if whole:
            box = self.send("Page.getLayoutMetrics")["cssContentSize"]
            size = {"clip": {"x": 0, "y": 0, "width": box["width"], "height": box["height"], "scale": 1}}
        data = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **size)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def pdf(self, path):
        """The page as it is printed on A4."""
        data = self.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True,
                         printBackground=False)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))


class Node:
    """A node of the accessibility tree: what a screen reader is told."""

    def __init__(self, node):
        self.role = node.get("role", {}).get("value", "")
        self.name = node.get("name", {}).get("value", "")
        self.properties = {p["name"]: p["value"].get("value") for p in node.get("properties", [])}
