# SPDX-License-Identifier: BSD-3-Clause
"""cryolith beside other reconstruction programs, in one run: python -m benchmarks.peers.reconstruct."""
