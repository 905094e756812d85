// When is a device's result right? The rule for tolerances, and the report of what is not right.
//
// Three results are computed from the same inputs (which all types hold exactly): `exact` in float64, `plain`
// by the same simple loops in float32, and the device's. Element i of an output may differ from exact by
//
//   4 * yardstick + 4 ulp(exact[i])                         ulp(v) = 2^-23 |v|
//   + 2^-8 (|exact[i]| + the above)                         rounding, when stored as bfloat16
//
// where yardstick = max over the output of |plain - exact|: what rounding does to a straightforward float32
// version of this very case. So a device may sum in another order or fuse operations, but not be of another
// class of accuracy. Few elements, or inputs with few digits, can meet exact by luck; so the yardstick is
// also at least the largest change of exact when every input moves by one float32 ulp up or down, which is
// the problem's condition (three random ways for an output of less than 64 elements, else one). A change
// beyond 2^-10 of the largest element is the crossing of a kink (hinge, |a - b|, relu's mask) and does not
// count.
//
// Tensor cores cut off what lies below the largest of a few addends, and their running sum at each step: of `sums` products
// a step for every 8, half a unit in the last place each, toward zero. That adds sums / 8 * 2^-24 of the root mean square
// of exact for what is summed there.
//
// A row that rounds bfloat16 factors once more states what that makes of the result (Variant::rounding, root mean square
// over that of exact): 10 of it for each element, since errors are near normal (6) and differ by place in a tile (1.6). It
// counts from the root mean square of all of exact, or of the element's own line of the last dimension where that is
// larger: in attention a key that many queries look at gets more than others, and the error with it.
//
// Cases marked bit_exact (random numbers) allow only exact[i] rounded to the type. A case whose yardstick
// exceeds 2^-10 of its largest element (2^-10 where all are 0) tests nothing and is reported as
// ill-conditioned.
#pragma once
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <string>

#include "tests/cases/cases.h"

namespace gan::tests {

struct Expected {
  Values exact;
  double yardstick = 0;
  double plain_error = 0;  // root mean square of plain - exact
  double size = 0;         // root mean square of exact
};

inline std::string coordinates(int64_t index, const std::vector<int64_t>& shape) {
  std::string text;
  for (size_t d = shape.size(); d-- > 0; index /= shape[d])
    text = fmt::format("{}{}{}", index % shape[d], text.empty() ? "" : ",", text);
  return "[" + text + "]";
}

inline double largest_magnitude(const Values& values) {
  double largest = 0;
  for (double value : values)
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  return largest;
}

// Differences beyond this are not rounding.
inline double coarsest_yardstick(const Values& exact) {
  const double largest = largest_magnitude(exact);
  return 0x1p-10 * (largest > 0 ? largest : 1);
}

inline double root_mean_square(const Values& values, size_t first, size_t count) {
  double squares = 0;
  for (size_t i = first; i < first + count; ++i)
    if (std::isfinite(values[i])) squares += values[i] * values[i];
  return count == 0 ? 0 : std::sqrt(squares / double(count));
}

// `sums`: products that a tensor core added up for the element; 0: none did. `line`: the root mean square of the
// element's line.
inline double tolerance(const Expected& expected, size_t i, DType type, double sums = 0, double rounding = 0,
                        double line = 0) {
  const double size = std::abs(expected.exact[i]);
  double allowed = 4 * expected.yardstick + 4 * 0x1p-23 * size + sums / 8 * 0x1p-24 * expected.size +
                   10 * rounding * std::max(expected.size, line) + FLT_MIN;
  if (type == DType::bf16) allowed += 0x1p-8 * (size + allowed);
  return allowed;
}

// Empty when got (stored as `type`) is right, else the first few elements that are not, one a line.
inline std::string mismatches(const std::string& name, const std::vector<int64_t>& shape,
                              const Expected& expected, const Values& got, DType type, bool bit_exact,
                              double sums = 0, double rounding = 0) {
  if (expected.yardstick > coarsest_yardstick(expected.exact))
    return fmt::format("  {}: ill-conditioned case: plain float32 is off by {:.3g}, largest element {:.3g}\n",
                       name, expected.yardstick, largest_magnitude(expected.exact));
  std::string report;
  int64_t wrong = 0;
  const size_t length = shape.empty() ? 1 : size_t(shape.back());
  double line = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    if (rounding > 0 && i % length == 0) line = root_mean_square(expected.exact, i, length);
    const double want = bit_exact ? rounded_to(type, expected.exact[i]) : expected.exact[i];
    const double allowed = bit_exact ? 0 : tolerance(expected, i, type, sums, rounding, line);
    const bool right = std::isfinite(want) ? std::abs(got[i] - want) <= allowed : !std::isfinite(got[i]);
    if (right) continue;
    if (wrong++ < 4)
      report += fmt::format("  {}{} is {:.9g}, should be {:.9g} within {:.3g}\n", name, coordinates(i, shape),
                            got[i], want, allowed);
  }
  if (wrong > 4) report += fmt::format("  {}: {} of {} elements are wrong\n", name, wrong, got.size());
  return report;
}

}  // namespace gan::tests
