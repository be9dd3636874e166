#!/usr/bin/env python3
"""Measures what an open dashboard costs a query: without it, with one page open, and with fifty clients.

    make bench-dashboard                        # a quarter of an hour on two cores; writes DASHBOARD.md
    make bench-dashboard ARGS='--rounds 1'
"""

from __future__ import annotations

import sys

sys.dont_write_bytecode = True

import argparse
import http.client
import json
import os
import re
import shutil
import subprocess
import threading
from statistics import median
from typing import NamedTuple
from urllib.parse import urlsplit

import fixtures
import report
from contenders import LITE0
from fixtures import BENCH, BENCHES, RUN, say
from measure import KIBI, BenchError, last_line

SECONDS = 60
CLIENTS = 50
ROUNDS = 3

NOTES = """\
Whole processes by turns, each side first in every third round, that classify {photos:,} photos of `make bench` for a minute.
A page reads what the real one reads while it shows a query: the stream of events and, each second, all that is known of the
query. Ratios are of images a second, the median of {rounds} rounds, with the smallest and largest in parentheses. Each process
has to count all photos, and each client has to get an event for nine of ten seconds. Memory is the largest resident set.
"""


class Side(NamedTuple):
    """What is open while the query runs, and the least share of the speed without."""

    title: str
    pages: int
    clients: int
    least: float | None


SIDES = (
    Side("no dashboard", 0, 0, None),
    Side("one page open", 1, 0, 0.99),
    Side(f"{CLIENTS} clients on the stream", 0, CLIENTS, 0.98),
)


class Turn(NamedTuple):
    """What a process did."""

    rate: float
    """Images a second."""
    peak_bytes: int


def main() -> int:
    """Measures, and prints and writes a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each side [default: {ROUNDS}]")
    parser.add_argument("--binary", default=None, help="[default: a release build]")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    try:
        if not (BENCH / "small").exists():
            raise BenchError("no photos yet: run `make bench ARGS=--quick`")
        RUN.mkdir(parents=True, exist_ok=True)
        seequel = options.binary or str(fixtures.release())
        photos = int(turn(seequel, SIDES[0], 400).rate * SECONDS)
        turns: list[list[Turn]] = [[] for _ in SIDES]
        for number in range(options.rounds):
            for index in range(len(SIDES)):
                side = (number + index) % len(SIDES)
                turns[side].append(turn(seequel, SIDES[side], photos))
                say(f"{SIDES[side].title}: {turns[side][-1].rate:.1f}/s")
    except BenchError as error:
        print(f"bench-dashboard: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(RUN, ignore_errors=True)
    text = render(turns, photos, load)
    print(text)
    (BENCHES / "DASHBOARD.md").write_text(text, "utf-8")
    return 0


def turn(seequel: str, side: Side, photos: int) -> Turn:
    """Runs a process to its end, and the clients of its dashboard."""
    folder = fixtures.many_photos("small", photos)
    sql = f"SELECT count(classify(image, '{LITE0.name}')['label']) AS n FROM read_images('{folder}')"
    log = RUN / "log"
    dashboard = ["--dashboard", "127.0.0.1:0"] if side.pages + side.clients else []
    command = [seequel, "--no-rc", "--format", "csv", "--progress", "never", *dashboard, "--command", sql]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=fixtures.environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, text=True
        )
        clients = []
        if dashboard:
            line = process.stderr.readline()
            if not line.startswith("Dashboard: "):
                process.kill()
                raise BenchError(f"no dashboard: {line.strip()}")
            address = urlsplit(line.removeprefix("Dashboard: ").strip()).netloc
            clients = [Client(address, asks=number < side.pages) for number in range(side.pages + side.clients)]
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchError(errors.strip().splitlines()[-1] if errors.strip() else f"exit status {process.returncode}")
    text = log.read_text("utf-8")
    if text.split()[:2] != ["n", str(photos)]:
        raise BenchError(f"not all of {photos} photos were counted: {last_line(log)}")
    seconds = re.findall(r"row\(s\) in set, ([\d.]+) seconds", text + errors)
    if not seconds:
        raise BenchError(f"no time in {last_line(log)}")
    for client in clients:
        client.thread.join()
        if client.events < 0.9 * float(seconds[-1]) - 1:
            raise BenchError(f"a client got {client.events} events in {seconds[-1]} s")
    return Turn(photos / float(seconds[-1]), usage.ru_maxrss * KIBI)


class Client:
    """Listens to the stream of events until it ends; `asks` for the details of the running query at each, as a page."""

    def __init__(self, address: str, *, asks: bool) -> None:
        self.address, self.asks, self.events = address, asks, 0
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self) -> None:
        """Reads events."""
        connection = http.client.HTTPConnection(self.address)
        connection.request("GET", "/api/v1/events")
        try:
            for line in connection.getresponse():
                if line.startswith(b"data: "):
                    self.events += 1
                    if self.asks:
                        self.ask(json.loads(line[6:]))
        except (http.client.HTTPException, OSError):
            # The process has ended.
            return

    def ask(self, snapshot: dict[str, list[dict[str, str]]]) -> None:
        """Reads what a page shows of each running query."""
        for query in snapshot["running"]:
            connection = http.client.HTTPConnection(self.address)
            connection.request("GET", f"/api/v1/queries/{query['id']}")
            json.loads(connection.getresponse().read())
            connection.close()


def render(turns: list[list[Turn]], photos: int, load: float) -> str:
    """Returns the report."""
    rows = [["", "images/s", "× without", "asked", "met", "peak MB"]]
    for side, own in zip(SIDES, turns, strict=True):
        rate, peak = report.number(median(one.rate for one in own)), f"{max(one.peak_bytes for one in own) / 1e6:.0f}"
        ratios = sorted(one.rate / without.rate for one, without in zip(own, turns[0], strict=True))
        if side.least is None:
            rows.append([side.title, rate, "", "", "", peak])
        else:
            cell = f"{median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
            met = "yes" if median(ratios) >= side.least else "**no**"
            rows.append([side.title, rate, cell, f"{side.least:.2f}", met, peak])
    notes = NOTES.format(photos=photos, rounds=len(turns[0]))
    parts = ["# Results of `make bench-dashboard`", report.table(rows), notes, report.machine(load, ())]
    return "\n".join(part.rstrip() + "\n" for part in parts)


if __name__ == "__main__":
    sys.exit(main())
