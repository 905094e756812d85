// What a run is told about its health, and when.
#include <doctest/doctest.h>

#include "models/training/health.h"

using namespace gan;

TEST_CASE("health: a discriminator that wins outright is told once, after five logged steps") {
  std::vector<std::string> said;
  Health health([&](const std::string& text) { said.push_back(text); });
  const auto see = [&](int64_t step, double real, double fake, const char* loss = "vanilla") {
    health.see(step, loss, {{"lr", 1}, {"D_real", real}, {"D_fake", fake}});
  };
  for (int step = 1; step <= 4; ++step) see(step, 0.99, 0.01);
  see(5, 0.9, 0.01);
  CHECK(said.empty());  // an interruption starts the count again
  for (int step = 6; step <= 30; ++step) see(step, 0.99, 0.01);
  REQUIRE(said.size() == 1);
  CHECK(said[0].starts_with("step 10: the discriminator wins outright (D(real) 0.99, D(fake) 0.01)"));
  see(31, 0.6, 0.4);
  for (int step = 32; step <= 36; ++step) see(step, 0.99, 0.01);
  CHECK(said.size() == 2);
  for (int step = 40; step <= 60; ++step) see(step, 0.99, 0.01, "hinge");  // logits: far from certain
  CHECK(said.size() == 2);
  for (int step = 61; step <= 70; ++step) see(step, 1.5, -1.5, "hinge");
  CHECK(said.size() == 3);
}

TEST_CASE("health: collapsed outputs are of one colour, or alike for all inputs") {
  std::vector<std::string> said;
  Health health([&](const std::string& text) { said.push_back(text); });
  std::vector<Image> varied, alike, flat;
  for (int i = 0; i < 4; ++i) {
    Image picture(8, 8, 3), same(8, 8, 3);
    for (size_t k = 0; k < picture.pixels.size(); ++k) {
      picture.pixels[k] = uint8_t(k * 7 + size_t(i) * 40);
      same.pixels[k] = uint8_t(k * 7);
    }
    varied.push_back(picture), alike.push_back(same), flat.push_back(Image(8, 8, 3, uint8_t(50 * i)));
  }
  {  // a fresh network's outputs are alike: an alarm after 300 steps of learning, not before
    Health fresh([&](const std::string& text) { said.push_back(text); });
    fresh.look(1, alike);
    fresh.look(299, flat);
    CHECK(said.empty());
    fresh.look(300, flat);
    CHECK(said.size() == 1);
    said.clear();
  }
  health.look(1, varied);
  CHECK(said.empty());
  health.look(2, alike);
  REQUIRE(said.size() == 1);
  CHECK(said[0].find("all look the same") != std::string::npos);
  health.look(3, alike);
  CHECK(said.size() == 1);  // told already
  health.look(4, varied);
  health.look(5, flat);
  REQUIRE(said.size() == 2);
  CHECK(said[1].find("of one colour") != std::string::npos);
  health.look(6, varied);
  health.look(7, {flat[0]});  // one picture cannot differ from another
  CHECK(said.size() == 2);
}
