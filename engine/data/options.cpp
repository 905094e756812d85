// Values of options that are more than a number.
#include "engine/data/options.h"

#include <algorithm>

#include "kernels/contract/check.h"

namespace gan {

int64_t bad_allowed(double max_bad, int64_t count) {
  if (max_bad <= 0) return 0;
  return std::max(int64_t{1}, static_cast<int64_t>(max_bad * double(count)));
}

std::array<uint8_t, 3> parse_colour(const std::string& text) {
  if (text == "white") return {255, 255, 255};
  if (text == "black") return {0, 0, 0};
  std::array<uint8_t, 3> colour{};
  const std::string digits = text.starts_with('#') ? text.substr(1) : text;
  const bool hexadecimal =
      digits.size() == 6 && digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (!hexadecimal) fail(Exit::usage, "`{}` is no colour: white, black or RRGGBB, for example ffcc00", text);
  for (int i = 0; i < 3; ++i) colour[i] = uint8_t(std::stoi(digits.substr(size_t(2 * i), 2), nullptr, 16));
  return colour;
}

}  // namespace gan
