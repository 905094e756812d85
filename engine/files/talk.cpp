// Words for the terminal.
#include "engine/files/talk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

namespace gan {

void open_standard_descriptors() noexcept {
  // open() gives the lowest free number, which is the one that was found closed. What is written to a closed standard
  // output must fail, for it is data; talk may vanish.
  constexpr int modes[] = {O_RDONLY, O_RDONLY, O_WRONLY};
  for (int number = 0; number <= 2; ++number)
    if (::fcntl(number, F_GETFD) < 0 && ::open("/dev/null", modes[number]) != number) return;
}

namespace {

// Bytes of the UTF-8 character at the start of `text`; 0 when there is none.
size_t character_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  size_t length = 0;
  if (first < 0x80) length = 1;
  else if (first >= 0xc2 && first < 0xe0) length = 2;
  else if (first >= 0xe0 && first < 0xf0) length = 3;
  else if (first >= 0xf0 && first < 0xf5) length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  return length;
}

// U+0000 to U+001F, U+007F, and U+0080 to U+009F, which some terminals obey as they obey the escape character.
bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7f;
  return first == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const size_t length = character_length(text);
    const std::string_view character = text.substr(0, length ? length : 1);
    text.remove_prefix(character.size());
    if (length > 0 && !is_control(character)) safe += character;
    else if (character == "\n") safe += "\\n";
    else if (character == "\t") safe += "\\t";
    else
      for (const char byte : character) safe += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  }
  return safe;
}

void talk(std::string_view text) noexcept {
  try {
    const std::string line = printable(text) + "\n";
    std::fwrite(line.data(), 1, line.size(), stderr);
    std::fflush(stderr);
  } catch (...) {  // no memory for the words
  }
}

}  // namespace gan
