// How much memory the tables of a lossless WebP take, which its size does not tell: a file of 300 KB can ask for
// tables of hundreds of megabytes. libwebp knows no bound, so the part of the data that decides on it is read here
// first (WebP Lossless Bitstream Specification): transforms, colour cache, and the picture that gives each block of
// pixels its group of prefix codes.
#pragma once
#include <cstddef>

#include "engine/picture/image_formats.h"

namespace gan::formats {

// `data`: the bits of a lossless picture of that size, behind its header. Refuses what ends early or is damaged.
size_t bytes_of_webp_tables(const Source& source, Bytes data, int width, int height);

}  // namespace gan::formats
