// Safetensors files: the header, then every tensor of moderate size, as it lies there and as numbers.
#include "engine/files/safetensors.h"

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const gan::fuzz::InputAsFile input(bytes, count);
  return gan::fuzz::judged([&] {
    const auto file = gan::SafetensorsFile::open(input.path());
    file.verify_hashes();
    for (const auto& entry : file.tensors())
      GAN_CHECK(file.read(entry).size() == entry.bytes(), "{}", entry.name);
    for (const auto& entry : file.tensors()) (void)file.read_f32(entry.name);
  });
}
