// The commands that measure and translate pictures, as a user has them.
#include <nlohmann/json.hpp>

#include "engine/image.h"
#include "tests/shell.h"

namespace gan::tests {
namespace {

using nlohmann::json;

}  // namespace

TEST_CASE("gan compare: table, JSON and sheet of two folders") {
  Shell shell;
  for (const char* name : {"a", "b/sub"}) fs::create_directories(shell.folder / name);
  fs::create_directories(shell.folder / "a/sub");
  Image same(20, 30, 3, 50), near = same;
  for (auto& sample : near.pixels) sample += 3;
  write_png(shell.folder / "a/one.png", same), write_png(shell.folder / "b/one.PNG", same);
  write_png(shell.folder / "a/sub/two.png", same), write_png(shell.folder / "b/sub/two.png", near);
  write_png(shell.folder / "a/dot.png", Image(1, 1, 3, 9)),
      write_png(shell.folder / "b/dot.png", Image(1, 1, 3, 10));

  const auto result = shell.gan({"compare", "a", "b", "--json", "--sheet", "new/sheet.png"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const auto parsed = json::parse(result.out);
  REQUIRE(parsed["images"].size() == 3);
  CHECK(parsed["images"][0]["name"] == "dot");
  CHECK(parsed["images"][0]["ssim"].is_null());  // smaller than the window
  CHECK(parsed["images"][1]["psnr"] == "inf");
  CHECK(parsed["images"][2]["name"] == "sub/two");
  CHECK(parsed["images"][2]["psnr"].get<double>() == doctest::Approx(38.5885));
  CHECK(parsed["mean"]["psnr"] == "inf");
  CHECK(parsed["mean"]["l1"].get<double>() == doctest::Approx(4.0 / 3));
  CHECK(parsed["mean"]["ssim"].get<double>() < 1);
  const Image sheet =
      read_image(shell.folder / "new/sheet.png");  // three rows of A, B, difference: no fourth
  CHECK(sheet.width == 3 * 34 + 4);
  CHECK(sheet.height == 3 * 34 + 4);

  const auto table = shell.gan({"compare", "a", "b", "--metrics", "l1"});
  CHECK(table.code == 0);
  CHECK(contains(table.out, "mean of 3"));
  CHECK(contains(table.out, "1.33"));
  CHECK_FALSE(contains(table.out, "psnr"));
  const auto files = shell.gan({"compare", "a/one.png", "b/sub/two.png", "--metrics", "psnr", "--json"});
  CHECK(json::parse(files.out)["mean"]["psnr"].get<double>() == doctest::Approx(38.5885));
}

TEST_CASE("gan compare: what cannot be compared is named") {
  Shell shell;
  fs::create_directories(shell.folder / "a");
  fs::create_directories(shell.folder / "b");
  write_png(shell.folder / "a/one.png", Image(4, 5, 3, 1)),
      write_png(shell.folder / "b/one.png", Image(5, 4, 3, 1));
  check_refused(shell.gan({"compare", "a", "b"}), 3, "a/one.png is 5 x 4 and b/one.png is 4 x 5");
  write_png(shell.folder / "b/one.png", Image(4, 5, 3, 1));
  write_png(shell.folder / "b/two.png", Image(4, 5, 3, 1));
  check_refused(shell.gan({"compare", "a", "b"}), 3, "b/two.png (not in a)");
  check_refused(shell.gan({"compare", "b", "a"}), 3, "b/two.png (not in a)");
  check_refused(shell.gan({"compare", "a", "c"}), 3, "c: no such folder");
  check_refused(shell.gan({"compare", "a", "b/one.png"}), 2, "two folders or two files");
  check_refused(shell.gan({"compare", "a", "b", "--metrics", "pnsr"}), 2, "did you mean psnr?");
  fs::copy(shell.folder / "a/one.png", shell.folder / "a/one.jpg");
  check_refused(shell.gan({"compare", "a", "b"}), 3, "the same name");
  fs::remove(shell.folder / "a/one.jpg"), fs::remove(shell.folder / "b/two.png");
  fs::resize_file(shell.folder / "b/one.png", 50);
  check_refused(shell.gan({"compare", "a", "b"}), 3, "b/one.png");
}

}  // namespace gan::tests
