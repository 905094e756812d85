// Top to bottom: what a pickle may name, tensors and storages in it, the state dict, the two kinds of files, reading.
#include "engine/files/torch_file.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "engine/files/pickle.h"
#include "kernels/contract/check.h"

namespace gan {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMostDims = 8, kMostTensors = 100'000;
// The number that the row of pickles begins with, 0x1950a86a20f9469cfc6c, little-endian.
constexpr std::string_view kLegacyMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kLegacyVersion = 1001;

struct StorageType {
  const char* global;
  FileType type;
};
constexpr StorageType kStorageTypes[] = {
    {"torch.FloatStorage", FileType::f32}, {"torch.DoubleStorage", FileType::f64},
    {"torch.HalfStorage", FileType::f16},  {"torch.BFloat16Storage", FileType::bf16},
    {"torch.LongStorage", FileType::i64},  {"torch.IntStorage", FileType::i32},
    {"torch.ShortStorage", FileType::i16}, {"torch.CharStorage", FileType::i8},
    {"torch.ByteStorage", FileType::u8},   {"torch.BoolStorage", FileType::boolean},
};
// What else state dicts name. `torch.Size` and types of elements stand beside the weights in some checkpoints.
constexpr const char* kAllowedGlobals[] = {"collections.OrderedDict",
                                           "torch._utils._rebuild_tensor",
                                           "torch._utils._rebuild_tensor_v2",
                                           "torch._utils._rebuild_parameter",
                                           "torch.Size",
                                           "torch.device",
                                           "torch.float32",
                                           "torch.float64",
                                           "torch.float16",
                                           "torch.bfloat16",
                                           "torch.int64",
                                           "torch.int32",
                                           "torch.uint8",
                                           "torch.bool"};

// Where a dict that is not a state dict itself has one, the most wanted first: averaged weights before others.
constexpr const char* kUsualPlaces[] = {
    "params_ema", "g_ema",     "model_ema", "state_dict", "model_state_dict",
    "params",     "generator", "netG",      "model",      "net"};

// A module of Python's own, which no network's class lies in.
bool is_of_python(const std::string& module) {
  static const std::set<std::string> modules = {
      "builtins", "__builtin__", "os",       "posix",      "nt",        "sys",     "subprocess",
      "shutil",   "socket",      "runpy",    "importlib",  "ctypes",    "pty",     "code",
      "pickle",   "_pickle",     "io",       "operator",   "functools", "codecs",  "_codecs",
      "types",    "marshal",     "tempfile", "webbrowser", "pathlib",   "copyreg", "copy_reg"};
  return modules.contains(module.substr(0, module.find('.')));
}

}  // namespace

class StateDictReader {
 public:
  StateDictReader(TorchFile& to, bool legacy) : to_(to), legacy_(legacy) {}

  template <class... A>
  [[noreturn]] void refuse(fmt::format_string<A...> f, A&&... a) const {
    fail(Exit::bad_data, "{}: {}", to_.path().string(), fmt::format(f, std::forward<A>(a)...));
  }

  void check_global(const std::string& name) const {
    for (const char* allowed : kAllowedGlobals)
      if (name == allowed) return;
    for (const StorageType& type : kStorageTypes)
      if (name == type.global) return;
    const std::string module = name.substr(0, name.rfind('.'));
    if (is_of_python(module))
      refuse("refused: it asks for Python's `{}`, which weights do not need; nothing of it was executed",
             name);
    refuse(
        "holds an object of Python's class `{}`, so it is a whole pickled model or training state, not weights alone: "
        "load it with the program that made it, and torch.save(model.state_dict(), FILE) there",
        name);
  }

  void read_state_dict(const Pickle& pickle) {
    // In a row of pickles the sizes of all storages tell where each lies, also of those that are no weights.
    if (legacy_)
      for (const PickleValue& value : pickle.values()) {
        if (!value.is(Kind::persistent)) continue;
        TorchFile::Tensor none;
        add_storage(none, *value.items[0]);
      }
    add_dict(state_dict_of(pickle.value()), "");
    if (to_.tensors_.empty()) refuse("holds no tensors");
    check_total();
  }

 private:
  const PickleValue& state_dict_of(const PickleValue& root) {
    if (!root.is(Kind::dict))
      refuse("holds {}, not a dict of weights: torch.save(model.state_dict(), FILE) makes one",
             is_tensor(root) ? "one tensor" : "something else");
    if (has_tensors(root)) return root;
    for (const char* place : kUsualPlaces) {
      const PickleValue* inside = root.find(place);
      if (inside && has_tensors(*inside)) return *inside;
    }
    return root;
  }
  static bool is_tensor(const PickleValue& value) {
    return value.is(Kind::call) && value.items[0]->text.starts_with("torch._utils._rebuild_");
  }
  static bool has_tensors(const PickleValue& value) {
    if (!value.is(Kind::dict)) return false;
    for (size_t i = 1; i < value.items.size(); i += 2)
      if (is_tensor(*value.items[i])) return true;
    return false;
  }

  // The tensors in a dict, and in the dicts in it. An optimiser's are under numbers, not names, and stay out.
  void add_dict(const PickleValue& dict, const std::string& prefix, int depth = 0) {
    constexpr int deepest = 3;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PickleValue &key = *dict.items[i], &value = *dict.items[i + 1];
      if (!key.is(Kind::text)) continue;
      const std::string name = prefix + key.text;
      if (is_tensor(value)) add_tensor(bare_weight_name(name), value);
      else if (value.is(Kind::dict) && depth < deepest) add_dict(value, name + ".", depth + 1);
    }
  }

  void add_tensor(const std::string& name, const PickleValue& call) {
    if (name.empty() || name.size() > 1024) refuse("a tensor with a name of {} bytes", name.size());
    if (!names_.insert(name).second) refuse("two tensors `{}`", name);
    if (names_.size() > kMostTensors) refuse("more than {} tensors", kMostTensors);
    const PickleValue* value = &call;
    // A parameter is a tensor in a wrapper.
    if (value->items[0]->text == "torch._utils._rebuild_parameter") {
      if (value->items[1]->items.empty() || !is_tensor(*value->items[1]->items[0]))
        refuse("damaged: tensor `{}` is a parameter of nothing", name);
      value = value->items[1]->items[0];
    }
    const auto& arguments = value->items[1]->items;
    if (value->items[0]->text == "torch._utils._rebuild_parameter" || arguments.size() < 4 ||
        !arguments[0]->is(Kind::persistent) || !arguments[1]->is(Kind::integer) ||
        !arguments[2]->is(Kind::tuple) || !arguments[3]->is(Kind::tuple))
      refuse("damaged: tensor `{}` is not described as PyTorch does it", name);
    TorchFile::Tensor tensor;
    tensor.name = name;
    tensor.offset = arguments[1]->integer;
    tensor.shape = numbers(name, *arguments[2]);
    tensor.strides = numbers(name, *arguments[3]);
    if (tensor.shape.size() != tensor.strides.size())
      refuse("damaged: tensor `{}` has {} dimensions and {} strides", name, tensor.shape.size(),
             tensor.strides.size());
    // Where there is one element, the way to the next is of no meaning.
    for (size_t i = 0; i < tensor.shape.size(); ++i)
      if (tensor.shape[i] == 1) tensor.strides[i] = 0;
    add_storage(tensor, *arguments[0]->items[0]);
    check_place(tensor);
    to_.tensors_.push_back(std::move(tensor));
  }

  std::vector<int64_t> numbers(const std::string& name, const PickleValue& tuple) const {
    if (tuple.items.size() > kMostDims)
      refuse("damaged: tensor `{}` has {} dimensions", name, tuple.items.size());
    std::vector<int64_t> result;
    for (const PickleValue* item : tuple.items) {
      if (!item->is(Kind::integer) || item->integer < 0)
        refuse("damaged: tensor `{}` has a size or stride that is no number from 0 on", name);
      result.push_back(item->integer);
    }
    return result;
  }

  // id: ("storage", type, key, device, elements), and in a row of pickles the view of another storage or None.
  void add_storage(TorchFile::Tensor& tensor, const PickleValue& id) {
    const auto& parts = id.items;
    const bool whole = id.is(Kind::tuple) && parts.size() >= 5 && parts[0]->is(Kind::text) &&
                       parts[0]->text == "storage" && parts[1]->is(Kind::global) &&
                       parts[2]->is(Kind::text) && parts[4]->is(Kind::integer) && parts[4]->integer >= 0;
    if (!whole)
      refuse("damaged: the storage of tensor `{}` is not described as PyTorch does it", tensor.name);
    const auto* type = std::find_if(std::begin(kStorageTypes), std::end(kStorageTypes),
                                    [&](const StorageType& t) { return parts[1]->text == t.global; });
    if (type == std::end(kStorageTypes))
      refuse("tensor `{}` is of the type {}, which no weights have", tensor.name, parts[1]->text);
    tensor.type = type->type;
    tensor.storage = parts[2]->text;
    if (parts.size() > 5 && parts[5]->is(Kind::tuple)) {
      const auto& view = parts[5]->items;  // key, offset, elements
      if (view.size() != 3 || !view[1]->is(Kind::integer) || view[1]->integer < 0 ||
          __builtin_add_overflow(tensor.offset, view[1]->integer, &tensor.offset))
        refuse("damaged: tensor `{}` views a storage at no possible place", tensor.name);
    }
    const auto [found, added] = to_.storages_.try_emplace(tensor.storage);
    TorchFile::Storage& storage = found->second;
    if (!added) {
      if (storage.type != tensor.type || storage.elements != parts[4]->integer)
        refuse("damaged: storage `{}` is described in two ways", tensor.storage);
      return;
    }
    storage.type = tensor.type;
    storage.elements = parts[4]->integer;
    int64_t bytes = 0;
    if (__builtin_mul_overflow(storage.elements, bits_of(storage.type) / 8, &bytes) ||
        uint64_t(bytes) > to_.file().size())
      refuse("damaged: storage `{}` of {} elements is larger than the file of {} bytes", tensor.storage,
             storage.elements, to_.file().size());
    if (legacy_) return;  // its place follows later
    storage.member = to_.zip_->find(folder + "data/" + tensor.storage);
    if (!storage.member) refuse("damaged: storage `{}` is not in the file", tensor.storage);
    if (storage.member->bytes != uint64_t(bytes))
      refuse("damaged: storage `{}` has {} bytes, its tensors need {}", tensor.storage, storage.member->bytes,
             bytes);
    storage.begin = storage.member->begin;
  }

  // Its last element must lie in the storage, and it may not have more elements than that: what is read of the file
  // bounds what memory it takes.
  void check_place(const TorchFile::Tensor& tensor) const {
    const TorchFile::Storage& storage = to_.storages_.at(tensor.storage);
    int64_t elements = 1, last = tensor.offset;
    bool possible = tensor.offset >= 0;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      int64_t reach = 0;
      const int64_t steps = std::max<int64_t>(tensor.shape[i], 1) - 1;
      possible = possible && !__builtin_mul_overflow(elements, tensor.shape[i], &elements) &&
                 !__builtin_mul_overflow(steps, tensor.strides[i], &reach) &&
                 !__builtin_add_overflow(last, reach, &last);
    }
    if (!possible || elements > storage.elements || (elements > 0 && last >= storage.elements))
      refuse(
          "damaged: tensor `{}` of shape ({}), strides ({}) and offset {} does not fit its storage of {} elements",
          tensor.name, fmt::join(tensor.shape, ","), fmt::join(tensor.strides, ","), tensor.offset,
          storage.elements);
  }

  // Weights may be tied, but not all of them to each other.
  void check_total() const {
    uint64_t total = 0;
    for (const TorchFile::Tensor& tensor : to_.tensors_) {
      int64_t elements = 1;
      for (const int64_t extent : tensor.shape) elements *= extent;
      total += uint64_t(elements) * uint64_t(bits_of(tensor.type) / 8);
      if (total / 4 > to_.file().size())
        refuse("damaged: its tensors take more than four times the file's {} bytes", to_.file().size());
    }
  }

 public:
  std::string folder;  // of the archive's members: "archive/"

 private:
  TorchFile& to_;
  bool legacy_;
  std::set<std::string> names_;
};

namespace {

// What somebody may have got instead of weights, by the file's first bytes; empty: nothing known.
std::string what_it_is(const InputFile& file) {
  std::string begin(size_t(std::min<uint64_t>(file.size(), 64)), '\0');
  file.read(0, std::as_writable_bytes(std::span(begin)));
  if (begin.starts_with("version https://git-lfs"))
    return "a pointer of git-lfs instead of the file; `git lfs pull` fetches it";
  const size_t first = begin.find_first_not_of(" \r\n\t");
  if (first != begin.npos && begin[first] == '<') return "a web page instead of the file; download it again";
  return "";
}

}  // namespace

std::string bare_weight_name(std::string name) {
  for (bool changed = true; changed;) {
    changed = false;
    for (const std::string_view prefix : {"module.", "_orig_mod."})
      if (name.starts_with(prefix)) {
        name.erase(0, prefix.size());
        changed = true;
      }
  }
  return name;
}

const std::filesystem::path& TorchFile::path() const { return file().path(); }

bool TorchFile::looks_like_one(const InputFile& file) {
  uint8_t begin[9] = {};
  if (file.size() < sizeof begin) return false;
  file.read(0, std::as_writable_bytes(std::span(begin)));
  const bool zip = begin[0] == 'P' && begin[1] == 'K' && begin[2] == 3 && begin[3] == 4;
  // A safetensors file begins with the length of its header, which may be any number, and the header's {.
  return zip || (begin[0] == 0x80 && begin[1] >= 2 && begin[1] <= 5 && begin[8] != '{');
}

TorchFile TorchFile::open(InputFile opened) {
  if (!looks_like_one(opened)) {
    const std::string what = what_it_is(opened);
    fail(Exit::bad_data, "{}: {}", opened.path().string(),
         what.empty() ? "no weights: neither a file of PyTorch (.pth, .pt) nor a safetensors file" : what);
  }
  uint8_t first = 0;
  opened.read(0, std::as_writable_bytes(std::span(&first, 1)));
  if (first == 'P') {
    TorchFile file(ZipFile::open(std::move(opened)));
    const ZipMember* pickle = nullptr;
    StateDictReader reader(file, false);
    for (const ZipMember& member : file.zip_->members()) {
      const bool outermost = std::count(member.name.begin(), member.name.end(), '/') == 1;
      if (outermost && member.name.ends_with("/data.pkl")) pickle = &member;
      if (outermost && member.name.ends_with("/constants.pkl"))
        reader.refuse(
            "a TorchScript archive, which holds a program beside its weights and is not read here; in Python, "
            "torch.save(torch.jit.load(FILE).state_dict(), OTHER) makes a file of weights of it");
    }
    if (!pickle) {
      for (const ZipMember& member : file.zip_->members())
        if (member.name.ends_with(".pth") || member.name.ends_with(".pt"))
          reader.refuse("an archive around `{}`; unpack it", member.name);
      reader.refuse("a zip archive, but not one of torch.save: there is no data.pkl in it");
    }
    for (const ZipMember& member : file.zip_->members())
      if (!member.stored)
        reader.refuse("`{}` in it is compressed or encrypted, which torch.save never does", member.name);
    reader.folder = pickle->name.substr(0, pickle->name.find('/') + 1);
    if (const ZipMember* order = file.zip_->find(reader.folder + "byteorder")) {
      std::string word(size_t(std::min<uint64_t>(order->bytes, 16)), '\0');
      file.file().read(order->begin, std::as_writable_bytes(std::span(word)));
      if (word != "little") reader.refuse("its numbers are big-endian (byteorder `{}`)", word);
    }
    if (pickle->bytes > Pickle::kMostBytes) reader.refuse("a description of {} bytes", pickle->bytes);
    file.zip_->verify(*pickle);
    const Pickle read = Pickle::read(file.file(), pickle->begin, pickle->end(),
                                     [&](const std::string& name) { reader.check_global(name); });
    reader.read_state_dict(read);
    return file;
  }

  TorchFile file(std::move(opened));
  StateDictReader reader(file, true);
  const InputFile& in = file.file();
  uint64_t at = 0;
  const auto next = [&] {
    Pickle pickle =
        Pickle::read(in, at, in.size(), [&](const std::string& name) { reader.check_global(name); });
    at = pickle.end();
    return pickle;
  };
  const Pickle magic = next();
  if (!magic.value().is(Kind::big) || magic.value().text != kLegacyMagic)
    reader.refuse("a pickle, but not one of torch.save");
  const Pickle version = next(), machine = next();
  if (!version.value().is(Kind::integer) || version.value().integer != kLegacyVersion)
    reader.refuse("a version of torch.save's format that is not known");
  const PickleValue* little = machine.value().find("little_endian");
  if (little && little->integer == 0) reader.refuse("its numbers are big-endian");
  const Pickle dict = next(), keys = next();
  reader.read_state_dict(dict);

  // Behind the pickles: the storages in this order, each its number of elements and then the elements.
  if (!keys.value().is(Kind::list)) reader.refuse("damaged: there is no list of its storages");
  size_t found = 0;
  for (const PickleValue* key : keys.value().items) {
    const auto storage = file.storages_.find(key->text);
    if (storage == file.storages_.end() || storage->second.begin != 0)
      reader.refuse("damaged: storage `{}` is of no tensor", key->text);
    int64_t elements = -1;
    if (in.size() - at < sizeof elements) reader.refuse("it is cut: storage `{}` is missing", key->text);
    in.read(at, std::as_writable_bytes(std::span(&elements, 1)));
    at += sizeof elements;
    TorchFile::Storage& to = storage->second;
    const uint64_t bytes = uint64_t(to.elements) * uint64_t(bits_of(to.type) / 8);
    if (elements != to.elements)
      reader.refuse("damaged: storage `{}` has {} elements, its tensors need {}", key->text, elements,
                    to.elements);
    if (bytes > in.size() - at) reader.refuse("it is cut in storage `{}`; download it again", key->text);
    to.begin = at;
    at += bytes;
    ++found;
  }
  if (found < file.storages_.size())
    reader.refuse("damaged: {} storages are missing", file.storages_.size() - found);
  return file;
}

// ---- reading ----

namespace {

// The elements of a tensor in row-major order, out of the bytes from its first to its last one.
template <class T, class Convert>
std::vector<float> gather(const TorchFile::Tensor& tensor, int64_t elements,
                          const std::vector<std::byte>& bytes, Convert convert) {
  std::vector<float> values(static_cast<size_t>(elements));
  std::vector<int64_t> index(tensor.shape.size(), 0);
  int64_t at = 0;
  for (float& value : values) {
    T stored;
    std::memcpy(&stored, bytes.data() + size_t(at) * sizeof(T), sizeof(T));
    value = float(convert(stored));
    for (size_t d = index.size(); d-- > 0;) {
      at += tensor.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      at -= tensor.strides[d] * tensor.shape[d];
      index[d] = 0;
    }
  }
  return values;
}

}  // namespace

std::vector<float> TorchFile::read_f32(const Tensor& tensor) const {
  const Storage& storage = storages_.at(tensor.storage);
  if (storage.member && !storage.verified) zip_->verify(*storage.member);
  storage.verified = true;
  int64_t elements = 1, reach = 0;
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    elements *= tensor.shape[i];
    reach += (std::max<int64_t>(tensor.shape[i], 1) - 1) * tensor.strides[i];
  }
  if (elements == 0) return {};
  const uint64_t size = uint64_t(bits_of(tensor.type)) / 8;
  std::vector<std::byte> bytes(size_t(uint64_t(reach + 1) * size));
  file().read(storage.begin + uint64_t(tensor.offset) * size, bytes);
  const auto same = [](auto value) { return value; };
  switch (tensor.type) {
    case FileType::f32: return gather<float>(tensor, elements, bytes, same);
    case FileType::f64: return gather<double>(tensor, elements, bytes, same);
    case FileType::f16: return gather<uint16_t>(tensor, elements, bytes, float_from_f16);
    case FileType::bf16: return gather<uint16_t>(tensor, elements, bytes, float_from_bf16);
    default:
      fail(Exit::bad_data, "{}: tensor `{}` is of type {}; F32, F64, F16 or BF16 is needed", path().string(),
           tensor.name, name_of(tensor.type));
  }
}

}  // namespace gan
