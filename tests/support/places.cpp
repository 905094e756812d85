#include "tests/support/places.h"

// The only file compiled with a path of this checkout, so that a compiler cache serves other checkouts too.
namespace gan::tests {

const char* const source_dir = GAN_SOURCE_DIR;
const char* const gan_binary = GAN_BINARY;

}  // namespace gan::tests
