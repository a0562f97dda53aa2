"""Waiting for something to become true: the tests' only way of letting time pass.

What the tests allow is meant for a machine that is busy with other things: it is only spent when something is broken.
"""

import time


def wait_until(condition, what, timeout=60.0, interval=0.01):
    """Calls `condition` until it returns something true, and returns that.

    An exception counts as "not yet"; the last one is the cause of the TimeoutError that names `what`.
    """
    deadline = time.monotonic() + timeout
    cause = None
    while True:
        try:
            result = condition()
            if result:
                return result
            cause = None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not yet true
            cause = error
        if time.monotonic() >= deadline:
            raise TimeoutError(f"not within {timeout} s: {what}") from cause
        time.sleep(interval)
