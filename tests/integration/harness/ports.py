"""Free ports on loopback, below the range from which outgoing connections get theirs."""

import random
import socket

LOWEST, HIGHEST = 20_000, 32_000
_given = set()
_random = random.SystemRandom()


def _is_free(port):
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def free_port():
    """A port that nobody listens on, never given before in this run."""
    for _ in range(1000):
        port = _random.randrange(LOWEST, HIGHEST)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise RuntimeError("no free port found")
