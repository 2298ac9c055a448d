# SPDX-License-Identifier: BSD-3-Clause
"""What a job will need, said before anything is allocated: memory, disk and time of each stage.

Memory is counted from the arrays that each stage holds at once. Time is a rate times the work; the rates
were measured with benchmarks/bench_pipeline.py on two AVX-512 cores and are meant to be right within a
factor of two there, to order stages and to warn of hours.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .projection import Geometry
from .reconstruct import ReconstructSettings, estimate_thickness_px

if TYPE_CHECKING:
    from .config import Job
    from .datamodel import TiltSeries

__all__ = ["Plan", "StagePlan", "plan_job"]
