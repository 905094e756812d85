// Pictures for training: found, decoded once, kept as bytes, and dealt out in an order that depends on
// nothing but the seed.
#pragma once
#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/image.h"
#include "engine/tensor.h"

namespace gan {

struct DataOptions {
  std::string source;   // a folder (sub-folders welcome), or "builtin:comics"
  int size = 64;        // side of a training picture
  int load_size = 0;    // side pictures are scaled to (shorter side, then centre square); 0: size
  int channels = 3;     // 1 or 3
  bool augment = true;  // random flip; random crop when load_size > size; off: centre crop
  bool shuffle = true;
  std::vector<double> split;  // {train, validation} parts; empty: everything trains
  std::array<uint8_t, 3> matte{255, 255, 255};
  double max_bad = 0.01;  // part of the files that may be unreadable before it is an error
  int workers = 0;        // decoding threads; 0: one per core. Never changes a result
  double cache_gb = 4;    // above it pictures are decoded again for each batch
  uint64_t seed = 1;
  int builtin_count = 0;  // faces of builtin:comics; 0: 4096 up to 64 px, 2048 up to 128, 1024 above
};

// "white", "black" or RRGGBB; Exit::usage for anything else.
std::array<uint8_t, 3> parse_colour(const std::string& text);

// A folder's picture files in the order of their names (bytewise, of the path below the folder). Throws
// Exit::bad_data when the folder is missing, unreadable, a file, or holds no pictures, and says which.
std::vector<std::filesystem::path> list_pictures(const std::filesystem::path& folder);

// Calls f(i) for i in [0, count) on `workers` threads (0: one per core). The first exception is thrown again
// here.
void parallel_for(int64_t count, int workers, const std::function<void(int64_t)>& f);

class PictureSet {
 public:
  // Decodes everything that fits the cache. Unreadable files are named on stderr, once, and left out; more
  // than max_bad of them, or all, throw Exit::bad_data naming the first few with their reasons.
  explicit PictureSet(const DataOptions& options);
  ~PictureSet();

  int64_t train_count() const;
  int64_t validation_count() const;
  int64_t bad_count() const;
  int channels() const;
  bool streaming() const;  // too large for the cache
  size_t cache_bytes() const;

  // The pictures of step-wide draw number `draw` (0, 1, 2, ... over the whole run), `batch` at a time: which
  // picture, which crop, which flip is a function of (seed, draw, options) alone. An epoch is
  // train_count()/batch draws, the remainder left out; each epoch has its own shuffle. batch may not exceed
  // train_count().
  int64_t draws_per_epoch(int batch) const;
  // (batch, size, size, channels) in [-1, 1], on the device. The first call on a context uploads the resident
  // pool.
  Tensor batch(DeviceContext& context, int64_t draw, int batch);
  // The first `count` training (or validation) pictures, uncropped to `size`, for a grid of what is learnt
  // from.
  std::vector<Image> pictures(int count, bool validation = false);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What `gan data check` and `gan data stats` print.
struct PictureReport {
  std::filesystem::path file;
  std::string problem;  // empty: readable
  ImageInfo info;
};
std::vector<PictureReport> check_pictures(const std::filesystem::path& folder, int workers);

}  // namespace gan
