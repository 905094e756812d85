// Numbers and tables as text. See table.h.
#include "tools/cli/table.h"

#include <fmt/format.h>

#include "engine/files/talk.h"

namespace gan::tools {

std::string grouped(int64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3 + (number < 0); at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string bytes_text(double bytes) {
  static constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 4) bytes /= 1024, ++unit;
  return fmt::format("{:.{}f} {}", bytes, unit && bytes < 100 ? 1 : 0, units[unit]);
}

std::string table_text(std::vector<std::vector<std::string>> rows, const std::string& alignment) {
  for (auto& row : rows)
    for (auto& cell : row) cell = printable(cell);
  std::vector<size_t> widths(alignment.size());
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += alignment[i] == 'r' ? fmt::format("{:>{}}  ", row[i], widths[i])
                                  : fmt::format("{:<{}}  ", row[i], widths[i]);
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace gan::tools
