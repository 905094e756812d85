// Which of the drawn faces a model makes: real faces cover themselves, collapsed pictures do not.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "engine/data/comics.h"
#include "models/training/coverage.h"

using namespace gan;

namespace {

std::map<std::string, double> measures_of(const FaceCoverage::Result& result) {
  return {result.measures.begin(), result.measures.end()};
}

std::vector<Image> faces(uint64_t first, int count, int channels, int size = 32) {
  std::vector<Image> pictures;
  for (int i = 0; i < count; ++i)
    pictures.push_back(draw_face(first + uint64_t(i), ComicsStyle::comic, size, channels));
  return pictures;
}

}  // namespace

TEST_CASE("coverage: faces of the set are found by their traits, new ones cover it, few ones do not") {
  for (const int channels : {3, 1}) {
    CAPTURE(channels);
    const FaceCoverage coverage(channels);
    std::set<std::vector<int>> modes;
    for (uint64_t i = 0; i < 50; ++i) {
      const ComicsTraits traits = comics_traits(i);
      modes.insert({traits.hair_style, traits.hat, traits.glasses});
    }
    auto found = measures_of(coverage.look(faces(0, 50, channels)));
    CHECK(found["face_modes"] == double(modes.size()));  // each is nearest to itself

    // Faces in no set, drawn larger: as varied as those that the measure compares with, whose counts vary by chance.
    found = measures_of(coverage.look(faces(5'000'000, FaceCoverage::kPictures, channels, 48)));
    CHECK(found["face_coverage"] == doctest::Approx(1).epsilon(0.15));
    CHECK(found["face_distinct"] == doctest::Approx(1).epsilon(0.15));

    // Four faces over and over.
    std::vector<Image> collapsed;
    const auto four = faces(5'000'000, 4, channels);
    for (int i = 0; i < FaceCoverage::kPictures; ++i) collapsed.push_back(four[size_t(i) % 4]);
    const auto result = coverage.look(collapsed);
    found = measures_of(result);
    CHECK(found["face_modes"] <= 4);
    CHECK(found["face_coverage"] < 0.1);
    CHECK(found["face_distinct"] < 0.02);
    CHECK(result.words.find("hair never made: ") != std::string::npos);

    // One face of each kind, over and over: every kind is made, but few faces.
    std::vector<Image> kinds;
    std::set<std::vector<int>> seen;
    for (uint64_t i = 0; i < 2048; ++i) {
      const ComicsTraits traits = comics_traits(i);
      if (seen.insert({traits.hair_style, traits.hat, traits.glasses}).second)
        kinds.push_back(faces(i, 1, channels)[0]);
    }
    const size_t count = kinds.size();
    REQUIRE(count < size_t(FaceCoverage::kPictures));
    while (kinds.size() < size_t(FaceCoverage::kPictures)) kinds.push_back(kinds[kinds.size() - count]);
    found = measures_of(coverage.look(kinds));
    CHECK(found["face_modes"] == double(count));
    CHECK(found["face_coverage"] > 1);
    CHECK(found["face_distinct"] < 0.8);
  }
}

TEST_CASE("coverage: traits have names") {
  std::set<int> styles;
  for (uint64_t i = 0; i < 2000; ++i) {
    const ComicsTraits traits = comics_traits(i);
    styles.insert(traits.hair_style);
    CHECK((traits.hat >= 0 && traits.hat <= 3 && traits.glasses >= 0 && traits.glasses <= 3));
  }
  CHECK(styles.size() == comics_hair_styles().size());
  CHECK(*styles.rbegin() + 1 == int(styles.size()));
}
