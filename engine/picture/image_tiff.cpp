// TIFF by libtiff: the first picture of a file, of 1 to 16 bits a sample, in strips or tiles, under the usual
// compressions. libtiff reads from memory, may take no more of it than the rules allow, and what it says goes
// into our own words.
#if GAN_WITH_TIFF
#include <tiffio.h>

#include <cstdarg>
#include <cstdio>
#include <memory>

#include "engine/picture/image_formats.h"
#include "engine/picture/orientation.h"

namespace gan::formats {

namespace {

// The file as libtiff asks for it, and what libtiff says.
struct Stream {
  Bytes file;
  uint64_t at = 0;
  std::string error;         // the first
  bool has_warning = false;  // since it was last taken back
};

Stream& stream_of(thandle_t handle) { return *static_cast<Stream*>(handle); }

tmsize_t read_some(thandle_t handle, void* into, tmsize_t bytes) {
  Stream& stream = stream_of(handle);
  if (bytes <= 0 || stream.at >= stream.file.size()) return 0;
  const size_t there = std::min(size_t(bytes), size_t(stream.file.size() - stream.at));
  std::memcpy(into, stream.file.data() + stream.at, there);
  stream.at += there;
  return tmsize_t(there);
}
tmsize_t write_nothing(thandle_t, void*, tmsize_t) { return 0; }
toff_t seek(thandle_t handle, toff_t offset, int whence) {
  Stream& stream = stream_of(handle);
  if (whence == SEEK_CUR) offset += stream.at;
  else if (whence == SEEK_END) offset += stream.file.size();
  return stream.at = offset;
}
int close_nothing(thandle_t) { return 0; }
toff_t size_of_file(thandle_t handle) { return stream_of(handle).file.size(); }
// libtiff only reads from it, and it has to be there: uncompressed tiles of a file that is not in memory are
// refused by some of its versions, which compare their size with that of a buffer.
int map_file(thandle_t handle, void** base, toff_t* bytes) {
  *base = const_cast<std::byte*>(stream_of(handle).file.data());
  *bytes = stream_of(handle).file.size();
  return 1;
}
void unmap_nothing(thandle_t, void*, toff_t) {}

int take_error(TIFF*, void* user, const char*, const char* format, va_list values) {
  Stream& stream = *static_cast<Stream*>(user);
  char text[256];
  std::vsnprintf(text, sizeof text, format, values);
  if (stream.error.empty()) stream.error = text;
  return 1;  // libtiff prints nothing
}
int take_warning(TIFF*, void* user, const char*, const char*, va_list) {
  static_cast<Stream*>(user)->has_warning = true;
  return 1;
}

// Grey of 16 bits as libtiff's own function would put it, but rounded to v/257, not cut, and with its alpha.
// `skip_to` and `skip_from`: pixels behind each row.
void put_deep_grey(TIFFRGBAImage* image, uint32_t* to, uint32_t, uint32_t, uint32_t width, uint32_t height,
                   int32_t skip_from, int32_t skip_to, unsigned char* from) {
  const size_t samples = image->samplesperpixel;
  const auto sample = [&](size_t i) {
    uint16_t value;
    std::memcpy(&value, from + 2 * i, 2);
    return uint32_t{to_8_bit(value, 65535)};
  };
  for (; height > 0; --height, to += skip_to, from += ptrdiff_t(2 * samples) * skip_from)
    for (uint32_t x = 0; x < width; ++x, ++to, from += 2 * samples) {
      uint32_t grey = sample(0);
      if (image->photometric == PHOTOMETRIC_MINISWHITE) grey = 255 - grey;
      const uint32_t alpha = image->alpha && samples > 1 ? sample(1) : 255;
      if (image->alpha == EXTRASAMPLE_UNASSALPHA) grey = (grey * alpha + 127) / 255;
      *to = grey | grey << 8 | grey << 16 | alpha << 24;
    }
}

struct Closing {
  void operator()(TIFF* tiff) const { TIFFClose(tiff); }
  void operator()(TIFFOpenOptions* options) const { TIFFOpenOptionsFree(options); }
};

// Only these: each other codec of libtiff would be one more reader to trust.
bool is_usual_compression(uint16_t compression) {
  switch (compression) {
    case COMPRESSION_NONE:
    case COMPRESSION_CCITTRLE:
    case COMPRESSION_CCITTFAX3:
    case COMPRESSION_CCITTFAX4:
    case COMPRESSION_LZW:
    case COMPRESSION_PACKBITS:
    case COMPRESSION_ADOBE_DEFLATE:
    case COMPRESSION_DEFLATE:
    case COMPRESSION_JPEG: return true;
    default: return false;
  }
}

// Of the others nobody agrees on what colours they mean.
bool is_usual_colour_space(uint16_t photometric) {
  switch (photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
    case PHOTOMETRIC_RGB:
    case PHOTOMETRIC_PALETTE:
    case PHOTOMETRIC_SEPARATED:
    case PHOTOMETRIC_YCBCR: return true;
    default: return false;
  }
}

class Tiff {
 public:
  explicit Tiff(const Source& source)
      : source_(source), stream_{source.part(0, source.size()), 0, "", false} {
    std::unique_ptr<TIFFOpenOptions, Closing> options(TIFFOpenOptionsAlloc());
    if (!options) source.refuse("not enough memory for this TIFF");
    TIFFOpenOptionsSetErrorHandlerExtR(options.get(), take_error, &stream_);
    TIFFOpenOptionsSetWarningHandlerExtR(options.get(), take_warning, &stream_);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), tmsize_t(source.allowed_cost()));
    tiff_.reset(TIFFClientOpenExt("file", "r", &stream_, read_some, write_nothing, seek, close_nothing,
                                  size_of_file, map_file, unmap_nothing, options.get()));
    if (!tiff_) refuse_damaged();
    read_header();
  }

  ImageInfo info() const {
    const bool exchange = orientation_ >= 5;
    return {int(exchange ? width_ : height_),
            int(exchange ? height_ : width_),
            is_grey() ? 1 : 3,
            "tiff",
            bits_,
            alpha_,
            photometric_ == PHOTOMETRIC_PALETTE,
            decoding_bytes_};
  }

  Image decode(const DecodeOptions& options) {
    TIFFRGBAImage reader;
    char why[1024] = "";
    constexpr int kStopOnError = 1;
    if (!TIFFRGBAImageBegin(&reader, tiff_.get(), kStopOnError, why))
      source_.refuse("a TIFF of a kind that is not supported: {}", why);
    // Left as stored; turning is our business.
    reader.req_orientation = reader.orientation;
    if (bits_ == 16 && is_grey() && reader.isContig) reader.put.contig = put_deep_grey;
    stream_.has_warning = false;
    std::vector<uint32_t> pixels(size_t(height_) * width_);
    const int done = TIFFRGBAImageGet(&reader, pixels.data(), width_, height_);
    TIFFRGBAImageEnd(&reader);
    // The JPEG decoder only warns of data that are missing, and shows grey.
    const bool in_doubt = compression_ == COMPRESSION_JPEG && stream_.has_warning;
    if (!done || in_doubt || !stream_.error.empty()) refuse_damaged();

    Canvas canvas(int(height_), int(width_), options);
    const uint32_t* pixel = pixels.data();
    for (int y = 0; y < int(height_); ++y)
      for (int x = 0; x < int(width_); ++x, ++pixel) canvas.set(y, x, on_matte(*pixel, options.matte));
    pixels = {};
    return turned_upright(canvas.take(), orientation_);
  }

 private:
  bool is_grey() const {
    return photometric_ == PHOTOMETRIC_MINISWHITE || photometric_ == PHOTOMETRIC_MINISBLACK;
  }

  [[noreturn]] void refuse_damaged() const {
    source_.refuse("damaged TIFF: {}", stream_.error.empty() ? "its data make no sense" : stream_.error);
  }

  uint16_t number(uint32_t tag, uint16_t fallback) const {
    uint16_t value = fallback;
    if (!TIFFGetFieldDefaulted(tiff_.get(), tag, &value)) return fallback;
    return value;
  }

  void read_header() {
    TIFF* tiff = tiff_.get();
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width_);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height_);
    source_.check_dimensions(width_, height_);
    bits_ = number(TIFFTAG_BITSPERSAMPLE, 1);
    photometric_ = number(TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK);
    compression_ = number(TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    const uint16_t samples = number(TIFFTAG_SAMPLESPERPIXEL, 1);
    const uint16_t format = number(TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID)
      source_.refuse("a TIFF of signed or floating-point samples; only whole numbers from 0 are read");
    if (!is_usual_compression(compression_))
      source_.refuse("a TIFF with compression {}; save it with LZW, deflate or none", compression_);
    if (!is_usual_colour_space(photometric_))
      source_.refuse("a TIFF of colour space {}; save it as RGB or grey", photometric_);
    if (const uint16_t turn = number(TIFFTAG_ORIENTATION, 1); turn >= 1 && turn <= 8) orientation_ = turn;
    uint16_t extra = 0;
    uint16_t* kinds = nullptr;
    if (TIFFGetField(tiff, TIFFTAG_EXTRASAMPLES, &extra, &kinds) && extra > 0)
      alpha_ = kinds[0] == EXTRASAMPLE_ASSOCALPHA || kinds[0] == EXTRASAMPLE_UNASSALPHA;

    // A strip or tile of each plane, its compressed data, the picture with four bytes a pixel, the result.
    const bool planes = number(TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE;
    const uint64_t piece = TIFFIsTiled(tiff) ? TIFFTileSize64(tiff) : TIFFStripSize64(tiff);
    if (piece == 0) refuse_damaged();
    const double bytes = double(piece) * (planes ? samples : 1) + double(source_.size()) +
                         double(width_) * height_ * (sizeof(uint32_t) + 3);
    decoding_bytes_ = size_t(std::min(bytes, 1e15));
  }

  // libtiff has multiplied colours by their alpha.
  static Rgba on_matte(uint32_t pixel, const std::array<uint8_t, 3>& matte) {
    const uint32_t alpha = TIFFGetA(pixel);
    const auto blend = [&](uint32_t colour, uint32_t behind) {
      return uint8_t(std::min<uint32_t>(255, colour + (behind * (255 - alpha) + 127) / 255));
    };
    return {blend(TIFFGetR(pixel), matte[0]), blend(TIFFGetG(pixel), matte[1]),
            blend(TIFFGetB(pixel), matte[2]), 255};
  }

  const Source& source_;
  Stream stream_;
  std::unique_ptr<TIFF, Closing> tiff_;
  uint32_t width_ = 0, height_ = 0;
  int bits_ = 1, orientation_ = 1;
  uint16_t photometric_ = 0, compression_ = 0;
  bool alpha_ = false;
  size_t decoding_bytes_ = 0;
};

}  // namespace

Image decode_tiff(const Source& source, const DecodeOptions& options) { return Tiff(source).decode(options); }
ImageInfo probe_tiff(const Source& source) { return Tiff(source).info(); }

}  // namespace gan::formats
#endif
