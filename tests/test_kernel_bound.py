# SPDX-License-Identifier: BSD-3-Clause
"""How tools/kernel_bound.py reads machine code and tables, on code small enough to count by eye."""

import pathlib
import sys

import pytest

TOOLS = pathlib.Path(__file__).resolve().parents[1] / "tools"
# As nvdisasm prints: a wait that may repeat, a copy by some warps, two cases of work, the way back.
CODE = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_0:
        /*0010*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR35], R4 ;
        /*0020*/              @!P0 BRA `(.L_x_9) ;
.L_x_1:
        /*0030*/               @P1 BRA `(.L_x_2) ;
        /*0040*/                   UBLKCP.S.G [UR30], [UR8], UR12 ;
        /*0050*/                   UIADD3 UR4, UR4, 0x1, URZ ;
.L_x_2:
        /*0060*/                   LDS.128 R4, [R4+0x20] ;
        /*0070*/                   BRX R110 -0xff0  (*"BRANCH_TARGETS .L_x_3,.L_x_4"*);
.L_x_3:
        /*0080*/                   LDS.64 R6, [R4] ;
        /*0090*/                   FFMA R1, R2, R3, R4 ;
        /*00a0*/                   FFMA R1, R2, R3, R4 ;
        /*00b0*/                   BRA `(.L_x_5) ;
.L_x_4:
        /*00c0*/                   LDS.64 R6, [R4] ;
        /*00d0*/                   LDS.64 R6, [R4+0x100] ;
        /*00e0*/                   FFMA R1, R2, R3, R4 ;
        /*00f0*/                   FADD R1, R2, R3 ;
.L_x_5:
        /*0100*/              @!P2 BRA `(.L_x_0) ;
        /*0110*/                   EXIT ;
.L_x_9:
        /*0120*/                   SYNCS.PHASECHK.TRANS64.TRYWAIT P0, [UR35], R4 ;
        /*0130*/              @!P0 BRA `(.L_x_9) ;
        /*0140*/                   BRA `(.L_x_1) ;
"""


@pytest.fixture
def bound(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    import kernel_bound

    yield kernel_bound
    for name in ("kernel_bound", "machine_code"):
        sys.modules.pop(name, None)


def test_paths_are_those_of_the_loop(bound):
    blocks = bound.blocks_of(CODE)
    head, loop = bound.main_loop(blocks)
    assert head == ".L_x_0"
    found = sorted(
        (p.instructions, p.rows, p.multiply_adds, p.shared_cycles, p.copies)
        for p in (bound.counted(blocks, way, 1.0) for way in bound.paths(blocks, head, loop))
    )
    assert found == [(10, 1, 2, 3, 0), (10, 2, 2, 5, 0), (12, 1, 2, 3, 1), (12, 2, 2, 5, 1)]


def test_a_block_waits_for_the_scheduler_with_the_warp_that_copies(bound):
    least = bound.Path(200, 192, 25, 52, 0)
    most = bound.Path(240, 192, 25, 53, 3)
    cost = bound.Cost(least, most)
    assert cost.mean("instructions") == 210
    card, shape = (
        bound.Card("sm_90", 100, 1.0, 128, 228, 1e12, 1.0),
        bound.Shape(24, 2, 1, 16, 3, 1),
    )
    rates = bound.bounds(card, shape, cost, 64.0)
    assert rates["issue"] == pytest.approx(100 * 3072 / (210 / 4))
    assert rates["multiply-add"] == pytest.approx(100 * 3072 / (192 / 4))
    # 64 rows of 256 bytes, 16 pairs of 32, one window of 16, for 16 warps at 128 bytes a clock.
    assert rates["shared memory"] == pytest.approx(100 * 3072 / (52.25 + 16912 / 128 / 16))


def test_rates_of_a_mix_add_as_times(bound):
    assert bound.weighted({0: 0.5, 1: 0.5}, {0: 100.0, 1: 50.0}) == pytest.approx(200 / 3)


def test_mix_of_one_untilted_image(bound):
    mix = bound.table_mix("backproject", bound.Shape(24, 2, 1, 16, 3, 1), 3, 0.0, 64, 64)
    assert mix.shares()[0] == 1
    assert set(mix.rows) == {25}
    assert mix.outputs == mix.places


def test_chunks_are_halved_until_their_windows_fit(bound):
    shape = bound.Shape(24, 2, 2, 4, 3, 2)
    options = bound.argparse.Namespace(tilts=41, degrees=60.0, lines=1024)
    assert shape.most_window_rows(bound.CARDS["H100"]) == 150
    assert bound.chunk_of(bound.CARDS["H100"], "project", shape, options) == 128
    assert bound.chunk_of(bound.CARDS["A100"], "project", shape, options) == 64
