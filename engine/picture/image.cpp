// Pictures as arrays: files in and out, Pillow's resampling, cutting, and grids of samples. What is inside
// the files is the business of engine/picture/image_formats.h.
#include "engine/picture/image.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <string_view>

#include "engine/files/atomic_file.h"
#include "engine/picture/memory_budget.h"
#include "engine/picture/stb.h"
#include "kernels/contract/check.h"
#include "kernels/shared/colour.h"

namespace gan {

namespace fs = std::filesystem;

Image::Image(int height, int width, int channels, uint8_t fill)
    : height(height), width(width), channels(channels) {
  GAN_CHECK(height > 0 && width > 0 && (channels == 1 || channels == 3), "an image of {} x {} x {}", height,
            width, channels);
  pixels.assign(size_t(height) * size_t(width) * size_t(channels), fill);
}

// ---- files ----

Image read_image(const fs::path& path, const DecodeOptions& options) {
  const ReadingTurn turn(std::span(&path, 1), 0, options.max_pixels);
  return decode_image(read_file(path, PictureLimits::file_bytes), path.string(), options);
}

namespace {

ImageInfo probe_open_file(const InputFile& file, int64_t max_pixels) {
  // The header nearly always lies in the first bytes; the rare file with more before it (a large EXIF
  // preview, a colour profile) is read whole.
  constexpr uint64_t kUsualHeader = 64 * 1024;
  const std::string name = file.path().string();
  std::vector<std::byte> start(std::min(file.size(), kUsualHeader));
  file.read(0, start);
  if (file.size() <= kUsualHeader) return probe_image(start, name, max_pixels);
  try {
    return probe_image(start, name, max_pixels);
  } catch (const Error&) {
    const ReadingTurn turn(file.size());
    return probe_image(read_file(file.path(), PictureLimits::file_bytes), name, max_pixels);
  }
}

}  // namespace

ImageInfo probe_image(const fs::path& path, int64_t max_pixels) {
  return probe_open_file(InputFile(path), max_pixels);
}

// ---- taking turns ----

namespace {

MemoryBudget& budget_of_readers() {
  static MemoryBudget budget(PictureLimits::bytes_at_once);
  return budget;
}
thread_local bool turn_is_held = false;

}  // namespace

ReadingTurn::ReadingTurn(size_t bytes) { take(bytes); }

ReadingTurn::ReadingTurn(std::span<const fs::path> files, int copies, int64_t max_pixels) {
  if (turn_is_held) return;
  size_t bytes = 0;
  for (const fs::path& path : files) {
    const InputFile file(path);
    const ImageInfo info = probe_open_file(file, max_pixels);
    bytes +=
        file.size() + info.decoding_bytes + size_t(copies) * size_t(info.height) * size_t(info.width) * 3;
  }
  take(bytes);
}

void ReadingTurn::take(size_t bytes) {
  if (turn_is_held) return;
  budget_of_readers().take(bytes);
  bytes_ = bytes;
  outermost_ = turn_is_held = true;
}

ReadingTurn::~ReadingTurn() {
  if (!outermost_) return;
  turn_is_held = false;
  budget_of_readers().give_back(bytes_);
}

namespace {

struct Extension {
  std::string_view name;
  std::string_view missing;  // the library without which this build does not read it
};
#if GAN_WITH_WEBP
constexpr std::string_view kNoWebp = "";
#else
constexpr std::string_view kNoWebp = "this build has no libwebp";
#endif
#if GAN_WITH_TIFF
constexpr std::string_view kNoTiff = "";
#else
constexpr std::string_view kNoTiff = "this build has no libtiff";
#endif
constexpr Extension kExtensions[] = {{"jpg", ""},      {"jpeg", ""}, {"jfif", ""},      {"jpe", ""},
                                     {"png", ""},      {"bmp", ""},  {"pbm", ""},       {"pgm", ""},
                                     {"ppm", ""},      {"pnm", ""},  {"webp", kNoWebp}, {"tif", kNoTiff},
                                     {"tiff", kNoTiff}};

const Extension* extension_of(const std::string& kind) {
  const auto* const found = std::find_if(std::begin(kExtensions), std::end(kExtensions),
                                         [&](const Extension& known) { return known.name == kind; });
  return found == std::end(kExtensions) ? nullptr : found;
}

}  // namespace

std::string kind_of_file(const fs::path& path) {
  constexpr size_t kLongest = 8;
  std::string kind = path.extension().string();
  while (!kind.empty() && std::isspace(static_cast<unsigned char>(kind.back()))) kind.pop_back();
  if (kind.size() < 2) return "without extension";
  kind.erase(0, 1);
  for (char& c : kind) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const bool usual = kind.size() <= kLongest && std::all_of(kind.begin(), kind.end(), [](unsigned char c) {
                       return std::isalnum(c) != 0;
                     });
  return usual ? kind : "other";
}

bool looks_like_image(const fs::path& path) {
  const Extension* known = extension_of(kind_of_file(path));
  return known && known->missing.empty();
}

std::string picture_extensions() {
  std::string all;
  for (const Extension& known : kExtensions)
    if (known.missing.empty()) all += fmt::format("{}.{}", all.empty() ? "" : " ", known.name);
  return all;
}

std::string why_not_read(const std::string& kind) {
  const Extension* known = extension_of(kind);
  return known ? std::string(known->missing) : "";
}

std::vector<std::byte> encode_png(const Image& image) {
  GAN_CHECK(image.height > 0 && image.width > 0 && (image.channels == 1 || image.channels == 3) &&
                image.pixels.size() == size_t(image.height) * size_t(image.width) * size_t(image.channels),
            "an image of {} x {} x {} with {} samples", image.height, image.width, image.channels,
            image.pixels.size());
  GAN_CHECK(image.pixels.size() < (size_t{1} << 30), "a PNG of {} bytes", image.pixels.size());
  std::vector<std::byte> file =
      stb::encode_png(image.pixels.data(), image.height, image.width, image.channels);
  if (file.empty())
    fail(Exit::failure, "not enough memory to write a PNG of {} x {}", image.width, image.height);
  return file;
}

PictureFormat PictureFormat::of(const fs::path& file, const std::string& option, int quality) {
  const std::string kind = kind_of_file(file), ending = file.extension().string();
  if (kind == "png") return {Kind::png, quality};
  if (kind == "jpg" || kind == "jpeg") return {Kind::jpeg, quality};
  fail(Exit::usage, "{} {}: a picture is written as .png or .jpg, not as {}", option, file.string(),
       ending.empty() ? "a name without an ending" : ending);
}

std::vector<std::byte> encode(const Image& image, const PictureFormat& format) {
  if (format.kind == PictureFormat::Kind::png) return encode_png(image);
  constexpr int largest_side = 65535;
  if (image.height > largest_side || image.width > largest_side)
    fail(Exit::usage,
         "a picture of {} x {} is too large for a JPEG, whose sides have at most {} pixels; write a PNG",
         image.width, image.height, largest_side);
  auto file =
      stb::encode_jpeg(image.pixels.data(), image.height, image.width, image.channels, format.quality);
  if (file.empty()) throw std::bad_alloc();
  return file;
}

void write_picture(const fs::path& path, const Image& image, const PictureFormat& format) {
  write_file_atomically(path, encode(image, format));
}

bool has_picture_ending(const fs::path& path) {
  constexpr std::string_view others[] = {"gif", "jxl", "avif", "heic", "tga"};
  const std::string kind = kind_of_file(path);
  return extension_of(kind) || std::find(std::begin(others), std::end(others), kind) != std::end(others);
}

void write_png(const fs::path& path, const Image& image) { write_file_atomically(path, encode_png(image)); }

// ---- resizing and cutting ----

namespace {

double filter_weight(Filter filter, double x) {
  x = std::abs(x);
  if (filter == Filter::bilinear) return x < 1 ? 1 - x : 0;
  constexpr double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// The inputs of one output position along an axis.
struct Taps {
  int first = 0;
  std::vector<int32_t> weights;  // fixed point, they sum to about 1 << kWeightBits
};
constexpr int kWeightBits =
    22;  // 32 - 8 for the samples - 2 for sums outside 0..1 (bicubic has negative weights)

std::vector<Taps> resampling_taps(int from, int to, Filter filter) {
  const double scale = double(from) / to, stretch = std::max(scale, 1.0);
  const double support = (filter == Filter::bilinear ? 1.0 : 2.0) * stretch;
  std::vector<Taps> taps(static_cast<size_t>(to));
  for (int i = 0; i < to; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(0, int(center - support + 0.5)),
              last = std::min(from, int(center + support + 0.5));
    std::vector<double> weights;
    double sum = 0;
    for (int j = first; j < last; ++j) {
      weights.push_back(filter_weight(filter, (j - center + 0.5) * (1.0 / stretch)));
      sum += weights.back();
    }
    taps[size_t(i)].first = first;
    for (double weight : weights) {
      if (sum != 0) weight /= sum;
      const double fixed = weight * (1 << kWeightBits);
      taps[size_t(i)].weights.push_back(int32_t(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
    }
  }
  return taps;
}

uint8_t from_fixed_point(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255)); }

Image resize_width(const Image& image, int width, Filter filter) {
  const std::vector<Taps> taps = resampling_taps(image.width, width, filter);
  Image result(image.height, width, image.channels);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < width; ++x) {
      const Taps& tap = taps[size_t(x)];
      for (int c = 0; c < image.channels; ++c) {
        int32_t sum = 1 << (kWeightBits - 1);  // one half, to round
        const uint8_t* from = &image.pixels[(size_t(y) * image.width + tap.first) * image.channels + c];
        for (const int32_t weight : tap.weights) sum += weight * *from, from += image.channels;
        result.at(y, x, c) = from_fixed_point(sum);
      }
    }
  return result;
}

Image resize_height(const Image& image, int height, Filter filter) {
  const std::vector<Taps> taps = resampling_taps(image.height, height, filter);
  Image result(height, image.width, image.channels);
  const size_t row = size_t(image.width) * image.channels;
  std::vector<int32_t> sums(row);
  for (int y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), 1 << (kWeightBits - 1));
    const uint8_t* from = &image.pixels[size_t(taps[size_t(y)].first) * row];
    for (const int32_t weight : taps[size_t(y)].weights) {
      for (size_t i = 0; i < row; ++i) sums[i] += weight * from[i];
      from += row;
    }
    std::transform(sums.begin(), sums.end(), result.pixels.begin() + std::ptrdiff_t(size_t(y) * row),
                   from_fixed_point);
  }
  return result;
}

}  // namespace

Image resize(const Image& image, int height, int width, Filter filter) {
  GAN_CHECK(height > 0 && width > 0, "resize to {} x {}", width, height);
  if (width == image.width && height == image.height) return image;
  if (height == image.height) return resize_width(image, width, filter);
  if (width == image.width) return resize_height(image, height, filter);
  return resize_height(resize_width(image, width, filter), height, filter);
}

Image resize_shorter_side(const Image& image, int side, Filter filter) {
  const int64_t shorter = std::min(image.height, image.width), longer = std::max(image.height, image.width);
  const int other = static_cast<int>(side * longer / shorter);
  return image.height <= image.width ? resize(image, side, other, filter)
                                     : resize(image, other, side, filter);
}

Image crop(const Image& image, int top, int left, int height, int width) {
  GAN_CHECK(top >= 0 && left >= 0 && height > 0 && width > 0 && top <= image.height - height &&
                left <= image.width - width,
            "{} x {} at ({}, {}) from an image of {} x {}", width, height, left, top, image.width,
            image.height);
  Image result(height, width, image.channels);
  const size_t row = size_t(width) * image.channels;
  for (int y = 0; y < height; ++y)
    std::copy_n(&image.pixels[(size_t(top + y) * image.width + left) * image.channels], row,
                &result.pixels[size_t(y) * row]);
  return result;
}

Image center_crop(const Image& image, int height, int width) {
  // Half of an odd remainder is rounded to the even neighbour, as Python's round() does.
  const auto half = [](int remainder) { return (remainder + (remainder / 2 % 2 != 0 ? 1 : 0)) / 2; };
  return crop(image, half(image.height - height), half(image.width - width), height, width);
}

Image flip_horizontal(const Image& image) {
  Image result(image.height, image.width, image.channels);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      std::copy_n(&image.pixels[(size_t(y) * image.width + (image.width - 1 - x)) * image.channels],
                  image.channels, &result.at(y, x, 0));
  return result;
}

Image exposed(const Image& image, double stops) {
  std::array<uint8_t, 256> becomes;
  for (size_t v = 0; v < becomes.size(); ++v)
    becomes[v] =
        uint8_t(std::lround(255 * srgb_of_linear(std::exp2(stops) * linear_of_srgb(double(v) / 255))));
  Image result = image;
  for (uint8_t& value : result.pixels) value = becomes[value];
  return result;
}

Image make_grid(std::span<const Image> images, int columns, int padding, uint8_t background) {
  GAN_CHECK(!images.empty() && columns > 0 && padding >= 0, "{} images in {} columns, padding {}",
            images.size(), columns, padding);
  const Image& first = images[0];
  columns = std::min(columns, static_cast<int>(images.size()));
  const int rows = static_cast<int>((images.size() + size_t(columns) - 1) / size_t(columns));
  const int cell_height = first.height + padding, cell_width = first.width + padding;
  Image grid(rows * cell_height + padding, columns * cell_width + padding, first.channels, background);
  for (size_t i = 0; i < images.size(); ++i) {
    const Image& image = images[i];
    GAN_CHECK(image.height == first.height && image.width == first.width && image.channels == first.channels,
              "image {} is {} x {} x {}, the first {} x {} x {}", i, image.height, image.width,
              image.channels, first.height, first.width, first.channels);
    const int top = static_cast<int>(i) / columns * cell_height + padding;
    const int left = static_cast<int>(i) % columns * cell_width + padding;
    const size_t row = size_t(image.width) * image.channels;
    for (int y = 0; y < image.height; ++y)
      std::copy_n(&image.pixels[size_t(y) * row], row, &grid.at(top + y, left, 0));
  }
  return grid;
}

}  // namespace gan
