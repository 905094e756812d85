// Nearest drawn faces, and their traits.
#include "models/training/coverage.h"

#include <limits>
#include <set>

#include "engine/data/comics.h"
#include "engine/data/workers.h"
#include "kernels/contract/check.h"

namespace gan {

namespace {

constexpr int kFaces = 2048;                 // that pictures are compared with: the first of the training set
constexpr uint64_t kUnseen = 1'000'000'000;  // numbers from here on are in no set
constexpr int kDrawn = 32;                   // side that faces are drawn with

}  // namespace

FaceCoverage::FaceCoverage(int channels) : channels_(channels), faces_(kFaces) {
  parallel_for(kFaces, 0, [&](int64_t i) {
    faces_[size_t(i)] = small(draw_face(uint64_t(i), ComicsStyle::comic, kDrawn, channels_));
  });
  std::vector<Image> unseen(kPictures);
  parallel_for(kPictures, 0, [&](int64_t i) {
    unseen[size_t(i)] = draw_face(kUnseen + uint64_t(i), ComicsStyle::comic, kDrawn, channels_);
  });
  real_ = count(unseen);
}

std::vector<float> FaceCoverage::small(const Image& picture) const {
  GAN_CHECK(picture.channels == channels_ && picture.height == picture.width && picture.width >= kSide,
            "a picture of {} x {} x {}", picture.height, picture.width, picture.channels);
  const Image reduced = resize(picture, kSide, kSide, Filter::bilinear);
  return {reduced.pixels.begin(), reduced.pixels.end()};
}

FaceCoverage::Counts FaceCoverage::count(const std::vector<Image>& pictures) const {
  std::vector<size_t> nearest(pictures.size());
  parallel_for(int64_t(pictures.size()), 0, [&](int64_t i) {
    const std::vector<float> picture = small(pictures[size_t(i)]);
    float least = std::numeric_limits<float>::max();
    for (size_t face = 0; face < faces_.size(); ++face) {
      float sum = 0;
      for (size_t k = 0; k < picture.size(); ++k) {
        const float difference = picture[k] - faces_[face][k];
        sum += difference * difference;
      }
      if (sum < least) least = sum, nearest[size_t(i)] = face;
    }
  });
  Counts counts;
  counts.hair.assign(comics_hair_styles().size(), 0);
  std::set<std::vector<int>> modes;
  for (const size_t face : nearest) {
    const ComicsTraits traits = comics_traits(face);
    modes.insert({traits.hair_style, traits.hat, traits.glasses});
    ++counts.hair[size_t(traits.hair_style)];
  }
  counts.modes = double(modes.size());
  counts.distinct = double(std::set<size_t>(nearest.begin(), nearest.end()).size());
  return counts;
}

FaceCoverage::Result FaceCoverage::look(const std::vector<Image>& pictures) const {
  const Counts found = count(pictures);
  Result result;
  result.measures = {{"face_modes", found.modes},
                     {"face_coverage", found.modes / real_.modes},
                     {"face_distinct", found.distinct / real_.distinct}};
  std::string missing;
  for (size_t style = 0; style < found.hair.size(); ++style)
    if (found.hair[style] == 0 && real_.hair[style] > 0)
      missing += fmt::format("{}{}", missing.empty() ? "" : ", ", comics_hair_styles()[style]);
  result.words = fmt::format(
      "{:.0f} of the {:.0f} combinations of hair, hat and glasses that as many drawn faces show{}",
      found.modes, real_.modes, missing.empty() ? "" : "; hair never made: " + missing);
  return result;
}

}  // namespace gan
