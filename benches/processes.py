"""What processes and those that they have started take of the machine, as Linux's /proc tells."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

EVERY = 0.1
"""Seconds between two looks."""
BUSY = 0.3
"""Share of the time between two looks, and of a core, from which on a process is at work."""
TICKS = os.sysconf("SC_CLK_TCK")


def family(process: int) -> list[int]:
    """Returns a process and those that it has started; none of them if it has ended."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text("utf-8").split()
    except OSError:
        return []
    return [process, *(each for child in children for each in family(int(child)))]


def peak(process: int) -> int:
    """Returns the largest resident memory so far of a process and those that it has started, in bytes."""
    return sum(field(each, "VmHWM:") << 10 for each in family(process))


def field(process: int, name: str) -> int:
    """Returns a number of a process's status, or 0."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(name)), 0)


def cpu_seconds(process: int) -> float:
    """Returns the time that a process and those that it has started have computed so far."""
    total = 0
    for each in family(process):
        try:
            # The name of the program, in parentheses, may have spaces.
            fields = Path(f"/proc/{each}/stat").read_text("utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


class Ends:
    """Notes when each of some processes was at work last, until it is left."""

    def __init__(self, processes: list[int]) -> None:
        self.processes = processes
        self.last = dict.fromkeys(processes, 0.0)
        self.began, self.ended = 0.0, 0.0
        self.stop = threading.Event()

    def __enter__(self) -> Ends:
        self.began = time.perf_counter()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()
        self.ended = time.perf_counter()

    def watch(self) -> None:
        """Looks at them in turn."""
        used = {process: cpu_seconds(process) for process in self.processes}
        while not self.stop.wait(EVERY):
            for process in self.processes:
                now = cpu_seconds(process)
                if now - used[process] > BUSY * EVERY:
                    self.last[process] = time.perf_counter()
                used[process] = now

    def idle(self) -> float:
        """Returns the share of all of their time that was after their last work."""
        whole = self.ended - self.began
        return sum(self.ended - max(last, self.began) for last in self.last.values()) / (whole * len(self.last))
