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
#include "engine/data/made_input.h"
#include "engine/data/layout.h"
#include "engine/tensor.h"

namespace gan {

// What one example of a set is.
enum class Examples {
  pictures,  // single pictures
  pairs,     // input and target: aligned in the folder, or made (DataOptions::make_input)
  colour,    // single pictures that have colour; nearly grey ones are left out and counted
};

struct DataOptions {
  std::string source;  // a folder (sub-folders welcome), or "builtin:comics"
  Examples examples = Examples::pictures;
  InputKind make_input = InputKind::none;  // of pairs: none: the folder has aligned pairs (list_pairs)
  bool b_to_a = false;                     // of aligned pairs: B is the input
  int size = 64;                           // side of a training picture
  int load_size = 0;    // side pictures are scaled to (shorter side, then centre square); 0: size
  int channels = 3;     // 1 or 3
  bool augment = true;  // random flip; random crop when load_size > size; off: centre crop
  bool shuffle = true;
  std::vector<double>
      split;  // {train, validation} parts; empty: everything trains, but for pairs and colour:
              // the folder's own parts, or else one in twenty (1 to 32) for validation
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
  // Pairs and colour sets take train/ and val/ of the folder where they are there (list_pairs, list_singles).
  // Decodes everything that fits the cache. Unreadable files are named on stderr, once, and left out; more
  // than max_bad of them, or all, throw Exit::bad_data naming the first few with their reasons.
  explicit PictureSet(const DataOptions& options);
  ~PictureSet();

  int64_t train_count() const;
  int64_t validation_count() const;
  int64_t bad_count() const;
  int64_t grey_count() const;  // pictures of a colour set left out because they have next to none
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

  // Of pairs: inputs and targets of a draw, each (batch, size, size, channels) in [-1, 1]; crop and flip are
  // the same for both. Inputs that are drawn anew each time depend on (seed, draw, place in the batch).
  struct PairBatch {
    Tensor input, target;
  };
  PairBatch pair_batch(DeviceContext& context, int64_t draw, int batch);
  // The i-th training or validation example, as read_example() gives it at `size`. Inputs that are drawn are
  // the same at every call.
  PicturePair pair(int64_t i, bool validation);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// An example of a folder: input and target at `side` (shorter side scaled, middle square), or at their own
// size (side 0). A colour set's input is the picture itself: what a network sees of it is the network's
// business. Throws Exit::bad_data naming the file.
PicturePair read_example(const PictureFile& file, const DataOptions& options, int side,
                         const InputSeed& seed);

// Whether a picture has so little colour that nothing about colours can be learnt from it: the chroma (R - G
// and (R + G)/2 - B) of its pixels deviates from their mean by less than 3 of 255, so a tint of the whole
// picture does not count.
bool is_nearly_grey(const Image& picture);

// Scaled so that the shorter side is `side`, and cut to the middle square.
Image fit_square(const Image& image, int side, Filter filter);

// The same of builtin:comics at options.size: face `number` as a photo and as a comic.
PicturePair comics_example(int64_t number, const DataOptions& options, const InputSeed& seed);

// What `gan data check` and `gan data stats` print.
struct PictureReport {
  std::filesystem::path file;
  std::string problem;  // empty: readable
  ImageInfo info;
};
std::vector<PictureReport> check_pictures(const std::filesystem::path& folder, int workers);
// The same for every pair of all parts, as list_pairs() finds them; `file` is A, `info` stays empty. A bad
// pair is one that does not read, has no partner, or whose pictures differ in size.
std::vector<PictureReport> check_pairs(const std::filesystem::path& folder, int workers);

}  // namespace gan
