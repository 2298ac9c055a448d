# SPDX-License-Identifier: BSD-3-Clause
"""The programs by name; their modules import the packages only when a program is prepared."""

from __future__ import annotations

from .astra_toolbox import Astra
from .base import TASKS, Program
from .bayesian import Mbirjax, Svmbir
from .fourier import Ducc, Finufft
from .others import Algotom, Etspy, Tomviz
from .ours import Cryolith, CryolithFixed16
from .scikit_image import ScikitImage
from .sparse_matrix import SparseMatrix

__all__ = ["PROGRAMS", "TASKS", "Program"]

PROGRAMS: dict[str, type[Program]] = {
    "cryolith": Cryolith,
    "cryolith-fixed16": CryolithFixed16,
    "astra-toolbox": Astra,
    "scipy.sparse": SparseMatrix,
    "ducc0": Ducc,
    "finufft": Finufft,
    "scikit-image": ScikitImage,
    "algotom": Algotom,
    "etspy": Etspy,
    "svmbir": Svmbir,
    "mbirjax": Mbirjax,
    "tomviz-kernels": Tomviz,
}
