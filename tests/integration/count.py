"""Reads pytest's JUnit report and prints "PASSED FAILED", for tests/run's closing line."""

import sys
import xml.etree.ElementTree as tree

suite = tree.parse(sys.argv[1]).getroot().find("testsuite")
number = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
bad = number["failures"] + number["errors"]
print(number["tests"] - bad - number["skipped"], bad)
