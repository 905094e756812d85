// Settings: every value that is taken and every one that is refused, TOML there and back, and the
// environment.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "engine/settings/config.h"
#include "engine/settings/words.h"
#include "kernels/contract/check.h"
#include "models/networks/translation_networks.h"
#include "models/tasks/zoo.h"

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
  read_toml_text(config, text, "a.toml", origins, "config a.toml", Foreign::refuse);
}

// A value that is not the default and that every choice and range allows.
std::string unusual(const AnySetting& setting) {
  const std::string values = setting.info().values, name = setting.name();
  switch (setting.kind()) {
    case 'b': return setting.text() == "true" ? "false" : "true";
    case 'i': return name == "channels" ? "1" : setting.text() == "3" ? "2" : "3";
    case 'r': return "0.30000000000000004";
    case 'l': return "0.3333333333333333,0.6666666666666666";
    default: return values.empty() ? "a \"b\" \\ c\n\t\x01\x7f é 漢" : values.substr(values.rfind('|') + 1);
  }
}

struct Environment {  // sets a variable for one scope
  std::string name;
  Environment(const char* name, const char* value) : name(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name.c_str()); }
};

}  // namespace

TEST_CASE("config: every setting of every model survives TOML, one at a time") {
  int settings = 0;
  const Config untouched = config_of_all_models();
  for (const SettingGroup* group : untouched.groups())
    for (const AnySetting* walked : group->settings()) {
      const std::string name = walked->name();
      CAPTURE(name);
      Config config = config_of_all_models();
      set_setting(config, name, unusual(*walked), "a test");
      if (std::string(walked->info().values) != "fp32" &&
          name != "gan-loss")  // the last choice may be the default
        CHECK(get_setting(config, name) != get_setting(untouched, name));
      CHECK(get_setting(untouched, name) == walked->default_text());  // copies are independent
      Config back = config_of_all_models();
      read(back, to_toml(config));
      for (const SettingGroup* other_group : untouched.groups())
        for (const AnySetting* other : other_group->settings()) {
          const bool lost = other == walked && walked->is(kOneCall);
          const bool same = get_setting(back, other->name()) == get_setting(config, other->name());
          CHECK(same == !lost);
        }
      ++settings;
    }
  CHECK(settings >= 45);
  CHECK(to_toml(untouched).starts_with(kConfigFileMark));
}

TEST_CASE("config: a setting stands in one group, and every model's groups have one heading each") {
  std::set<std::string> names, headings;
  const Config all = config_of_all_models();
  for (const SettingGroup* group : all.groups()) {
    CHECK(headings.insert(group->heading()).second);
    for (const AnySetting* setting : group->settings())
      CHECK_MESSAGE(names.insert(setting->name()).second, setting->name());
  }
}

TEST_CASE("config: another model's setting is refused with its owners where somebody typed it") {
  Config dcgan = preset_config("dcgan");
  const auto flag = refusal_of([&] { set_setting(dcgan, "netG", "resnet_9", "--netG"); });
  CHECK(flag.code == 2);
  CHECK(contains(flag.message, "--netG: netG belongs to pix2pix, colorize"));
  CHECK(contains(flag.message, "dcgan has no such setting"));
  CHECK(contains(refusal_of([&] { read(dcgan, "netG = \"unet\"\n"); }).message, "belongs to"));

  // The environment is for all programs, and earlier versions wrote every setting there was.
  Origins origins;
  {
    const Environment foreign("GAN_NETG", "unet"), own("GAN_NGF", "8");
    read_environment(dcgan, origins);
  }
  CHECK(origins.passed_over == std::vector<std::string>{"GAN_NETG"});
  CHECK(dcgan.get<ConvSettings>().ngf == 8);
  origins = {};
  read_toml_text(dcgan, "netG = \"unet\"\nngf = 16\n", "old.toml", origins, "old", Foreign::pass_over);
  CHECK(origins.passed_over == std::vector<std::string>{"netG"});
  CHECK(dcgan.get<ConvSettings>().ngf == 16);
  CHECK(refusal_of([&] {
          read_toml_text(dcgan, "netQ = 1\n", "old.toml", origins, "old", Foreign::pass_over);
        }).code == 2);  // which no model has
}

TEST_CASE("config: the environment knows the names that have capitals") {
  Config config = preset_config("pix2pix");
  Origins origins;
  const Environment net("GAN_NETG", "resnet_6");
  read_environment(config, origins);
  CHECK(config.get<TranslationSettings>().netG == "resnet_6");
}

TEST_CASE("config: what is about one call is not saved, and checkpoints leave out what changes no result") {
  Config config = config_of_all_models();
  for (const char* key : {"out", "resume", "dry_run", "force", "quiet", "verbose", "json"})
    CHECK_FALSE(contains(to_toml(config), "\n" + std::string(key) + " ="));
  config.workers = 7;
  CHECK(contains(to_toml(config), "\nworkers = 7\n"));
  CHECK(to_toml(config, true) == to_toml(config_of_all_models(), true));
  config.lr = 0.1;
  CHECK(to_toml(config, true) != to_toml(config_of_all_models(), true));
}

TEST_CASE("config: a name that is not UTF-8 cannot be saved and says so") {
  Config config = config_of_all_models();
  config.data = "caf\xe9";
  const auto refusal = refusal_of([&] { to_toml(config); });
  CHECK(refusal.code == 2);
  CHECK(contains(refusal.message, "UTF-8"));
}

TEST_CASE("config: texts that set a field") {
  Config config = config_of_all_models();
  set_setting(config, "lr", "1e-3", "--lr");
  CHECK(config.lr == 1e-3);
  set_setting(config, "lr", "1", "--lr");
  CHECK(config.lr == 1.0);
  set_setting(config, "steps", "+12", "--steps");
  CHECK(config.steps == 12);
  for (const char* yes : {"true", "1", "yes", "on"}) {
    config.no_augment = false;
    set_setting(config, "no-augment", yes, "GAN_NO_AUGMENT");
    CHECK(config.no_augment);
  }
  set_setting(config, "no-augment", "false", "GAN_NO_AUGMENT");
  CHECK_FALSE(config.no_augment);
  set_setting(config, "split", "0.9,0.1", "--split");
  CHECK(*config.split == std::vector<double>{0.9, 0.1});
  set_setting(config, "split", "", "--split");
  CHECK(config.split->empty());
  set_setting(config, "channels", "1", "--channels");
  CHECK(config.channels == 1);
  CHECK(get_setting(config, "channels") == "1");
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
    Config config = config_of_all_models();
    const auto refusal =
        refusal_of([&] { set_setting(config, bad.field, bad.value, std::string("--") + bad.field); });
    CHECK(refusal.code == 2);
    CHECK(contains(refusal.message, std::string("--") + bad.field));
    CHECK(contains(refusal.message, std::string("\"") + bad.value + "\""));
    CHECK(contains(refusal.message, bad.allowed));
    CHECK(get_setting(config, bad.field) ==
          get_setting(config_of_all_models(), bad.field));  // nothing was set
  }
  Config config = config_of_all_models();
  CHECK(contains(refusal_of([&] { set_setting(config, "norm", "bach", "--norm"); }).message, "\"batch\""));
}

TEST_CASE("config: unknown names get the nearest, in the dress of their source") {
  Config config = config_of_all_models();
  CHECK(contains(refusal_of([&] { set_setting(config, "lr-polcy", "x", "--lr-polcy"); }).message,
                 "--lr-policy?"));
  const auto toml = refusal_of([&] { read(config, "batch = 3\n\nlr_polcy = \"step\"\n"); });
  CHECK(toml.code == 2);
  CHECK(contains(toml.message, "a.toml line 3: lr_polcy"));
  CHECK(contains(toml.message, "lr_policy?"));
  CHECK(nearest_setting(config, "btach") == "batch");
  CHECK(nearest_setting(config, "log_evry") == "log-every");
  CHECK(nearest_setting(config, "completely-different-word") == "");
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("same", "same") == 0);
}

TEST_CASE("config: TOML values of every type, and integers for real numbers") {
  Config config = config_of_all_models();
  Origins origins;
  read_toml_text(config,
                 "# a comment\nmodel = \"dcgan\"\nlr = 1\nsplit = [0.8, 0.2]\nno_shuffle = true\nsteps = 7\n"
                 "weight_decay = 1e-4\n",
                 "a.toml", origins, "config a.toml", Foreign::refuse);
  CHECK(config.model == "dcgan");
  CHECK(config.lr == 1.0);
  CHECK(*config.split == std::vector<double>{0.8, 0.2});
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
    Config config = config_of_all_models();
    const auto refusal = refusal_of([&] { read(config, bad.text); });
    CHECK(refusal.code == 2);
    CHECK(contains(refusal.message, "a.toml"));
    CAPTURE(refusal.message);
    CHECK(contains(refusal.message, bad.part));
  }
  const auto missing = refusal_of([&] {
    Config config = config_of_all_models();
    Origins origins;
    read_toml_file(config, "/nowhere/settings.toml", origins);
  });
  CHECK(missing.code == 3);
  CHECK(contains(missing.message, "/nowhere/settings.toml"));
}

TEST_CASE("config: the environment sets fields, leaves other names alone and names the nearest") {
  Config config = config_of_all_models();
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
