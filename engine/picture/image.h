// Pictures: reading and writing files, and the few operations that turn a picture of any size into a training
// sample. Reading is strict. A file is either decoded completely and correctly or refused with its name and
// the reason; there is no half-decoded picture. What a file may cost is bounded (PictureLimits), and so is
// what all threads that read pictures take together (ReadingTurn).
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace gan {

// 8-bit samples in sRGB as they stand in the file. Channels: 1 (grey) or 3 (red, green, blue).
struct Image {
  int height = 0, width = 0, channels = 0;
  std::vector<uint8_t> pixels;  // (height, width, channels), row-major

  Image() = default;
  Image(int height, int width, int channels, uint8_t fill = 0);
  uint8_t& at(int y, int x, int channel) { return pixels[index(y, x, channel)]; }
  uint8_t at(int y, int x, int channel) const { return pixels[index(y, x, channel)]; }
  bool operator==(const Image&) const = default;

 private:
  size_t index(int y, int x, int channel) const { return (size_t(y) * width + x) * channels + channel; }
};

// Rec. 601 luma of a colour, as in Pillow's "L".
constexpr uint8_t luma(uint32_t red, uint32_t green, uint32_t blue) {
  return static_cast<uint8_t>((19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16);
}

// The 8-bit sample nearest to a network's value: [-1,1] to 0..255, what lies outside is clipped.
inline uint8_t byte_of(float value) {
  return uint8_t(std::lround(std::clamp((value + 1) * 127.5f, 0.0f, 255.0f)));
}

// ---- reading: JPEG (baseline, progressive), PNG (every kind), BMP (every common kind), PBM/PGM/PPM; with
// libwebp WebP, with libtiff TIFF ----
//
// The content decides the format, not the file name. What becomes of the unusual kinds:
//   16-bit samples    rounded to v/257
//   transparency      composited on the matte: round((colour * alpha + matte * (255 - alpha)) / 255)
//   grey -> colour    three equal channels
//   colour -> grey    luma()
//   CMYK JPEG         converted to RGB, its ink values taken as inverted, which is how all programs write them
//   EXIF orientation  of a JPEG, WebP or TIFF is applied: the picture comes out upright
//   fewer scans       a progressive JPEG is as coarse as those make it that are there; each must be whole
//   gamma, ICC        ignored, as in other training pipelines
//   animated PNG      its still picture; an animated WebP is refused
//   TIFF with pages   its first

// A file that asks for more than this is refused, nearly always by its header alone.
struct PictureLimits {
  static constexpr int64_t pixels = 89'478'485;         // height * width: 256 MiB in colour
  static constexpr int side = 65'535;                   // pixels
  static constexpr uint64_t file_bytes = 512ull << 20;  // enough for that many 16-bit colour pixels in a PPM
  // Memory that decoding takes, the result in colour included; and what the data of a PNG unfold to.
  static constexpr int64_t decoding_bytes = 257ll << 20;
  // For each of its own bytes a file may take this many, when that is more. A JPEG takes up to 7 bytes a
  // pixel, a progressive one 12, with four colour components 15; a WebP or TIFF up to 11; other formats 3 and a
  // window of some rows.
  // So a real photo of 89 million pixels is read with up to 1.3 GiB; a small file that unfolds to as much is
  // refused.
  static constexpr int64_t bytes_for_each_byte = 256;
  static constexpr int jpeg_scans = 100;               // usual progressive files have about 10
  static constexpr int64_t jpeg_blocks = 1 << 25;      // of 8 x 8 samples, in all scans together
  static constexpr size_t bytes_at_once = 1ull << 30;  // see ReadingTurn
};

struct DecodeOptions {
  int channels = 3;                             // of the result: 1 grey, 3 colour
  std::array<uint8_t, 3> matte{255, 255, 255};  // behind transparent pixels: red, green, blue
  int64_t max_pixels = PictureLimits::pixels;   // height * width; a file that claims more is refused
};

// What the header says, without decoding the pixels.
struct ImageInfo {
  int height = 0, width = 0;  // upright, that is after the EXIF orientation
  int channels = 0;           // of the colour: 1 grey, 3 colour or palette
  std::string format;         // "jpeg", "png", "bmp", "pnm", "webp", "tiff"
  int bits = 0;               // per sample or palette index, as stored
  bool alpha = false;         // has transparency of any kind
  bool palette = false;
  size_t decoding_bytes = 0;  // of memory, beside the file's own; the result in colour included
};

// All four throw gan::Error: Exit::bad_data with file name and reason if the content is no supported, intact
// picture or the path is no regular, readable file; Exit::io if the disk fails. `name` stands for the file in
// messages.
Image read_image(const std::filesystem::path& path, const DecodeOptions& options = {});
Image decode_image(std::span<const std::byte> file, const std::string& name,
                   const DecodeOptions& options = {});
ImageInfo probe_image(const std::filesystem::path& path, int64_t max_pixels = PictureLimits::pixels);
ImageInfo probe_image(std::span<const std::byte> file, const std::string& name,
                      int64_t max_pixels = PictureLimits::pixels);

// Memory for pictures being read. All threads of the process together take at most
// PictureLimits::bytes_at_once: who wants to begin waits until what he needs is free. A picture that needs
// more than that is read alone. read_image() and decode_image() take a turn of their own. A thread of several
// that goes on to work with the pictures it has read takes one around all that: it serves for whatever the
// thread reads while it lasts.
class ReadingTurn {
 public:
  explicit ReadingTurn(size_t bytes);
  // For reading the files, one after another, and as many copies of each picture. Throws as probe_image()
  // does.
  explicit ReadingTurn(std::span<const std::filesystem::path> files, int copies = 1,
                       int64_t max_pixels = PictureLimits::pixels);
  ~ReadingTurn();
  ReadingTurn(const ReadingTurn&) = delete;
  ReadingTurn& operator=(const ReadingTurn&) = delete;

 private:
  void take(size_t bytes);
  size_t bytes_ = 0;
  bool outermost_ = false;
};

// Whether the file name ends like a picture that this build reads: picture_extensions(), in any case, blanks
// behind it aside.
bool looks_like_image(const std::filesystem::path& path);
// ".jpg .jpeg .png ...": those that this build reads.
std::string picture_extensions();
// The kind of file that a name claims: its extension in lower case without dot and blanks, "without extension",
// or "other" for what is no usual extension.
std::string kind_of_file(const std::filesystem::path& path);
// Why this build does not read pictures of such a kind, which it would with a library that it was built without.
// Empty for all other kinds.
std::string why_not_read(const std::string& kind);

// ---- writing ----
std::vector<std::byte> encode_png(const Image& image);
void write_png(const std::filesystem::path& path, const Image& image);  // atomically; Exit::io on failure
// How a picture is written.
struct PictureFormat {
  enum class Kind { png, jpeg } kind = Kind::png;
  int quality = 92;  // of a JPEG, 1 to 100

  const char* extension() const { return kind == Kind::png ? ".png" : ".jpg"; }
  // Of a file name that ends in .png, .jpg or .jpeg, in any case. Exit::usage for another ending, naming `option`.
  static PictureFormat of(const std::filesystem::path& file, const std::string& option, int quality = 92);
};
// Exit::usage for a picture that is larger than the format can be.
std::vector<std::byte> encode(const Image& image, const PictureFormat& format);
void write_picture(const std::filesystem::path& path, const Image& image,
                   const PictureFormat& format);  // atomically
// Whether a name ends as pictures of any program do, also of kinds that are neither read nor written here.
bool has_picture_ending(const std::filesystem::path& path);

// ---- resizing and cutting ----

// Pillow's resampling, bit for bit (versions up to 11; later ones may take the vertical pass first, which
// differs by one step in places): separable, horizontal first, 8-bit in between, fixed-point weights with 22
// bits. The filter's support grows with the factor when shrinking, which is what keeps small pictures free of
// aliasing.
enum class Filter {
  bilinear,  // triangle, support 1
  bicubic,   // Keys' cubic with a = -1/2, support 2
};
Image resize(const Image& image, int height, int width, Filter filter = Filter::bilinear);
// The shorter side becomes `side`, the longer one floor(side * longer / shorter): torchvision's Resize(side).
Image resize_shorter_side(const Image& image, int side, Filter filter = Filter::bilinear);
Image crop(const Image& image, int top, int left, int height, int width);  // must lie inside
// The middle, at most as large as the image. An odd remainder is rounded as torchvision's CenterCrop does it.
Image center_crop(const Image& image, int height, int width);
Image flip_horizontal(const Image& image);
// As if the light had been 2^stops as strong: sRGB values taken as light, multiplied, and back; what becomes brighter
// than white is white.
Image exposed(const Image& image, double stops);

// Pictures of equal size in rows of `columns`, with `padding` pixels of `background` around each (as
// torchvision's make_grid). The last row may be short.
Image make_grid(std::span<const Image> images, int columns, int padding = 2, uint8_t background = 0);

}  // namespace gan
