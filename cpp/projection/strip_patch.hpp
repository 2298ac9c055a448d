// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// For files compiled once per instruction set: small parts of an image, by the lines that strips run along. Lines are
// the image's rows, or its columns where strips run down them; a patch is kPatch pixels of some neighbouring lines,
// lines contiguous.
#include "projection/lanes.hpp"
#include "projection/strips.hpp"

namespace cryolith {

constexpr index_t kPatch = 8;
// Lines of one patch: those of all blocks of a job, the taps around them, and some for a tilted line.
constexpr index_t kPatchLines = kStripBlocks * kLanes + kTaps + 2 * kLanes;

CRYOLITH_INLINE index_t smaller(index_t a, index_t b) { return a < b ? a : b; }
CRYOLITH_INLINE index_t larger(index_t a, index_t b) { return a > b ? a : b; }
CRYOLITH_INLINE index_t whole(index_t position) { return position >> kPositionBits; }

// The first line, in the order of the image, of kLanes lanes that lie a pixel apart.
CRYOLITH_INLINE index_t lowest_line(const SampleLine& across) {
  return whole(across.start) - (across.lane < 0 ? kLanes - 1 : 0);
}

// Zero rows before and after the `pixels` of each strip.
CRYOLITH_INLINE void clear_margins(const StripJob& job, index_t pixels) {
  for (index_t b = 0; b < job.blocks; ++b)
    for (index_t m = 0; m < kStripMargin; ++m) {
      store8(job.strip[b] + (m - kStripMargin) * kLanes, V8{});
      store8(job.strip[b] + (pixels + m) * kLanes, V8{});
    }
}

// One pixel of an image, addressed along and across its lines; 0 outside.
CRYOLITH_INLINE float pixel(const View2<const float>& image, bool down, index_t line, index_t j) {
  const index_t r = down ? j : line, c = down ? line : j;
  const bool inside = r >= 0 && r < image.extent[0] && c >= 0 && c < image.extent[1];
  return inside ? image.data[r * image.extent[1] + c] : 0.0f;
}

// patch[p][offset + l] = pixel j + p of line `line + l`, for p < kPatch and l < lines (a multiple of kLanes); asks for
// the pixels `ahead` of them.
template <index_t kLines>
CRYOLITH_INLINE void take_patch(const View2<const float>& image, bool down, index_t j, index_t line, index_t lines,
                                index_t ahead, float (*patch)[kLines], index_t offset = 0) {
  const index_t height = image.extent[0], width = image.extent[1];
  for (index_t l = 0; l < lines; l += kLanes) {
    const index_t r = down ? j : line + l, c = down ? line + l : j;
    if (r >= 0 && r + 8 <= height && c >= 0 && c + 8 <= width) {
      V8 v[8];
      for (index_t i = 0; i < 8; ++i) {
        load8(v[i], image.data + (r + i) * width + c);
        __builtin_prefetch(image.data + (r + i) * width + c + ahead);
      }
      if (!down) transpose8(v);
      for (index_t p = 0; p < kPatch; ++p) store8(patch[p] + offset + l, v[p]);
    } else {
      for (index_t p = 0; p < kPatch; ++p)
        for (index_t i = 0; i < kLanes; ++i) patch[p][offset + l + i] = pixel(image, down, line + l + i, j + p);
    }
  }
}

// Sets pixels j to j + count of the lines [first, last) among line ... line + kLanes: v[p][l] <-> pixel p, line l.
CRYOLITH_INLINE void put_patch(const View2<float>& image, bool down, index_t j, index_t count, index_t line,
                               Range lines, V8 v[8]) {
  const index_t width = image.extent[1];
  if (!down) transpose8(v);
  const index_t r = down ? j : line, c = down ? line : j;
  const Range along{0, count}, across{lines.begin - line, lines.end - line};
  const Range rs = down ? along : across, cs = down ? across : along;
  for (index_t i = rs.begin; i < rs.end; ++i) {
    float* to = image.data + (r + i) * width + c;
    if (cs.begin == 0 && cs.end == 8) {
      store8(to, v[i]);
    } else {
      for (index_t k = cs.begin; k < cs.end; ++k) to[k] = v[i][k];
    }
  }
}

}  // namespace cryolith
