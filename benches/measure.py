"""Runs one process to its end and measures its time and peak memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

TIMEOUT_SECONDS = 900
KIBI = 1024


class BenchError(Exception):
    """Why a contender, or the whole benchmark, could not be run; one line."""


class Measurement(NamedTuple):
    """The cost of one run."""

    seconds: float
    """From start to exit, or as measured by the process itself, from the last line of its output."""
    peak_bytes: int
    """Largest resident set of the process, or of the largest of its children that it waited for."""


def measure(command: list[str], environment: dict[str, str], log: Path, *, by_itself: bool) -> Measurement:
    """Runs `command` with its output in `log`; `by_itself` takes the seconds from the JSON that it prints last."""
    with log.open("w") as output, log.with_suffix(".err").open("w") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True
        )
        timer = threading.Timer(TIMEOUT_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode < 0 and seconds > TIMEOUT_SECONDS:
        raise BenchError(f"not done after {TIMEOUT_SECONDS} s")
    if process.returncode != 0:
        raise BenchError(last_line(log.with_suffix(".err")) or f"exit status {process.returncode}")
    if by_itself:
        seconds = json.loads(last_line(log))["seconds"]
    return Measurement(seconds, usage.ru_maxrss * KIBI)


def ask(seequel: Path, environment: dict[str, str], *statements: str) -> list[dict[str, Any]]:
    """Returns the rows of the last statement, unmeasured."""
    command = [str(seequel), "--quiet", "--format", "json", "--command", *statements]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"Seequel can't compare: {done.stderr.strip()}")
    return json.loads(done.stdout)


def last_line(file: Path) -> str:
    """Returns the last line that is not empty, or an empty string."""
    lines = [line for line in file.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
