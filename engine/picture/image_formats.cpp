// Which format a file has, by its content, and the way to that format's reader.
#include "engine/picture/image_formats.h"

namespace gan {

using namespace formats;

namespace {

struct Reader {
  Image (*decode)(const Source& source, const DecodeOptions& options);
  ImageInfo (*probe)(const Source& source);
};

// With offsets of 32 bits, or of 64 (BigTIFF), in either order of bytes.
bool is_tiff(const Source& source) {
  using namespace std::string_view_literals;
  return source.starts_with(0, "II*\0"sv) || source.starts_with(0, "MM\0*"sv) ||
         source.starts_with(0, "II+\0"sv) || source.starts_with(0, "MM\0+"sv);
}

Reader reader_of(const Source& source) {
  if (source.size() == 0) source.refuse("is empty");
  if (source.starts_with(0, kPngSignature)) return {decode_png, probe_png};
  if (source.starts_with(0, "\xFF\xD8\xFF")) return {decode_jpeg, probe_jpeg};
  if (source.starts_with(0, "BM")) return {decode_bmp, probe_bmp};
  if (source.size() > 2 && source.u8(0) == 'P' && source.u8(1) >= '1' && source.u8(1) <= '6')
    return {decode_pnm, probe_pnm};
  std::string other;
  if (source.starts_with(0, "GIF8")) other = ": it is a GIF";
  else if (source.starts_with(4, "ftyp")) other = ": it is an AVIF, HEIC or video file";
  if (source.starts_with(0, "RIFF") && source.starts_with(8, "WEBP")) {
#if GAN_WITH_WEBP
    return {decode_webp, probe_webp};
#else
    other = ": it is a WebP, and " + why_not_read("webp");
#endif
  }
  if (is_tiff(source)) {
#if GAN_WITH_TIFF
    return {decode_tiff, probe_tiff};
#else
    other = ": it is a TIFF, and " + why_not_read("tiff");
#endif
  }
  source.refuse("is no JPEG, PNG, BMP, PNM, WebP or TIFF picture{}", other);
}

}  // namespace

Image decode_image(Bytes file, const std::string& name, const DecodeOptions& options) {
  GAN_CHECK(options.channels == 1 || options.channels == 3, "channels = {}", options.channels);
  const Source source(file, name, options.max_pixels);
  const Reader reader = reader_of(source);
  const size_t bytes = reader.probe(source).decoding_bytes;
  source.check_cost(static_cast<int64_t>(bytes));
  const ReadingTurn turn(bytes);
  return reader.decode(source, options);
}

ImageInfo probe_image(Bytes file, const std::string& name, int64_t max_pixels) {
  const Source source(file, name, max_pixels);
  return reader_of(source).probe(source);
}

}  // namespace gan
