"""Packages of npm, as a lock file in a folder of tests names them."""

import fcntl
import pathlib
import subprocess


def install(folder, *options):
    """`npm ci` in `folder`, when what its lock file names is not there yet. Returns its node_modules."""
    folder = pathlib.Path(folder)
    lock_file = folder / "package-lock.json"
    installed = folder / "node_modules/.package-lock.json"
    with open(lock_file) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.stat().st_mtime < lock_file.stat().st_mtime:
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", *options], cwd=folder, check=True)
    return folder / "node_modules"
