// SPDX-License-Identifier: BSD-3-Clause
#include "projection/turn.hpp"

#include <algorithm>
#include <cmath>

#include "projection/combine_lines.hpp"
#include "projection/sampling.hpp"
#include "projection/warp_sum.hpp"

namespace cryolith {
namespace {

constexpr index_t kUnit = index_t{1} << kPositionBits;
constexpr index_t kHalf = kTurnTaps / 2;
// Zeros on either side of a line: taps beyond it, and what combine_lines() may read and write further.
constexpr index_t kMargin = 32;

index_t count(Range r) { return r.end - r.begin; }
double pixels(index_t position) { return std::ldexp(static_cast<double>(position), -kPositionBits); }
index_t fixed(double pixels) { return static_cast<index_t>(std::llround(std::ldexp(pixels, kPositionBits))); }
index_t whole(index_t position) { return position >> kPositionBits; }
// Floats from line to line of n floats, an odd number of cache lines.
index_t stride_of(index_t n) { return odd_lines(n + 2 * kMargin); }

// Weights of one position: weight[k] belongs to pixel first + k.
struct Taps {
  index_t first;
  float weight[kTurnTaps];
};

Taps taps_at(const float* table, index_t position) {
  constexpr int rest_bits = kPositionBits - kPhaseBits;
  const index_t phase = (position >> rest_bits) & (kPhases - 1), rest = position & ((index_t{1} << rest_bits) - 1);
  const float *low = table + phase * kTurnTaps, *high = low + kTurnTaps;
  const float between = static_cast<float>(rest) / static_cast<float>(index_t{1} << rest_bits);
  Taps taps{whole(position) - kHalf + 1, {}};
  for (int k = 0; k < kTurnTaps; ++k) taps.weight[k] = low[k] + between * (high[k] - low[k]);
  return taps;
}

std::vector<Taps> taps_of(const float* table, const Turn::Line& line, Range range) {
  std::vector<Taps> out;
  for (index_t i = range.begin; i < range.end; ++i) out.push_back(taps_at(table, line.at(i)));
  return out;
}

// The weights of a pass that changes the spacing, by output line: output o takes weights[o] of the inputs from
// first[o] on.
struct Mix {
  std::vector<index_t> first, start;
  std::vector<float> weights;
};

Mix mix_of(const std::vector<Taps>& taps, Range inputs) {
  Mix out;
  for (const Taps& t : taps) {
    const index_t begin = std::clamp(t.first, inputs.begin, inputs.end);
    const index_t end = std::clamp(t.first + kTurnTaps, inputs.begin, inputs.end);
    out.first.push_back(begin - inputs.begin);
    out.start.push_back(static_cast<index_t>(out.weights.size()));
    out.weights.insert(out.weights.end(), t.weight + (begin - t.first), t.weight + (end - t.first));
  }
  out.start.push_back(static_cast<index_t>(out.weights.size()));
  return out;
}

// The same weights by input line: what mix_of() spreads is collected.
Mix transposed(const Mix& mix, index_t inputs) {
  const auto at = [](index_t i) { return static_cast<std::size_t>(i); };
  const index_t outputs = static_cast<index_t>(mix.first.size());
  Mix out;
  out.first.assign(at(inputs), 0);
  out.start.assign(at(inputs + 1), 0);
  out.weights.resize(mix.weights.size());
  const auto each = [&](const auto& body) {
    for (index_t o = 0; o < outputs; ++o)
      for (index_t m = mix.start[at(o)]; m < mix.start[at(o + 1)]; ++m)
        body(o, mix.first[at(o)] + m - mix.start[at(o)], mix.weights[at(m)]);
  };
  each([&](index_t, index_t i, float) { ++out.start[at(i + 1)]; });
  for (index_t i = 0; i < inputs; ++i) out.start[at(i + 1)] += out.start[at(i)];
  std::vector<index_t> next(out.start.begin(), out.start.end() - 1);
  each([&](index_t o, index_t i, float weight) {
    if (next[at(i)] == out.start[at(i)]) out.first[at(i)] = o;
    out.weights[at(next[at(i)]++)] = weight;
  });
  return out;
}

// Line o of a mix of lines `in`, n floats of it.
void mix_line(const Mix& mix, index_t o, const float* in, index_t stride, float* out, index_t n) {
  const std::size_t at = static_cast<std::size_t>(o);
  CRYOLITH_SELECT(combine_lines)
  (in + mix.first[at] * stride, stride, mix.weights.data() + mix.start[at], mix.start[at + 1] - mix.start[at], out, n);
}

// out[o] = sum over k of weights[k] in[first + o + k], o < n, for a line of `length` between zeros; zeros after it.
void shear_line(const float* in, index_t length, index_t first, const float* weights, float* out, index_t n) {
  const index_t low = std::clamp<index_t>(-first - kTurnTaps + 1, 0, n), high = std::clamp(length - first, low, n);
  std::fill(out, out + low, 0.0f);
  CRYOLITH_SELECT(combine_lines)(in + first + low, 1, weights, kTurnTaps, out + low, high - low);
  std::fill(out + high, out + n + 8, 0.0f);
}

// Line o of a pass that shears by `position`: inputs from `inputs` on, outputs from `outputs` on.
void shear(const float* table, index_t position, const float* in, Range inputs, float* out, Range outputs) {
  const Taps taps = taps_at(table, position);
  shear_line(in, count(inputs), taps.first + outputs.begin - inputs.begin, taps.weight, out, count(outputs));
}

void shear_back(const float* table, index_t position, const float* in, Range outputs, float* out, Range inputs) {
  const Taps taps = taps_at(table, position);
  float reversed[kTurnTaps];
  std::reverse_copy(taps.weight, taps.weight + kTurnTaps, reversed);
  const index_t first = -(taps.first + outputs.begin - inputs.begin) - kTurnTaps + 1;
  shear_line(in, count(outputs), first, reversed, out, count(inputs));
}

// Sets the zeros around `lines` lines of n floats.
void clear_margins(float* lines, index_t stride, index_t count, index_t n) {
  for (index_t l = 0; l < count; ++l, lines += stride) {
    std::fill_n(lines, kMargin, 0.0f);
    std::fill_n(lines + kMargin + n, kMargin, 0.0f);
  }
}

void transpose_lines(const float* in, index_t stride, index_t rows, index_t columns, float* out, index_t out_stride) {
  CRYOLITH_SELECT(transpose)(in, stride, rows, columns, out, out_stride, false);
}

// Lowest and highest whole pixel of a line of positions.
Range span(const Turn::Line& line, Range range) {
  const index_t a = whole(line.at(range.begin)), b = whole(line.at(range.end - 1));
  return {std::min(a, b), std::max(a, b)};
}

Range common(Range a, Range b) {
  const index_t begin = std::max(a.begin, b.begin);
  return {begin, std::max(begin, std::min(a.end, b.end))};
}

// The i whose position has a tap among `inputs`, with one to spare at either end.
Range reaching(const Turn::Line& line, Range inputs) {
  const double step = pixels(line.step), start = pixels(line.start);
  const double a = (static_cast<double>(inputs.begin - kHalf) - start) / step;
  const double b = (static_cast<double>(inputs.end + kHalf) - start) / step;
  const index_t low = static_cast<index_t>(std::floor(std::min(a, b))) - 1;
  return {low, static_cast<index_t>(std::ceil(std::max(a, b))) + 2};
}

// Whether a spacing is `unit`, to rounding; then exactly.
bool is_unit(double& spacing, double unit) {
  if (std::abs(spacing - unit) > std::ldexp(1.0, -29)) return false;
  spacing = unit;
  return true;
}

// What each pass has to make, from the last to the first and back: nothing that is not needed, nothing that is 0.
void find_ranges(Turn& t) {
  const Range empty{0, 0};
  if (count(t.js) == 0 || count(t.is) == 0) return;
  const Range moved = span(t.row, t.rows);
  t.x = {t.columns.begin - kHalf - moved.end - 1, t.columns.end + kHalf - moved.begin};
  const Range needed = span(t.last, t.js);
  t.i = {t.is.begin + needed.begin - kHalf + 1, t.is.end + needed.end + kHalf};
  t.i = common(t.i, t.stretch_x ? reaching(t.along, t.x)
                                : Range{t.x.begin - whole(t.along.start), t.x.end - whole(t.along.start)});
  if (count(t.i) == 0) return void(t.x = empty);
  const Range seen = span(t.along, t.i), crossed = span(t.across, t.js);
  t.x = t.stretch_x ? common(t.x, {seen.begin - kHalf + 1, seen.end + kHalf + 1}) : Range{seen.begin, seen.end + 1};
  if (count(t.x) == 0) return;
  const Range raised = span(t.column, t.x);
  t.y = common({t.rows.begin - kHalf - raised.end - 1, t.rows.end + kHalf - raised.begin},
               {crossed.begin - kHalf + 1, crossed.end + kHalf + 1});
  if (count(t.y) == 0) t.x = empty;
}

// Lines y to y + 8 of the image, with their margins <-> the image. Those beyond the last are 0.
void load_lines(const Turn& t, View2<const float> image, index_t y, float* lines, index_t stride) {
  const index_t n = count(t.columns), first = y - t.rows.begin, here = std::min<index_t>(8, t.rows.end - y);
  const index_t width = image.extent[1];
  if (t.down) transpose_lines(image.data + first, width, n, here, lines + kMargin, stride);
  for (index_t l = 0; l < here && !t.down; ++l)
    std::copy_n(image.data + (first + l) * width, n, lines + l * stride + kMargin);
}

void add_lines(const Turn& t, View2<float> image, index_t y, Range columns, const float* lines, index_t stride) {
  const index_t first = y - t.rows.begin, here = std::min<index_t>(8, t.rows.end - y), width = image.extent[1];
  const index_t column = columns.begin - t.columns.begin, n = count(columns);
  if (t.down)
    return CRYOLITH_SELECT(transpose)(lines, stride, here, n, image.data + column * width + first, width, true);
  for (index_t l = 0; l < here; ++l)
    for (index_t i = 0; i < n; ++i) image.data[(first + l) * width + column + i] += lines[l * stride + i];
}

// The x at which some lines are sheared to those of t.y, with some to spare.
Range crossing(const Turn& t, Range lines) {
  const double step = pixels(t.column.step);
  const Range raised = span(t.column, t.x);
  if (lines.end < t.y.begin + raised.begin - kHalf || lines.begin > t.y.end + raised.end + kHalf) return {0, 0};
  if (raised.end - raised.begin < 8) return t.x;
  const double start = pixels(t.column.start);
  const double a = (static_cast<double>(lines.begin - t.y.end - kTurnTaps) - start) / step;
  const double b = (static_cast<double>(lines.end - t.y.begin + kTurnTaps) - start) / step;
  return common(t.x,
                {static_cast<index_t>(std::floor(std::min(a, b))), static_cast<index_t>(std::ceil(std::max(a, b)))});
}

// Floats from line to line of what the passes make, by what their lines are.
struct Strides {
  index_t line, sheared, turned, stretched, spaced;
  explicit Strides(const Turn& t)
      : line(stride_of(count(t.columns))),
        sheared(stride_of(count(t.rows))),
        turned(stride_of(count(t.y))),
        stretched(stride_of(count(t.i))),
        spaced(stride_of(count(t.x))) {}
};

// Passes 1 and 2: scratch[1] then holds what is turned, line after line along y.
void shear_twice(const float* table, const Turn& t, const Strides& s, View2<const float> image,
                 Buffer<float> scratch[3]) {
  float *sheared = scratch[0].data(), *lines = scratch[1].data(), *moved = lines + 8 * s.line;
  clear_margins(lines, s.line, 8, count(t.columns));
  clear_margins(sheared, s.sheared, count(t.x), count(t.rows));
  for (index_t y = t.rows.begin; y < t.rows.end; y += 8) {
    const index_t here = std::min<index_t>(8, t.rows.end - y);
    load_lines(t, image, y, lines, s.line);
    for (index_t l = 0; l < here; ++l)
      shear(table, t.row.at(y + l), lines + l * s.line + kMargin, t.columns, moved + l * s.spaced, t.x);
    transpose_lines(moved, s.spaced, here, count(t.x), sheared + kMargin + y - t.rows.begin, s.sheared);
  }
  for (index_t x = 0; x < count(t.x); ++x)
    shear(table, t.column.at(t.x.begin + x), sheared + x * s.sheared + kMargin, t.rows,
          scratch[1].data() + x * s.turned, t.y);
}

// The transpose of pass 2. What lies farther than kMargin - 8 lines from any sample is left as it is: see crossing().
void unshear(const float* table, const Turn& t, const Strides& s, const float* turned, float* sheared) {
  const index_t n = count(t.rows);
  for (index_t x = 0; x < count(t.x); ++x) {
    const Taps taps = taps_at(table, t.column.at(t.x.begin + x));
    float reversed[kTurnTaps];
    std::reverse_copy(taps.weight, taps.weight + kTurnTaps, reversed);
    const index_t first = -(taps.first + t.y.begin - t.rows.begin) - kTurnTaps + 1;
    const index_t low = std::clamp<index_t>(-first - kTurnTaps + 1, 0, n),
                  high = std::clamp(count(t.y) - first, low, n);
    float* out = sheared + x * s.sheared + kMargin;
    const float* in = turned + x * s.turned + kMargin;
    std::fill(out + low - kMargin + 8, out + low, 0.0f);
    CRYOLITH_SELECT(combine_lines)(in + first + low, 1, reversed, kTurnTaps, out + low, high - low);
    std::fill(out + high, out + high + kMargin, 0.0f);
  }
}

// The transpose of pass 1, from scratch[0].
void unshear_rows(const float* table, const Turn& t, const Strides& s, View2<float> image, Buffer<float> scratch[3]) {
  float *sheared = scratch[0].data(), *rows = scratch[1].data(), *lines = scratch[2].data();
  for (index_t y = t.rows.begin; y < t.rows.end; y += 8) {
    const index_t here = std::min<index_t>(8, t.rows.end - y);
    const Range xs = crossing(t, {y, y + here});
    const Range moved = span(t.row, {y, y + here});
    const Range columns = common(t.columns, {xs.begin + moved.begin - kHalf, xs.end + moved.end + kHalf + 1});
    if (count(xs) == 0 || count(columns) == 0) continue;
    transpose_lines(sheared + (xs.begin - t.x.begin) * s.sheared + kMargin + y - t.rows.begin, s.sheared, count(xs),
                    here, rows + kMargin, s.spaced);
    clear_margins(rows, s.spaced, here, count(xs));
    for (index_t l = 0; l < here; ++l)
      shear_back(table, t.row.at(y + l), rows + l * s.spaced + kMargin, xs, lines + l * s.line, columns);
    add_lines(t, image, y, columns, lines, s.line);
  }
}

}  // namespace

Turn make_turn(const SampleGrid& grid, index_t lines, Range js, Range is, ImageShape detector, ImageWindow window) {
  Turn t = {};
  t.down = std::abs(grid.row.step) > std::abs(grid.column.step);
  const SampleLine &gx = t.down ? grid.row : grid.column, &gy = t.down ? grid.column : grid.row;
  const Range rows{window.row, window.row + window.height}, columns{window.column, window.column + window.width};
  t.rows = t.down ? columns : rows;
  t.columns = t.down ? rows : columns;
  t.js = js;
  t.is = is;
  const auto middle = [](index_t n) { return 0.5 * static_cast<double>(n - 1); };
  const double length = std::hypot(pixels(gx.step), pixels(gy.step)), sign = gx.step < 0 ? -1.0 : 1.0;
  const double cosine = sign * pixels(gx.step) / length, sine = sign * pixels(gy.step) / length;
  // Shears about the middle of the detector. From here on with the rounded slopes.
  t.row.step = fixed(sine == 0.0 ? 0.0 : (cosine - 1.0) / sine);
  t.column.step = fixed(sine);
  const double a = pixels(t.row.step), b = pixels(t.column.step);
  t.row.start = fixed(-a * middle(t.down ? detector.width : detector.height));
  t.column.start = fixed(-b * middle(t.down ? detector.height : detector.width));
  // Steps and the first sample in the turned frame: x, y = turned x (1 + a b, b) + turned y (a, 1), and the start.
  double along = pixels(gx.step) - a * pixels(gy.step), slope = pixels(gx.lane) - a * pixels(gy.lane);
  double across = (1.0 + a * b) * pixels(gy.lane) - b * pixels(gx.lane);
  t.stretch_x = !is_unit(along, 1.0);
  t.stretch_y = !is_unit(across, across < 0.0 ? -1.0 : 1.0);  // lines may be copied in either order
  slope /= along;
  const double y = pixels(gy.start), x = pixels(gx.start) - a * y - pixels(t.row.start);
  t.across = {fixed(y - b * x - pixels(t.column.start)), fixed(across)};
  // Rows are sheared about the middle one.
  t.last = {fixed(-slope * middle(lines)), fixed(slope)};
  t.along = {fixed(x + along * slope * middle(lines)), fixed(along)};
  if (!t.stretch_x) {
    t.last.start += t.along.start & (kUnit - 1);
    t.along.start &= ~(kUnit - 1);
  }
  if (!t.stretch_y) {
    t.column.start += t.across.start & (kUnit - 1);
    t.across.start &= ~(kUnit - 1);
  }
  find_ranges(t);
  return t;
}

index_t turn_scratch(const Turn& t) {
  if (count(t.x) == 0) return 0;
  const Strides s(t);
  const index_t lines = 8 * (s.line + std::max({s.spaced, s.turned, s.stretched}));
  return std::max({count(t.x) * s.sheared, count(t.x) * s.turned, count(t.y) * s.stretched, count(t.i) * s.turned,
                   count(t.js) * s.stretched}) +
         lines + stride_of(count(t.is));
}

void turn_image(const float* table, const Turn& t, View2<const float> image, float* out, index_t stride,
                Buffer<float> scratch[3]) {
  if (count(t.x) == 0) {
    for (index_t j = 0; j < count(t.js); ++j) std::fill_n(out + j * stride, count(t.is), 0.0f);
    return;
  }
  const Strides s(t);
  const index_t ny = count(t.y), ni = count(t.i);
  shear_twice(table, t, s, image, scratch);
  float *turned = scratch[1].data(), *stretched = scratch[0].data(), *some = scratch[2].data();
  if (t.stretch_x) {
    const Mix mix = mix_of(taps_of(table, t.along, t.i), t.x);
    for (index_t i = 0; i < ni; i += 8) {
      const index_t here = std::min<index_t>(8, ni - i);
      for (index_t l = 0; l < here; ++l) mix_line(mix, i + l, turned, s.turned, some + l * s.turned, ny);
      transpose_lines(some, s.turned, here, ny, stretched + kMargin + i, s.stretched);
    }
  } else {
    transpose_lines(turned, s.turned, ni, ny, stretched + kMargin, s.stretched);
  }
  clear_margins(stretched, s.stretched, ny, ni);
  const Mix mix = t.stretch_y ? mix_of(taps_of(table, t.across, t.js), t.y) : Mix{};
  float *spaced = scratch[2].data(), *line = scratch[1].data();
  std::fill_n(spaced, s.stretched, 0.0f);  // what rows beyond t.y are made from, and the margins of the others
  for (index_t j = t.js.begin; j < t.js.end; ++j, out += stride) {
    const float* from = spaced;
    if (t.stretch_y) {
      mix_line(mix, j - t.js.begin, stretched + kMargin, s.stretched, spaced + kMargin, ni);
      std::fill_n(spaced + kMargin + ni, kMargin, 0.0f);
    } else {
      const index_t y = whole(t.across.at(j));
      if (y >= t.y.begin && y < t.y.end) from = stretched + (y - t.y.begin) * s.stretched;
    }
    shear(table, t.last.at(j), from + kMargin, t.i, line, t.is);
    std::copy_n(line, count(t.is), out);
  }
}

void turn_back(const float* table, const Turn& t, const float* samples, index_t stride, View2<float> image,
               Buffer<float> scratch[3]) {
  if (count(t.x) == 0) return;
  const Strides s(t);
  const index_t nx = count(t.x), ny = count(t.y), ni = count(t.i);
  float *spaced = scratch[0].data(), *stretched = scratch[1].data(), *line = scratch[2].data();
  clear_margins(line, 0, 1, count(t.is));
  for (index_t j = 0; j < count(t.js); ++j) {
    std::copy_n(samples + j * stride, count(t.is), line + kMargin);
    shear_back(table, t.last.at(t.js.begin + j), line + kMargin, t.is, spaced + j * s.stretched, t.i);
  }
  if (t.stretch_y) {
    const Mix mix = transposed(mix_of(taps_of(table, t.across, t.js), t.y), ny);
    for (index_t y = 0; y < ny; ++y) mix_line(mix, y, spaced, s.stretched, stretched + y * s.stretched, ni);
  } else {
    std::fill_n(stretched, ny * s.stretched, 0.0f);
    for (index_t j = t.js.begin; j < t.js.end; ++j) {
      const index_t y = whole(t.across.at(j));
      if (y < t.y.begin || y >= t.y.end) continue;
      std::copy_n(spaced + (j - t.js.begin) * s.stretched, ni, stretched + (y - t.y.begin) * s.stretched);
    }
  }
  float *across = scratch[0].data(), *turned = scratch[2].data();
  if (t.stretch_x) {
    const Mix mix = transposed(mix_of(taps_of(table, t.along, t.i), t.x), nx);
    transpose_lines(stretched, s.stretched, ny, ni, across, s.turned);
    for (index_t x = 0; x < nx; ++x) mix_line(mix, x, across, s.turned, turned + x * s.turned + kMargin, ny);
  } else {
    transpose_lines(stretched, s.stretched, ny, ni, turned + kMargin, s.turned);
  }
  clear_margins(turned, s.turned, nx, ny);
  unshear(table, t, s, turned, scratch[0].data());
  unshear_rows(table, t, s, image, scratch);
}

}  // namespace cryolith
