// Pictures for training: decoded once, kept as bytes, and dealt out in an order that depends on nothing but
// the seed. Where they lie and what they are to each other is the business of layouts (layout.h).
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/layout.h"
#include "engine/data/options.h"
#include "engine/tensor/tensor.h"

namespace gan {

// The pictures of one draw, by the layout's names.
struct Batch {
  std::vector<std::pair<std::string, Tensor>> pictures;  // each (N, size, size, channels) in [-1, 1]
  // Exit::failure naming what there is.
  const Tensor& at(const std::string& name) const { return picture_named(name, pictures); }
};

// Called while a set is read or drawn, by one thread at a time: so many of its pictures are done.
using ReadingProgress = std::function<void(int64_t done, int64_t all)>;

class PictureSet {
 public:
  // Finds the layout of options.source and decodes everything that fits the cache. Unreadable files are named
  // on stderr, once, and left out; more than bad_allowed() of them, or all, throw Exit::bad_data naming the first
  // few with their reasons.
  explicit PictureSet(const DataOptions& options, const ReadingProgress& progress = {});
  ~PictureSet();

  int64_t train_count() const;  // examples to draw from; of two independent lists those of the longer
  int64_t validation_count() const;
  int64_t bad_count() const;
  int64_t grey_count() const;  // pictures of a colour set left out because they have next to none
  // What is used and what was passed over: "photos: 209 pictures for training, 11 for validation; 3 other files
  // passed over: txt 3".
  std::string words() const;
  int channels() const;
  // Of the names of all examples, of those to train on and those for validation in their order: another set has
  // another number. 1 to 2^63 - 1.
  int64_t names_hash() const;
  bool streaming() const;  // too large for the cache
  size_t cache_bytes() const;

  // An epoch is train_count()/batch draws, the remainder left out.
  int64_t draws_per_epoch(int batch) const;
  // The pictures of step-wide draw number `draw` (0, 1, 2, ... over the whole run), `batch` examples of them,
  // on the device. Which pictures, which crop, which flip, and what is made anew is a function of (seed, draw,
  // options) alone. Each epoch has its own shuffle; of two lists the shorter goes round by itself, with
  // a shuffle for each round. Crop and flip are the same for all pictures of one example, and independent for
  // those of two lists. batch may not exceed train_count(). The first call uploads the resident pictures.
  Batch batch(DeviceContext& context, int64_t draw, int batch);
  // The i-th example for validation or of training, scaled to `size`, the same at every call. Of two
  // independent lists an example for validation holds both pictures where they are known to belong together,
  // else one of them; one of training holds the i-th of each, which do not.
  Example example(int64_t i, bool validation);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Whether a picture has so little colour that nothing about colours can be learnt from it: the chroma (R - G
// and (R + G)/2 - B) of its pixels deviates from their mean by less than 3 of 255, so a tint of the whole
// picture does not count.
bool is_nearly_grey(const Image& picture);

}  // namespace gan
