// Settings: every value that is taken and every one that is refused, TOML there and back, and the
// environment.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engine/config.h"
#include "kernels/check.h"

namespace gan::tests {
namespace {

// The message of the gan::Error that `f` throws, and its code.
struct Refusal {
  int code = 0;
  std::string message;
};
template <class F>
Refusal refusal_of(F&& f) {
  try {
    f();
  } catch (const Error& error) { return {int(error.code()), error.what()}; }
  return {};
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

void read(Config& config, const std::string& text) {
  Origins origins;
  read_toml_text(config, text, "a.toml", origins, "config a.toml");
}

// A value of the member's type that is not the default and that every choice and range allows.
void make_unusual(const Field& field, std::string& value) {
  const std::string choices = field.values;
  if (choices.empty()) value = "a \"b\" \\ c\n\t\x01\x7f é 漢";
  else value = choices.substr(choices.rfind('|') + 1);
}
void make_unusual(const Field&, bool& value) { value = !value; }
void make_unusual(const Field& field, int& value) {
  value = std::string(field.name) == "channels" ? 1 : value == 3 ? 2 : 3;
}
void make_unusual(const Field&, int64_t& value) { value = 123456789012345; }
void make_unusual(const Field&, double& value) { value = 0.1 + 0.2 + 1e-17; }  // 0.30000000000000004
void make_unusual(const Field&, std::vector<double>& value) { value = {1.0 / 3, 2.0 / 3}; }

struct Environment {  // sets a variable for one scope
  std::string name;
  Environment(const char* name, const char* value) : name(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name.c_str()); }
};

}  // namespace

TEST_CASE("config: every field survives TOML, one at a time") {
  Config names;
  int fields = 0;
  for_each_field(names, [&](const Field& walked, auto&) {
    Config config;
    for_each_field(config, [&](const Field& field, auto& value) {
      if (std::string(field.name) == walked.name) make_unusual(field, value);
    });
    CAPTURE(std::string(walked.name));
    if (std::string(walked.values) != "fp32")  // a single choice cannot become another
      CHECK(get_field(config, walked.name) != get_field(Config{}, walked.name));
    const std::string text = to_toml(config);
    const bool saved = std::string(walked.where).find('x') == std::string::npos;
    Config back;
    read(back, text);
    for_each_field(back, [&](const Field& field, auto&) {
      const bool same = get_field(back, field.name) == get_field(config, field.name);
      CHECK(same == (saved || std::string(field.name) != walked.name));
    });
    ++fields;
  });
  CHECK(fields >= 45);
  CHECK(to_toml(Config{}).starts_with(kConfigFileMark));
}

TEST_CASE("config: what is about one call is not saved, and checkpoints leave out what changes no result") {
  Config config;
  for (const char* key : {"out", "resume", "dry_run", "force", "quiet", "verbose", "json"})
    CHECK_FALSE(contains(to_toml(config), "\n" + std::string(key) + " ="));
  config.workers = 7;
  CHECK(contains(to_toml(config), "\nworkers = 7\n"));
  CHECK(to_toml(config, true) == to_toml(Config{}, true));
  config.lr = 0.1;
  CHECK(to_toml(config, true) != to_toml(Config{}, true));
}

TEST_CASE("config: a name that is not UTF-8 cannot be saved and says so") {
  Config config;
  config.data = "caf\xe9";
  const auto refusal = refusal_of([&] { to_toml(config); });
  CHECK(refusal.code == 2);
  CHECK(contains(refusal.message, "UTF-8"));
}

TEST_CASE("config: texts that set a field") {
  Config config;
  set_field(config, "lr", "1e-3", "--lr");
  CHECK(config.lr == 1e-3);
  set_field(config, "lr", "1", "--lr");
  CHECK(config.lr == 1.0);
  set_field(config, "steps", "+12", "--steps");
  CHECK(config.steps == 12);
  for (const char* yes : {"true", "1", "yes", "on"}) {
    config.no_augment = false;
    set_field(config, "no-augment", yes, "GAN_NO_AUGMENT");
    CHECK(config.no_augment);
  }
  set_field(config, "no-augment", "false", "GAN_NO_AUGMENT");
  CHECK_FALSE(config.no_augment);
  set_field(config, "split", "0.9,0.1", "--split");
  CHECK(config.split == std::vector<double>{0.9, 0.1});
  set_field(config, "split", "", "--split");
  CHECK(config.split.empty());
  set_field(config, "channels", "1", "--channels");
  CHECK(config.channels == 1);
  CHECK(get_field(config, "channels") == "1");
}

TEST_CASE("config: every kind of bad value is refused with field, value and what is allowed") {
  struct Bad {
    const char *field, *value, *allowed;
  };
  const Bad bads[] = {{"batch", "x", "a whole number from 1 to 65536"},
                      {"batch", "", "a whole number"},
                      {"batch", "4.5", "a whole number"},
                      {"batch", "0", "from 1 to 65536"},
                      {"batch", "65537", "from 1 to 65536"},
                      {"batch", "99999999999999999999", "a whole number"},
                      {"steps", "-1", "0 or more"},
                      {"lr", "fast", "a number, 0 or more"},
                      {"lr", "-0.1", "0 or more"},
                      {"lr", "nan", "a number"},
                      {"lr", "inf", "a number"},
                      {"lr", "1e999", "a number"},
                      {"beta1", "1", "from 0 to 0.9999"},
                      {"no-augment", "maybe", "true or false"},
                      {"norm", "layer2", "one of batch, instance, none"},
                      {"channels", "2", "one of 1, 3"},
                      {"split", "0.9;0.1", "numbers separated by commas"},
                      {"split", "0.9,", "numbers separated by commas"},
                      {"split", "1.5", "from 0 to 1"}};
  for (const auto& bad : bads) {
    CAPTURE(bad.field);
    CAPTURE(bad.value);
    Config config;
    const auto refusal =
        refusal_of([&] { set_field(config, bad.field, bad.value, std::string("--") + bad.field); });
    CHECK(refusal.code == 2);
    CHECK(contains(refusal.message, std::string("--") + bad.field));
    CHECK(contains(refusal.message, std::string("\"") + bad.value + "\""));
    CHECK(contains(refusal.message, bad.allowed));
    CHECK(get_field(config, bad.field) == get_field(Config{}, bad.field));  // nothing was set
  }
  Config config;
  CHECK(contains(refusal_of([&] { set_field(config, "norm", "bach", "--norm"); }).message, "\"batch\""));
}

TEST_CASE("config: unknown names get the nearest, in the dress of their source") {
  Config config;
  CHECK(contains(refusal_of([&] { set_field(config, "lr-polcy", "x", "--lr-polcy"); }).message,
                 "--lr-policy?"));
  const auto toml = refusal_of([&] { read(config, "batch = 3\n\nlr_polcy = \"step\"\n"); });
  CHECK(toml.code == 2);
  CHECK(contains(toml.message, "a.toml line 3: lr_polcy"));
  CHECK(contains(toml.message, "lr_policy?"));
  CHECK(nearest_field("btach") == "batch");
  CHECK(nearest_field("log_evry") == "log-every");
  CHECK(nearest_field("completely-different-word") == "");
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("same", "same") == 0);
}

TEST_CASE("config: TOML values of every type, and integers for real numbers") {
  Config config;
  Origins origins;
  read_toml_text(config,
                 "# a comment\nmodel = \"dcgan\"\nlr = 1\nsplit = [0.8, 0.2]\nno_shuffle = true\nsteps = 7\n"
                 "weight_decay = 1e-4\n",
                 "a.toml", origins, "config a.toml");
  CHECK(config.model == "dcgan");
  CHECK(config.lr == 1.0);
  CHECK(config.split == std::vector<double>{0.8, 0.2});
  CHECK(config.no_shuffle);
  CHECK(config.steps == 7);
  CHECK(config.weight_decay == 1e-4);
  CHECK(origins.at("lr") == "config a.toml");
  CHECK(origins.count("batch") == 0);
}

TEST_CASE("config: TOML of the wrong type or form names file, line and key") {
  struct Bad {
    const char *text, *part;
  };
  const Bad bads[] = {
      {"\nlr = \"fast\"", "line 2: lr: lr must be a number, 0 or more, not a text"},
      {"batch = 4.0", "line 1: batch: batch must be a whole number from 1 to 65536, not a real number"},
      {"no_augment = 1", "must be true or false, not a whole number"},
      {"model = 3", "model must be a text, not a whole number"},
      {"split = [\"a\"]", "not a list"},
      {"lr = [1]", "not a list"},
      {"[learning]\nlr = 1", "settings are flat"},
      {"learning.lr = 1", "settings are flat"},
      {"lr = 2020-01-01", "not a date or time"},
      {"lr = 1\nlr = 2", "line 2"},
      {"lr = ", "line 1"},
      {"\xff = 1", "line 1"},
      {"batch = 0", "line 1: batch: batch must be a whole number from 1 to 65536, not \"0\""}};
  for (const auto& bad : bads) {
    CAPTURE(bad.text);
    Config config;
    const auto refusal = refusal_of([&] { read(config, bad.text); });
    CHECK(refusal.code == 2);
    CHECK(contains(refusal.message, "a.toml"));
    CAPTURE(refusal.message);
    CHECK(contains(refusal.message, bad.part));
  }
  const auto missing = refusal_of([&] {
    Config config;
    Origins origins;
    read_toml_file(config, "/nowhere/settings.toml", origins);
  });
  CHECK(missing.code == 3);
  CHECK(contains(missing.message, "/nowhere/settings.toml"));
}

TEST_CASE("config: the environment sets fields, leaves other names alone and names the nearest") {
  Config config;
  Origins origins;
  {
    Environment lr("GAN_LR", "0.5"), policy("GAN_LR_POLICY", "step"), kernel("GAN_KERNEL", "gemm=naive"),
        empty("GAN_STEPS", ""), test("GAN_TEST_ANYTHING", "1"), other("GANG_MEMBERS", "3");
    read_environment(config, origins);
  }
  CHECK(config.lr == 0.5);
  CHECK(config.lr_policy == "step");
  CHECK(config.steps == 0);
  CHECK(origins.at("lr") == "environment GAN_LR");
  CHECK(origins.count("steps") == 0);
  Environment wrong("GAN_BTACH", "4");
  const auto refusal = refusal_of([&] { read_environment(config, origins); });
  CHECK(refusal.code == 2);
  CHECK(contains(refusal.message, "GAN_BATCH?"));
}

}  // namespace gan::tests
