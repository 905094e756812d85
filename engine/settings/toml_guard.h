// What a TOML text may look like before the parser sees it. Settings are flat: a few nested lists and short
// keys are all that a file of ours has. The parser calls itself for every level of a list, a table or a
// dotted key, and stumbles over some bytes that are no TOML; a text from a stranger could end the program
// that way.
#pragma once
#include <string>
#include <string_view>

namespace gan {

// Throws Exit::usage with `name`, line and column when the text is longer than 1 MiB, nests brackets or
// dotted keys more than 8 deep, or has, outside of texts and comments, anything that TOML does not have
// there: bytes beyond ASCII, control characters, ` and other punctuation that belongs to no TOML value.
void check_toml_text(std::string_view text, const std::string& name);

}  // namespace gan
