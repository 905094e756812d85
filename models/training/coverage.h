// Which of the faces that builtin:comics draws a model of noise makes: the program knows what traits each drawn face
// has, so it can say which a generator has forgotten (mode collapse), which losses do not show.
#pragma once
#include <string>
#include <vector>

#include "engine/picture/image.h"
#include "engine/run/runlog.h"

namespace gan {

// A picture is taken for the drawn face that it is nearest to: by squared difference after both were averaged down to
// kSide pixels. That is no recognition, so the counts are put beside those of as many real faces which are not among
// the drawn ones.
class FaceCoverage {
 public:
  // channels: 3, or 1 for grey pictures.
  explicit FaceCoverage(int channels);

  static constexpr int kPictures = 512;  // that one look takes
  struct Result {
    // face_modes: combinations of hair style, hat and glasses among the pictures; face_coverage: their part of what
    // real faces show, face_distinct: the same of the number of different nearest faces. About 1 is as varied as the set.
    Metrics measures;
    std::string words;
  };
  // `pictures`: square, of any side from kSide on.
  Result look(const std::vector<Image>& pictures) const;

  static constexpr int kSide = 16;

 private:
  struct Counts {
    double modes = 0, distinct = 0;
    std::vector<int> hair;  // pictures of each hair style
  };
  std::vector<float> small(const Image& picture) const;  // kSide * kSide * channels
  Counts count(const std::vector<Image>& pictures) const;

  int channels_;
  std::vector<std::vector<float>> faces_;  // averaged down
  Counts real_;                            // of kPictures faces that are not among them
};

}  // namespace gan
