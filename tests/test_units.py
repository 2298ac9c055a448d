# SPDX-License-Identifier: BSD-3-Clause
"""Quantities in words."""

from __future__ import annotations

import math

import pytest

import cryolith
from cryolith.units import format_length, parse_bytes, parse_length


@pytest.mark.parametrize(
    ("text", "angstrom"),
    [
        ("0.34 nm", 3.4),
        ("0.34nm", 3.4),
        ("  3.36 NM ", 33.6),
        (".5 um", 5e3),
        ("2 µm", 2e4),  # micro sign
        ("2 μm", 2e4),  # Greek letter
        ("1.5 Å", 1.5),  # letter
        ("1.5 \u212b", 1.5),  # angstrom sign
        ("1.5 A\u030a", 1.5),  # letter and combining ring
        ("67.2 A", 67.2),
        ("67.2 angstrom", 67.2),
        ("340 pm", 3.4),
        ("1e-3 mm", 1e4),
        ("-1.2 nm", -12.0),
        ("1e-9 m", 10.0),
    ],
)
def test_lengths(text, angstrom):
    assert math.isclose(parse_length(text), angstrom, rel_tol=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nm",
        "3.4",
        "3,4 nm",
        "3.4 parsec",
        "3 4 nm",
        "nan nm",
        "inf nm",
        "1e999 nm",
        "3.4 nm nm",
        "0x3 nm",
    ],
)
def test_what_is_no_length_is_refused_with_an_example(text):
    with pytest.raises(
        cryolith.ConfigError, match=r"pixel_size: found .*expected a (number|finite)"
    ):
        parse_length(text, "pixel_size")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("2 GB", 2 * 10**9),
        ("512MiB", 512 * 2**20),
        ("1.5 TiB", 3 * 2**39),
        ("100 b", 100),
        ("3 kB", 3000),
    ],
)
def test_bytes(text, count):
    found = parse_bytes(text)
    assert found == count
    assert isinstance(found, int)


@pytest.mark.parametrize("text", ["8", "8 G", "lots", "8 nm"])
def test_what_is_no_amount_of_memory_is_refused(text):
    with pytest.raises(cryolith.ConfigError, match=r"max_memory: found .*8 GB"):
        parse_bytes(text, "max_memory")


@pytest.mark.parametrize(
    ("angstrom", "text"),
    [
        (3.4, "0.34 nm"),
        (0.05, "5 pm"),
        (-0.05, "-5 pm"),
        (0.0, "0 nm"),
        (67.2, "6.72 nm"),
        (12345.0, "1.234 µm"),
        (9999.0, "999.9 nm"),
    ],
)
def test_lengths_are_written_in_the_unit_that_reads_best(angstrom, text):
    assert format_length(angstrom) == text


def test_what_is_written_can_be_read():
    for angstrom in (0.0123, 0.5, 3.4, 67.2, 4321.0, 54321.0):
        assert math.isclose(parse_length(format_length(angstrom)), angstrom, rel_tol=5e-4)
