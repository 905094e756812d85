// What the engine takes from the stb single-header libraries: decoding JPEG, and writing PNG and JPEG. They
// are narrow on purpose: stb trusts its input more than we do, so engine/picture/image_jpeg.cpp checks a file's
// structure, sizes and data first and hands over only what passed. Only engine/picture/stb.cpp sees stb itself.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

namespace gan::stb {

struct FreeDeleter {
  void operator()(uint8_t* pixels) const { std::free(pixels); }
};

struct DecodedJpeg {
  int height = 0, width = 0, channels = 0;       // channels 1 or 3; CMYK has been converted to RGB
  std::unique_ptr<uint8_t, FreeDeleter> pixels;  // (height, width, channels); null on failure
  const char* reason = "";                       // why, on failure
};
DecodedJpeg decode_jpeg(std::span<const std::byte> file);

// 8-bit PNG of (height, width, channels) pixels, channels 1 or 3; empty if memory ran out.
std::vector<std::byte> encode_png(const uint8_t* pixels, int height, int width, int channels);

// JPEG of such pixels, `quality` 1 to 100.
std::vector<std::byte> encode_jpeg(const uint8_t* pixels, int height, int width, int channels, int quality);

}  // namespace gan::stb
