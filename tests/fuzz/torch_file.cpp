// Files of torch.save: zip archives, and rows of pickles.
#include "engine/files/torch_file.h"

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const gan::fuzz::InputAsFile input(bytes, count);
  return gan::fuzz::judged([&] {
    const auto file = gan::TorchFile::open(gan::InputFile(input.path()));
    for (const auto& tensor : file.tensors()) {
      size_t wanted = 1;
      for (const int64_t side : tensor.shape) wanted *= size_t(side);
      // A stride of 0 makes a tensor of any size out of a few bytes; a gigabyte of them shows nothing more.
      if (wanted > (1 << 20)) continue;
      GAN_CHECK(file.read_f32(tensor).size() == wanted, "{}", tensor.name);
    }
  });
}
