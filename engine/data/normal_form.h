// File names that look alike but are not: an accented letter may be one character or a letter and an accent behind
// it (Unicode's normal forms C and D). Some systems write the one, some the other.
#pragma once
#include <string>

namespace gan {

// UTF-8 text with its letters taken apart (form D, as far as letters have two parts): equal for names that differ
// in their normal form only. What is no UTF-8 stays.
std::string taken_apart(const std::string& text);

}  // namespace gan
