// Numbers and tables as text: what all commands print with.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace gan::tools {

// 1234567 as "1,234,567"; 1536 bytes as "1.5 KiB".
std::string grouped(int64_t number);
std::string bytes_text(double bytes);
// Columns as wide as their content, two blanks between; alignment has an l or r for each.
// Cells are made printable(): they may hold names from strangers' files.
std::string table_text(std::vector<std::vector<std::string>> rows, const std::string& alignment);

}  // namespace gan::tools
