"""Debian's Chromium, driven by tests/browser/driver.js."""

import json
import os
import pathlib
import subprocess

from . import npm

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "browser"
CHROMIUM = os.environ.get("HOLDFAST_CHROMIUM", "/usr/bin/chromium")


class Browser:
    """A browser without a window; open() gives pages."""

    def __init__(self, log):
        npm.install(FOLDER)
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(["node", FOLDER / "driver.js", CHROMIUM], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=errors, text=True)

    def tell(self, **order):
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the browser has ended"
        answer = json.loads(line)
        if "error" in answer:
            raise BrowserError(answer["error"])
        return answer["value"]

    def open(self, name, url, width, height=900, **options):
        self.tell(do="open", page=name, url=url, width=width, height=height, **options)
        return Page(self, name)

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class BrowserError(Exception):
    pass


class Page:
    def __init__(self, browser, name):
        self.browser, self.name = browser, name

    def __repr__(self):
        return f"page {self.name}"

    def _tell(self, do, **order):
        return self.browser.tell(do=do, page=self.name, **order)

    def ask(self, expression):
        """The value of a JavaScript expression."""
        return self._tell("ask", expression=expression)

    def wait(self, expression, seconds=30):
        """Until the expression is true."""
        return self._tell("wait", expression=expression, timeout_ms=int(seconds * 1000))

    def wait_text(self, selector, text, seconds=30):
        """Until the element's text has `text` in it."""
        return self.wait(f"(document.querySelector({json.dumps(selector)})?.innerText ?? '').includes({json.dumps(text)})", seconds)

    def text(self, selector):
        return self.ask(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector):
        self._tell("click", selector=selector)

    def fill(self, selector, text):
        self._tell("fill", selector=selector, text=text)

    def hover(self, selector):
        self._tell("hover", selector=selector)

    def press(self, key):
        self._tell("press", key=key)

    def shoot(self, file, whole=True):
        self._tell("shoot", file=str(file), whole=whole)

    def violations(self):
        """What axe-core finds, a line each."""
        return self._tell("axe")

    def problems(self):
        """Errors and warnings in the console, exceptions, and requests to elsewhere since the last time."""
        return self._tell("problems")

    def close(self):
        self._tell("close")
