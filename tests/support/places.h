// Where the sources and the program under test are.
#pragma once

namespace gan::tests {

extern const char* const source_dir;  // the checkout
extern const char* const gan_binary;  // build/.../gan

}  // namespace gan::tests
