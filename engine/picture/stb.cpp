// The one translation unit that compiles stb_image and stb_image_write (both public domain). The reader is
// cut down to JPEG: every format that is compiled out is one attack surface less.
#include "engine/picture/stb.h"

#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_MAX_DIMENSIONS 65535
// stb 2.27 reads entries of its tables and planes that a damaged file never filled. Zeroed memory makes the
// result of such a file the same every time, and never somebody else's bytes.
#define STBI_MALLOC(size) std::calloc(1, size)
#define STBI_REALLOC(pointer, size) std::realloc(pointer, size)
#define STBI_FREE(pointer) std::free(pointer)
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION

// On damaged JPEG data its arithmetic overflows signed integers and shifts by the full width of a word. The
// values stay in bounds because they are masked or clamped before they index anything, so these two checks,
// and no others, are off here (the second one only in clang, which is what fuzzing is built with).
#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_sanitize("signed-integer-overflow", "shift"))), \
                             apply_to = function)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wunused-function"
#else
#pragma GCC optimize("wrapv")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#if defined(__clang__)
#pragma clang diagnostic pop
#pragma clang attribute pop
#else
#pragma GCC diagnostic pop
#endif

namespace gan::stb {

DecodedJpeg decode_jpeg(std::span<const std::byte> file) {
  DecodedJpeg result;
  const auto* bytes = reinterpret_cast<const stbi_uc*>(file.data());
  result.pixels.reset(stbi_load_from_memory(bytes, static_cast<int>(file.size()), &result.width,
                                            &result.height, &result.channels, 0));
  if (!result.pixels) result.reason = stbi_failure_reason();
  return result;
}

std::vector<std::byte> encode_png(const uint8_t* pixels, int height, int width, int channels) {
  int size = 0;
  const std::unique_ptr<uint8_t, FreeDeleter> file(
      stbi_write_png_to_mem(pixels, width * channels, width, height, channels, &size));
  if (!file) return {};
  const auto* begin = reinterpret_cast<const std::byte*>(file.get());
  return {begin, begin + size};
}

std::vector<std::byte> encode_jpeg(const uint8_t* pixels, int height, int width, int channels, int quality) {
  std::vector<std::byte> file;
  const auto append = [](void* to, void* bytes, int count) {
    const auto* begin = static_cast<const std::byte*>(bytes);
    auto& all = *static_cast<std::vector<std::byte>*>(to);
    all.insert(all.end(), begin, begin + count);
  };
  if (!stbi_write_jpg_to_func(append, &file, width, height, channels, pixels, quality)) return {};
  return file;
}

}  // namespace gan::stb
