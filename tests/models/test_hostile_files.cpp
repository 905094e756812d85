// Checkpoints, replays and settings from strangers: what they claim is checked before it is believed, before
// memory is taken for it, and before it reaches the parser. (Runs with links: test_runlog.cpp; pictures:
// test_image.cpp; the format itself: test_safetensors.cpp.)
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/files/safetensors.h"
#include "engine/learning/optim.h"
#include "engine/settings/toml_guard.h"
#include "models/tasks/zoo.h"
#include "models/use/checkpoint.h"
#include "tests/support/folder.h"
#include "tests/support/places.h"
#include "tests/support/preset.h"
#include "tests/support/shell.h"

namespace gan::tests {
namespace {

namespace fs = std::filesystem;

// A checkpoint's tensors and metadata without its hashes, to be changed and written again.
struct Unsealed {
  std::map<std::string, std::pair<TensorEntry, std::vector<std::byte>>> tensors;
  std::map<std::string, std::string> metadata;

  explicit Unsealed(const fs::path& path) {
    const auto file = SafetensorsFile::open(path);
    for (const auto& entry : file.tensors()) tensors[entry.name] = {entry, file.read(entry)};
    for (const auto& [key, value] : file.metadata())
      if (!key.starts_with("xxh64.")) metadata[key] = value;
  }
  template <class T>
  void set(const std::string& name, T value) {  // its first element
    std::memcpy(tensors.at(name).second.data(), &value, sizeof value);
  }
  void replace_in_config(const std::string& from, const std::string& to) {
    std::string& config = metadata.at("config");
    const size_t at = config.find(from);
    REQUIRE(at != config.npos);
    config.replace(at, from.size(), to);
  }
  // As a stranger may write it: the plain format, without our hashes.
  void write(const fs::path& path) const {
    std::string header = "{\"__metadata__\":" + nlohmann::json(metadata).dump();
    std::string data;
    for (const auto& [name, tensor] : tensors) {
      const nlohmann::json place = {data.size(), data.size() + tensor.second.size()};
      header += "," + nlohmann::json(name).dump() + ":{\"dtype\":\"" +
                std::string(name_of(tensor.first.type)) +
                "\",\"shape\":" + nlohmann::json(tensor.first.shape).dump() +
                ",\"data_offsets\":" + place.dump() + "}";
      data.append(reinterpret_cast<const char*>(tensor.second.data()), tensor.second.size());
    }
    header += "}";
    const uint64_t length = header.size();
    std::ofstream(path, std::ios::binary)
        << std::string(reinterpret_cast<const char*>(&length), sizeof length) << header << data;
  }
};

// A run of two steps in shell.path/run, and the name of its checkpoint.
fs::path small_run(Shell& shell) {
  const auto trained = shell.gan({"train",
                                  "dcgan",
                                  "builtin:comics",
                                  "--size",
                                  "32",
                                  "--ngf",
                                  "4",
                                  "--ndf",
                                  "4",
                                  "--batch",
                                  "4",
                                  "--device",
                                  "cpu",
                                  "--steps",
                                  "2",
                                  "--sample-every",
                                  "0",
                                  "--out",
                                  "run",
                                  "--ema",
                                  "0",
                                  "--quiet"});
  REQUIRE_MESSAGE(trained.code == 0, trained.err);
  return shell.folder / "run/checkpoints/step-00000002.safetensors";
}

}  // namespace

TEST_CASE("hostile: counters that no run can have are refused by every command, hashes or not") {
  Shell shell;
  const fs::path checkpoint = small_run(shell);
  const struct {
    const char* name;
    int64_t value;
  } lies[] = {{"state.step", -1000},      {"state.step", int64_t(1) << 40},
              {"state.draw", -1},         {"state.draw", 0xFFFFFFFF},
              {"state.images", -1},       {"state.images", int64_t(1) << 62},
              {"state.adam.G.steps", -5}, {"state.adam.D.steps", std::numeric_limits<int64_t>::max()}};
  for (const auto& lie : lies) {
    Unsealed file(checkpoint);
    file.set(lie.name, lie.value);
    file.write(checkpoint);
    const auto resumed = shell.gan({"train", "--resume", "run", "--steps", "4"});
    CHECK_MESSAGE(resumed.code == 3, lie.name << " " << lie.value << ": " << resumed.err);
    CHECK(contains(resumed.err, lie.name));
    CHECK(contains(resumed.err, std::to_string(lie.value)));
    file = Unsealed(checkpoint);
    file.set("state.step", int64_t(2));
    file.set("state.draw", int64_t(2));
    file.set("state.images", int64_t(8));
    file.set("state.adam.G.steps", int64_t(2));
    file.set("state.adam.D.steps", int64_t(2));
    file.write(checkpoint);
  }
  CHECK(shell.gan({"train", "--resume", "run", "--steps", "4", "--quiet"}).code == 0);  // the mended file
}

TEST_CASE("hostile: settings in a header that ask for another network are refused before memory is taken") {
  Shell shell;
  const fs::path checkpoint = small_run(shell);
  Unsealed file(checkpoint);
  file.replace_in_config("ngf = 4", "ngf = 4096");
  file.write(checkpoint);
  for (const auto& command : {std::vector<std::string>{"sample", "run", "--out", "x.png"},
                              {"train", "--resume", "run", "--ngf", "4096"},
                              {"train", "dcgan", "builtin:comics", "--size", "32", "--ngf", "4096", "--steps",
                               "1", "--out", "other", "--init", checkpoint.string()}}) {
    const auto result = shell.gan(command);
    CHECK_MESSAGE((result.code == 3 || result.code == 2), command[0] << ": " << result.code << result.err);
    CHECK(result.peak_mib < 600);  // a generator of that width takes 11 GB
  }
  file.replace_in_config("ngf = 4096", "ngf = 4");
  file.replace_in_config("model = \"dcgan\"", "model = \"nosuch\"");
  file.write(checkpoint);
  CHECK(shell.gan({"sample", "run", "--out", "x.png"}).code == 3);  // a bad file, not a bad command
}

TEST_CASE("hostile: a plan takes no memory for its networks") {
  Shell shell;
  const auto plan =
      shell.gan({"train", "dcgan", "builtin:comics", "--size", "256", "--ngf", "256", "--ndf", "256",
                 "--batch", "4", "--steps", "1", "--dry-run", "--cache-gb", "0.01", "--json"});
  CHECK_MESSAGE(plan.code == 0, plan.err);
  CHECK(plan.peak_mib < 600);  // the weights alone would take 700, and as much again for each moment
}

TEST_CASE("hostile: a replay whose weights are not its config's is refused before memory is taken") {
  Shell shell;
  const fs::path replay = shell.folder / "wide.safetensors";
  Unsealed file(fs::path(source_dir) / "tests/data/replay/dcgan32-none.safetensors");
  std::string& config = file.metadata.at("config");
  for (size_t at; (at = config.find("ngf = ")) != config.npos;)
    config.replace(at, config.find('\n', at) - at, "ng_f = 4096");
  for (size_t at; (at = config.find("ng_f")) != config.npos;) config.replace(at, 4, "ngf");
  file.write(replay);
  const auto result = shell.gan({"train", "dcgan", "--replay", replay.string(), "--out", "run"});
  CHECK_MESSAGE(result.code == 3, result.code << ": " << result.err);
  CHECK(contains(result.err, "init.G."));
  CHECK(result.peak_mib < 600);
  CHECK_FALSE(fs::exists(shell.folder / "run"));
}

TEST_CASE("hostile: a state that is not finite is neither saved nor loaded") {
  Shell shell;
  const fs::path checkpoint = small_run(shell);
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{"--lr", "1e39"}, {"--weight-decay", "1e38"}}) {
    std::vector<std::string> arguments = {"train",
                                          "dcgan",
                                          "builtin:comics",
                                          "--size",
                                          "32",
                                          "--ngf",
                                          "4",
                                          "--ndf",
                                          "4",
                                          "--batch",
                                          "4",
                                          "--device",
                                          "cpu",
                                          "--steps",
                                          "5",
                                          "--save-every",
                                          "1",
                                          "--log-every",
                                          "0",
                                          "--sample-every",
                                          "0",
                                          "--out",
                                          "wild",
                                          "--force"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = shell.gan(arguments);
    CHECK_MESSAGE(result.code == 6, more[0] << ": " << result.err);
    CHECK(contains(result.err, "not finite"));
    const fs::path kept = shell.folder / "wild/checkpoints";
    for (const auto& entry : fs::directory_iterator(kept))  // what was saved before is sound
      if (entry.path().extension() == ".safetensors")
        CHECK(shell.gan({"sample", entry.path().string(), "--out", "x.png", "--quiet"}).code == 0);
  }

  const auto good = shell.gan({"sample", "run", "--out", "x.png"});
  CHECK(good.code == 0);
  for (const char* name : {"G.main.0.weight", "G.main.1.running_var"}) {
    Unsealed file(checkpoint);
    const auto before = file;
    file.set(name, std::numeric_limits<float>::quiet_NaN());
    file.write(checkpoint);
    const auto result = shell.gan({"sample", "run", "--out", "bad.png"});
    CHECK_MESSAGE(result.code == 3, std::string(name) << ": " << result.err);
    CHECK(contains(result.err, name));
    CHECK_FALSE(fs::exists(shell.folder / "bad.png"));
    before.write(checkpoint);
  }
  Unsealed file(checkpoint);
  file.set("adam.D.v.main.0.weight", std::numeric_limits<float>::infinity());
  file.write(checkpoint);
  const auto resumed = shell.gan({"train", "--resume", "run", "--steps", "3"});
  CHECK(resumed.code == 3);
  CHECK(contains(resumed.err, "adam.D.v.main.0.weight"));
  CHECK(shell.gan({"sample", "run", "--out", "x.png"}).code == 0);  // which needs no moments
}

TEST_CASE("hostile: every kind of buffer is looked at before a save") {
  TemporaryFolder folder;
  DeviceContext context(Device::cpu);
  Config c = preset("pix2pix");
  c.size = 32, put(c, "netG", "unet_32"), put(c, "n-layers-d", 2), put(c, "ngf", 2), put(c, "ndf", 2),
  c.batch = 1, put(c, "pool", 2), c.ema = 0.9;
  const auto model = build_model(context, c);
  const Network& g = model->network("G");
  const Network& d = model->network("D");
  CHECK(first_not_finite(*model) == "");
  const struct {
    Tensor buffer;
    const char* name;  // how the tensor begins that must be named
  } buffers[] = {{g.parameters.weights(), "G."},
                 {g.parameters.statistics(), "G."},
                 {g.parameters.average(), "ema.G."},
                 {g.adam.m, "adam.G.m."},
                 {d.adam.v, "adam.D.v."},
                 {model->state().at(0).second, "state.pool"}};
  for (const auto& [buffer, name] : buffers) {
    const auto before = buffer.host_f32();
    auto changed = before;
    changed.at(1) = -std::numeric_limits<float>::infinity();
    buffer.upload(std::span<const float>(changed));
    CHECK(first_not_finite(*model).starts_with(name));
    CHECK_THROWS_WITH_AS(save_checkpoint(Folder(folder.path()), "x.safetensors", *model, {}),
                         doctest::Contains(name), Error);
    CHECK(folder.files() == 0);
    buffer.upload(std::span<const float>(before));
  }
  save_checkpoint(Folder(folder.path()), "x.safetensors", *model, {});
  CHECK(folder.files() == 1);
}

TEST_CASE("hostile: settings that nest without end, or are no TOML, never reach the parser") {
  const auto refused = [](const std::string& text, const std::string& why) {
    CHECK_THROWS_WITH_AS(check_toml_text(text, "a.toml"), doctest::Contains(why.c_str()), Error);
  };
  const auto times = [](int count, const std::string& text) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  refused("split = " + times(100'000, "["), "line 1 column 17: brackets");
  refused("a = 1\nsplit = " + times(100'000, "{a="), "line 2");
  refused(times(100'000, "a.") + "a = 1", "dotted");
  refused("[" + times(100'000, "a.") + "a]", "dotted");
  refused("x = {" + times(100'000, "a.") + "a = 1}", "dotted");
  refused("[`]", "0x60");
  refused("\xC3\x9B = 1", "0xc3");
  refused(std::string("lr = 1\0", 7), "0x00");
  refused(times(1 << 20, "#\n"), "at most");
  for (const char* fine :
       {"", "lr = 2e-4 # [[[[[[[[[[[[[[\n", "data = \"[[[[[[[[[[[[[[ \\\" . . . . . . . . . .\"\nlr = 1.5\n",
        "data = 'C:\\[[[[[[[[[[[['", "data = \"\"\"\n[[[[[[[[[[[\n\"\"\"\n", "data = \"Ünïcode `\"",
        "split = [0.9, 0.1]\nlr=1.0\nb=1.0\nc=1.0\nd=1.0\ne=1.0\nf=1.0\ng=1.0\nh=1.0\ni=1.0\nj=1.0"})
    CHECK_NOTHROW(check_toml_text(fine, "a.toml"));

  Shell shell;
  std::ofstream(shell.folder / "deep.toml") << "lr = " << times(200'000, "[");
  const auto result =
      shell.gan({"train", "dcgan", "builtin:comics", "--config", "deep.toml", "--steps", "1"});
  CHECK_MESSAGE(result.code == 2, result.code << result.err);
  CHECK(contains(result.err, "deep.toml line 1"));
}

}  // namespace gan::tests
