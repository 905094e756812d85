// Settings as TOML, which come in files and in the headers of checkpoints.
#include <string>

#include "engine/settings/config.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const std::string text(reinterpret_cast<const char*>(bytes), count);
  return gan::fuzz::judged([&] {
    gan::Config config;
    gan::Origins origins;
    gan::read_toml_text(config, text, "input", origins, "input", gan::Foreign::refuse);
    // What was read can be written, and reads as the same.
    const std::string written = gan::to_toml(config);
    gan::Config again;
    gan::read_toml_text(again, written, "written", origins, "written", gan::Foreign::refuse);
    GAN_CHECK(gan::to_toml(again) == written, "{}", written);
  });
}
