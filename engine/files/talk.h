// What the program says to people, on standard error. Talk never ends a program: where nobody listens, because
// the descriptor is closed, its disk is full or its terminal is gone, the words are lost and nothing else is.
#pragma once
#include <string>
#include <string_view>

namespace gan {

// Opens /dev/null in the place of each of the descriptors 0 to 2 that is closed, so that no file of the program's
// own gets such a number and then what was meant for the terminal; writing to standard output still fails. For the
// first line of main().
void open_standard_descriptors() noexcept;

// The text without anything that a terminal would obey: control characters, those beyond ASCII too, and bytes that
// are no UTF-8 become \n, \t or \x1b. Names of files and what strangers' files hold go through here.
std::string printable(std::string_view text);

// One line on standard error: the printable text and a line end.
void talk(std::string_view text) noexcept;

}  // namespace gan
