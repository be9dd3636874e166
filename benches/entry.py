"""A row of the report: a contender at a job, and the cost of its runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from contenders import Contender, Job, Setting
from measure import Measurement


@dataclass
class Entry:
    """A contender at a job: its setting, the cost of its runs, and the error if it failed."""

    contender: Contender
    job: Job
    setting: Setting = field(default_factory=dict)
    runs: list[Measurement] = field(default_factory=list)
    agreement: float | None = None
    error: str | None = None
