"""A row of the report: a contender at a job, and what its runs cost."""

from __future__ import annotations

from dataclasses import dataclass, field

from contenders import Contender, Job, Setting
from measure import Measurement


@dataclass
class Entry:
    """A contender at a job: its setting, what its runs cost, and what went wrong if something did."""

    contender: Contender
    job: Job
    setting: Setting = field(default_factory=dict)
    runs: list[Measurement] = field(default_factory=list)
    agreement: float | None = None
    error: str | None = None
