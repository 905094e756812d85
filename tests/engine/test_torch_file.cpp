// Files of torch.save: what is read of them, and that nothing in one is executed, believed or read beyond its end. The
// files in tests/data/published are PyTorch's own (tests/peers/make_published.py).
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "engine/files/weights_file.h"
#include "kernels/contract/check.h"
#include "tests/support/folder.h"
#include "tests/support/places.h"
#include "tests/support/text.h"

namespace gan::tests {
namespace {

fs::path published(const std::string& name) { return fs::path(source_dir) / "tests/data/published" / name; }

// The message with which a file of these bytes is refused; empty when it is read.
std::string refusal(const fs::path& path) {
  try {
    const auto file = WeightsFile::open(path);
    for (const auto& tensor : file.tensors())
      if (tensor.type != FileType::i64) file.read_f32(tensor.name);
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == Exit::bad_data);
    return error.what();
  }
}
std::string refusal_of(const std::string& bytes) {
  const TemporaryFolder folder;
  write_text(folder / "file.pth", bytes);
  return refusal(folder / "file.pth");
}

// The pickles of a file of the earlier kind, with `dict` as what it holds and no storages.
std::string legacy(const std::string& dict) {
  const std::string begin("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  return begin + std::string("\x80\x02M\xe9\x03.\x80\x02}.", 10) + dict + std::string("\x80\x02].", 4);
}
std::string pickled(const std::string& instructions) { return legacy("\x80\x02" + instructions + "."); }

// A tensor `w` of a FloatStorage of 4 numbers: offset, sizes and strides as instructions.
std::string one_tensor(const std::string& offset, const std::string& sizes, const std::string& strides,
                       const std::string& elements = "K\x04") {
  const std::string storage =
      "(U\x07storagectorch\nFloatStorage\nU\x01"
      "0U\x03"
      "cpu" +
      elements + "NtQ";
  const std::string dict = "}U\x01wctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + sizes +
                           strides +
                           "\x89"
                           "ccollections\nOrderedDict\n)RtRs";
  std::string file = legacy("\x80\x02" + dict + ".");
  file.erase(file.size() - 4);  // the list of storages with one
  file += std::string(
      "\x80\x02]U\x01"
      "0a.",
      8);
  const int64_t count = 4;
  const float values[4] = {1, 2, 3, 4};
  file.append(reinterpret_cast<const char*>(&count), sizeof count);
  return file.append(reinterpret_cast<const char*>(values), sizeof values);
}

}  // namespace

TEST_CASE("torch file: types, views and wrappers come out as PyTorch has them, from both kinds of files") {
  const auto expected = SafetensorsFile::open(published("strided.safetensors"));
  for (const char* name : {"strided.pth", "strided_legacy.pth"}) {
    CAPTURE(std::string(name));
    const auto file = WeightsFile::open(published(name));
    CHECK(file.tensors().size() == 10);  // those of params_ema alone
    for (const auto& entry : expected.tensors()) {
      CAPTURE(entry.name);
      const auto values = entry.name == "count" ? std::vector<float>{7} : file.read_f32(entry.name);
      CHECK(values == expected.read_f32(entry.name));
    }
    CHECK(file.find("turned")->shape == std::vector<int64_t>{6, 4});
    CHECK(file.find("bfloat")->type == FileType::bf16);
    CHECK(file.find("double")->type == FileType::f64);
    CHECK(file.find("none")->shape == std::vector<int64_t>{0, 5});
    CHECK(file.read_f32("none").empty());
    CHECK(file.find("one")->shape.empty());
    CHECK(file.find("count")->type == FileType::i64);
    CHECK_THROWS_WITH_AS(file.read_f32("count"), doctest::Contains("I64"), Error);
  }
  CHECK(WeightsFile::open(published("pix2pix.pth")).has("model.model.0.weight"));  // saved as module.model...
  CHECK(WeightsFile::open(published("cyclegan.pth")).has("model.1.weight"));       // under state_dict
  CHECK(bare_weight_name("_orig_mod.module.main.0.weight") == "main.0.weight");
}

TEST_CASE("torch file: what asks for more than weights is refused with its name, and nothing is executed") {
  const TemporaryFolder folder;
  const std::string victim = (folder / "victim").string();
  const std::string command = "touch " + victim;
  const std::string attack =
      "cposix\nsystem\nX" + std::string(1, char(command.size())) + std::string(3, '\0') + command + "\x85R";
  CHECK(contains(refusal_of(pickled(attack)), "Python's `posix.system`"));
  CHECK(!fs::exists(victim));
  CHECK(contains(refusal_of(pickled("c__builtin__\neval\n)R")), "`__builtin__.eval`"));
  const std::string by_text("\x8c\x02os\x8c\x06system\x93)R", 16);  // protocol 4's way of naming
  CHECK(contains(refusal_of(pickled(by_text)), "`os.system`"));
  // A class of somebody's is a model, not an attack.
  const std::string model = refusal_of(pickled(std::string("cmodels.networks\nUnetGenerator\n)\x81}b")));
  CHECK(contains(model, "class `models.networks.UnetGenerator`"));
  CHECK(contains(model, "state_dict()"));
  CHECK(contains(refusal_of(pickled("]")), "not a dict of weights"));
  CHECK(contains(refusal_of(pickled("}U\x01"
                                    "aK\x01s")),
                 "no tensors"));
  CHECK(contains(refusal_of("\x80\x02}."), "neither a file of PyTorch"));  // shorter than any
  CHECK(contains(refusal_of("\x80\x02}.         "), "not one of torch.save"));
  CHECK(contains(refusal_of("<!DOCTYPE html><html>Sign in</html>"), "a web page"));
  CHECK(contains(refusal_of("version https://git-lfs.github.com/spec/v1\noid sha256:0"), "git-lfs"));
  CHECK(contains(refusal_of("hello, hello, hello"), "neither a file of PyTorch"));
}

TEST_CASE("torch file: every size, offset and stride is compared with the storage") {
  const auto tensor = [](const std::string& offset, const std::string& sizes, const std::string& strides) {
    return refusal_of(one_tensor(offset, sizes, strides));
  };
  const std::string o0("K\0", 2), o1("K\1", 2), four("K\4\x85", 3), one("K\1\x85", 3), two("K\2\x85", 3);
  CHECK(tensor(o0, four, one) == "");
  CHECK(contains(tensor(o1, four, one), "offset 1 does not fit its storage of 4"));
  CHECK(contains(tensor(o0, four, two), "strides (2)"));
  CHECK(tensor(o1, two, two) == "");  // elements 1 and 3
  CHECK(contains(tensor("J\xff\xff\xff\xff", one, one), "does not fit"));
  CHECK(contains(tensor(o0, "J\xff\xff\xff\xff\x85", one), "no number from 0 on"));
  CHECK(contains(tensor(o0, four, std::string("K\1K\1\x86", 5)), "1 dimensions and 2 strides"));
  // 2^40 copies of one element, and a product that overflows 64 bits.
  const std::string large("\x8a\x06\0\0\0\0\0\x01\x85", 9), none("K\0\x85", 3);
  CHECK(contains(tensor(o0, large, none), "does not fit"));
  const std::string huge("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f", 10);
  CHECK(contains(tensor(o0, huge + huge + "\x86", std::string("K\0K\0\x86", 5)), "does not fit"));
  CHECK(tensor(huge, std::string("K\0\x85", 3), one) == "");  // no elements are nowhere
  CHECK(contains(refusal_of(one_tensor(o0, four, one, huge)), "larger than the file"));
  CHECK(contains(refusal_of(one_tensor(o0, four, one, std::string("K\5", 2))),
                 "4 elements, its tensors need 5"));
  std::string cut = one_tensor(o0, four, one);
  cut.resize(cut.size() - 1);
  CHECK(contains(refusal_of(cut), "cut in storage `0`"));
}

TEST_CASE("torch file: pickles that are wrong in themselves are refused with the place") {
  const auto wrong = [](const std::string& instructions) { return refusal_of(pickled(instructions)); };
  CHECK(contains(wrong("0"), "lacks a value"));
  CHECK(contains(wrong("t"), "lacks a mark"));
  CHECK(contains(wrong("(0"), "lacks a value"));  // nothing above the mark
  CHECK(contains(wrong("h\x07"), "value 7, which it has not stored"));
  CHECK(contains(wrong("}]a"), "no list"));
  CHECK(contains(wrong("}K\x01s"), "lacks a value"));
  CHECK(contains(wrong("}(K\x01u"), "a key without a value"));
  CHECK(contains(wrong("X\xff\xff\xff\x7f"), "a text of 2147483647 bytes"));
  CHECK(contains(wrong("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"), "a text of 18446744073709551615 bytes"));
  CHECK(contains(wrong("i"), "instruction 0x69"));
  CHECK(contains(wrong("}}"), "2 values at its end"));
  CHECK(contains(wrong("c" + std::string(300, 'a')), "a name of more than 256 bytes"));
  CHECK(contains(wrong("K\x01)R"), "a call of what is no function"));
  CHECK(contains(refusal_of(legacy(std::string("\x80\x09}.", 4))), "protocol 9"));
  CHECK(contains(wrong(std::string(1'000'001, ']') + "0"), "more than 1000000 values"));
  // Nesting and circles of any depth do no harm.
  std::string deep = "]";
  for (int i = 0; i < 400'000; ++i) deep += "\x85";
  CHECK(contains(wrong(deep), "not a dict"));
  CHECK(contains(wrong("}q\x01U\x01"
                       "ah\x01s"),
                 "no tensors"));  // a dict in itself
}

TEST_CASE("torch file: archives that are cut, compressed, TorchScript or have a wrong checksum") {
  const std::string good = text_of(published("strided.pth"));
  REQUIRE(good.size() > 1000);
  CHECK(contains(refusal_of(good.substr(0, good.size() - 1)), "download it again"));
  CHECK(contains(refusal_of(good.substr(0, 500)), "download it again"));
  const size_t at = good.find(std::string("\x00\x00\x80\x3f\x00\x00\x00\x40", 8));  // 1 and 2 of `base`
  REQUIRE(at != good.npos);
  std::string changed = good;
  changed[at + 2] = '\x70';
  CHECK(contains(refusal_of(changed), "has the checksum"));
  // Names of equal length, so that nothing moves.
  const auto renamed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    for (size_t found = text.find(from); found != text.npos; found = text.find(from, found + to.size()))
      text.replace(found, from.size(), to);
    return text;
  };
  CHECK(contains(refusal_of(renamed("data.pkl", "dota.pkl")), "no data.pkl"));
  CHECK(contains(refusal_of(renamed("strided/data.pkl", "strided/dota.pth")),
                 "an archive around `strided/dota.pth`"));
  CHECK(contains(refusal(published("torchscript.pt")), "a TorchScript archive"));
  CHECK(contains(refusal(published("whole_model.pth")), "class `torch.nn.modules.linear.Linear`"));
  const size_t method = good.rfind(std::string("PK\x01\x02", 4)) + 10;
  std::string compressed = good;
  compressed[method] = 8;
  CHECK(contains(refusal_of(compressed), "is compressed or encrypted"));
  std::string encrypted = good;
  encrypted[method - 2] = 1;
  CHECK(contains(refusal_of(encrypted), "is compressed or encrypted"));
}

namespace {

template <class T>
void add_at(std::string& bytes, size_t at, T more) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  value = T(value + more);
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

// The archive with the sizes of its last member in a zip64 field, as those of more than 4 GiB have them; `claimed`
// is added to both.
std::string with_large_sizes(std::string bytes, uint64_t claimed) {
  const size_t entry = bytes.rfind(std::string("PK\x01\x02", 4));
  uint32_t size = 0;
  uint16_t name_bytes = 0, extra_bytes = 0;
  std::memcpy(&size, bytes.data() + entry + 24, sizeof size);
  std::memcpy(&name_bytes, bytes.data() + entry + 28, sizeof name_bytes);
  std::memcpy(&extra_bytes, bytes.data() + entry + 30, sizeof extra_bytes);
  const uint64_t sizes[2] = {size + claimed, size + claimed};
  std::string field("\x01\0\x10\0", 4);
  field.append(reinterpret_cast<const char*>(sizes), sizeof sizes);
  bytes.replace(entry + 20, 8, 8, '\xff');
  add_at<uint16_t>(bytes, entry + 30, uint16_t(field.size()));
  bytes.insert(entry + 46 + name_bytes + extra_bytes, field);
  // The directory is longer, and its end lies further behind.
  add_at<uint64_t>(bytes, bytes.rfind(std::string("PK\x06\x06", 4)) + 40, field.size());
  add_at<uint64_t>(bytes, bytes.rfind(std::string("PK\x06\x07", 4)) + 8, field.size());
  add_at<uint32_t>(bytes, bytes.size() - 22 + 12, uint32_t(field.size()));
  return bytes;
}

}  // namespace

TEST_CASE("torch file: sizes of more than 32 bits are read, and believed as little as others") {
  const std::string good = text_of(published("strided.pth"));
  CHECK(refusal_of(with_large_sizes(good, 0)) == "");
  CHECK(contains(refusal_of(with_large_sizes(good, 1ull << 40)), "reaches over its end"));
  CHECK(contains(refusal_of(with_large_sizes(good, ~0ull - 100)), "reaches over its end"));
}

// Bytes of valid files changed, cut, doubled and swapped: each result is read or refused as bad data. That it is read
// within its bounds is what the build with sanitizers sees.
TEST_CASE("torch file: ten thousand damaged files are refused or read, never more") {
  const TemporaryFolder folder;
  const fs::path path = folder / "damaged.pth";
  std::mt19937 random(20);
  int refused = 0, read = 0;
  for (const char* name : {"strided.pth", "strided_legacy.pth", "cyclegan.pth"}) {
    const std::string good = text_of(published(name));
    // The legacy file's pickles are its first part; the archive's descriptions lie at both ends.
    for (int round = 0; round < 3400; ++round) {
      std::string bytes = good;
      const auto place = [&] {
        const size_t at = random() % bytes.size();
        const bool early = random() % 2 == 0;
        return early ? at % std::min<size_t>(bytes.size(), 1200) : at;
      };
      const unsigned changes = 1 + random() % 4;
      for (unsigned i = 0; i < changes; ++i) {
        const unsigned kind = random() % 8;
        if (kind < 4) bytes[place()] = char(random());
        else if (kind == 4) bytes[place()] = char(0xff);
        else if (kind == 5) bytes[place()] ^= char(1 << random() % 8);
        else if (kind == 6) bytes.resize(std::max<size_t>(1, place()));
        else bytes.insert(place(), bytes.substr(place(), random() % 64));
      }
      write_text(path, bytes);
      (refusal(path).empty() ? read : refused)++;
    }
  }
  CHECK(refused > 5000);
  CHECK(read > 500);
  CHECK(refused + read == 3 * 3400);
}

}  // namespace gan::tests
