# SPDX-License-Identifier: BSD-3-Clause
"""Settings fail where they are made, by name, with the nearest valid one."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Literal

import numpy as np
import pytest

import cryolith
from cryolith.settings import from_mapping, setting, settings, to_mapping


@settings
class Inner:
    """A stage."""

    method: Literal["wbp", "sirt"] = setting("wbp", "how to reconstruct")
    iterations: int = setting(30, "number of rounds", minimum=1, maximum=1000)
    positivity: bool = setting(True, "no negative density")
    thickness: float | Literal["auto"] = setting("auto", "depth", unit="angstrom", minimum=0)
    fraction: float = setting(0.5, "of something", minimum=0, maximum=1)
    name: str = setting("", "a word")
    center: tuple[float, float] | None = setting(None, "where", minimum=-10, maximum=10)
    levels: tuple[int, ...] = setting((4, 2, 1), "binnings", minimum=1)
    version: Literal[1, 2] = setting(1, "a number by name")


@settings
class Outer:
    """A job."""

    inner: Inner = Inner()
    memory: int | None = setting(None, "limit", unit="bytes", minimum=1)

    def check(self) -> None:
        if self.memory == 13:
            raise cryolith.ConfigError("memory: found 13, expected a luckier number")


def test_defaults_and_words_with_units():
    made = Inner(thickness="12 nm", levels=[8, 4])
    assert made.thickness == 120.0
    assert made.levels == (8, 4)
    assert Inner().thickness == "auto"
    assert Outer(memory="2 GB").memory == 2 * 10**9


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"iterationz": 3}, "Inner: unknown setting 'iterationz'; did you mean 'iterations'"),
        ({"zzz": 3}, "unknown setting 'zzz'; valid names: method, iterations"),
        ({"method": "sort"}, "found 'sort', expected one of 'wbp', 'sirt'; did you mean 'sirt'"),
        ({"iterations": 0}, r"iterations: found 0, expected 1 to 1000 \(number of rounds\)"),
        ({"iterations": True}, r"iterations: found True \(bool\), expected int"),
        ({"iterations": 3.0}, r"iterations: found 3.0 \(float\), expected int"),
        ({"iterations": "3"}, r"iterations: found '3' \(str\), expected int"),
        ({"iterations": None}, r"iterations: found None \(NoneType\), expected int"),
        ({"positivity": 1}, r"positivity: found 1 \(int\), expected bool"),
        ({"positivity": "yes"}, "positivity: found 'yes'"),
        ({"fraction": True}, r"fraction: found True \(bool\), expected float"),
        ({"fraction": 1.0000001}, "fraction: found 1.0000001, expected 0 to 1"),
        ({"fraction": float("nan")}, "fraction: found nan"),
        ({"fraction": 1j}, "fraction: found 1j"),
        ({"fraction": 10**400}, "fraction: found an integer of 401 digits"),
        ({"thickness": "-3 nm"}, "thickness: found -30.0, expected 0 to inf angstrom"),
        ({"thickness": "3"}, "thickness: found '3', expected a number and a unit"),
        ({"thickness": "atuo"}, "thickness: found 'atuo', .*; or one of 'auto'"),
        ({"name": 3}, r"name: found 3 \(int\), expected str"),
        ({"center": (1.0,)}, r"center: found 1 values \(1.0,\), expected 2"),
        ({"center": (1.0, 11.0)}, "center: found 11.0, expected -10 to 10"),
        ({"center": (1.0, "a")}, "center: found 'a'"),
        ({"levels": (4, 0)}, "levels: found 0, expected 1 to inf"),
        ({"levels": 4}, "levels: found 4"),
        ({"version": True}, "version: found True, expected one of 1, 2"),
        ({"version": 1.0}, "version: found 1.0, expected one of 1, 2"),
    ],
)
def test_wrong_values_are_refused_by_name(values, words):
    with pytest.raises(cryolith.ConfigError, match=words):
        Inner(**values)


def test_numpy_numbers_become_python_numbers():
    made = Inner(iterations=np.int16(7), fraction=np.float32(0.25), center=(np.int64(1), 2))
    assert type(made.iterations) is int
    assert type(made.fraction) is float
    assert made.center == (1.0, 2.0)
    assert type(made.center[0]) is float
    with pytest.raises(cryolith.ConfigError, match="iterations"):
        Inner(iterations=np.bool_(True))


def test_settings_are_values():
    a, b = Inner(iterations=5), Inner(iterations=5)
    assert a == b
    assert hash(a) == hash(b)
    assert pickle.loads(pickle.dumps(a)) == a
    assert dataclasses.replace(a, fraction=0.1) == Inner(iterations=5, fraction=0.1)
    with pytest.raises(cryolith.ConfigError, match="fraction"):
        dataclasses.replace(a, fraction=2.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        a.iterations = 6


def test_a_class_checks_what_its_fields_mean_together():
    with pytest.raises(cryolith.ConfigError, match="luckier"):
        Outer(memory=13)


def test_nested_tables_there_and_back():
    values = {"inner": {"method": "sirt", "thickness": "3 nm", "center": [1, 2]}, "memory": "1 GiB"}
    made = from_mapping(Outer, values)
    assert made == Outer(
        inner=Inner(method="sirt", thickness=30.0, center=(1.0, 2.0)), memory=2**30
    )
    plain = to_mapping(made)
    assert plain["inner"]["center"] == [1.0, 2.0]
    assert "memory" not in to_mapping(Outer())
    assert from_mapping(Outer, plain) == made


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"iner": {}}, "job: unknown setting 'iner'; did you mean 'inner'"),
        (
            {"inner": {"methox": "wbp"}},
            r"\[inner\]: unknown setting 'methox'; did you mean 'method'",
        ),
        ({"inner": 3}, r"inner: found 3, expected a table \[inner\]"),
        ({"inner": {"iterations": 0}}, "iterations: found 0"),
        ({"memory": 0}, "memory: found 0, expected 1 to inf bytes"),
    ],
)
def test_a_wrong_table_is_refused_by_its_place(values, words):
    with pytest.raises(cryolith.ConfigError, match=words):
        from_mapping(Outer, values, "job")
