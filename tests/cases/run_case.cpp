// Guarded buffers and the conversion between host numbers and a device's types; see run_case.h.
#include "tests/cases/run_case.h"

namespace gan::tests {

namespace {

template <class T>
void put(Bytes& bytes, size_t index, T value) {
  std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
}

template <class T>
T get(const Bytes& bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

Bytes encode(const Values& values, DType type) {
  Bytes bytes(values.size() * size_of(type));
  for (size_t i = 0; i < values.size(); ++i) switch (type) {
      case DType::f32: put(bytes, i, float(values[i])); break;
      case DType::bf16: put(bytes, i, to_bf16(float(values[i]))); break;
      case DType::f64: put(bytes, i, values[i]); break;
      case DType::i32: put(bytes, i, int32_t(values[i])); break;
      case DType::u8: put(bytes, i, uint8_t(values[i])); break;
    }
  return bytes;
}

Values decode(const Bytes& bytes, DType type) {
  Values values(bytes.size() / size_of(type));
  for (size_t i = 0; i < values.size(); ++i) switch (type) {
      case DType::f32: values[i] = get<float>(bytes, i); break;
      case DType::bf16: values[i] = to_float(get<bf16>(bytes, i)); break;
      case DType::f64: values[i] = get<double>(bytes, i); break;
      case DType::i32: values[i] = get<int32_t>(bytes, i); break;
      case DType::u8: values[i] = get<uint8_t>(bytes, i); break;
    }
  return values;
}

GuardedBlock::GuardedBlock(const Memory& memory, Stream& stream, const Bytes& initial)
    : memory_(memory),
      stream_(stream),
      bytes_(initial.size()),
      block_(memory.allocate(bytes_ + 2 * guard_bytes)) {
  Bytes all(bytes_ + 2 * guard_bytes);
  for (size_t i = 0; i < guard_bytes; ++i) {
    const size_t behind = guard_bytes + bytes_ + i;
    all[i] = guard_byte(i), all[behind] = guard_byte(behind);
  }
  if (bytes_ > 0) std::memcpy(all.data() + guard_bytes, initial.data(), bytes_);
  memory_.upload(block_, all.data(), all.size(), stream_);
}

Bytes GuardedBlock::read(bool& intact) const {
  Bytes all(bytes_ + 2 * guard_bytes);
  memory_.download(all.data(), block_, all.size(), stream_);
  for (size_t i = 0; i < guard_bytes; ++i) {
    const size_t behind = guard_bytes + bytes_ + i;
    if (all[i] != guard_byte(i) || all[behind] != guard_byte(behind)) intact = false;
  }
  return Bytes(all.begin() + guard_bytes, all.end() - guard_bytes);
}

// Stream asks for scratch memory through plain function pointers, so the one block in use lies here.
namespace {
const Memory* scratch_memory = nullptr;
Stream scratch_stream;
std::unique_ptr<GuardedBlock> scratch_block;

void* allocate_scratch(size_t bytes) {
  scratch_block = std::make_unique<GuardedBlock>(*scratch_memory, scratch_stream, Bytes(bytes, 0xFF));
  return scratch_block->address();
}
void release_scratch_block(void*) noexcept { scratch_block.reset(); }
}  // namespace

TestStream::TestStream(const Backend& backend) {
  scratch_memory = &backend.memory;
  stream_.scratch_allocate = allocate_scratch;
  stream_.scratch_release = release_scratch_block;
  stream_.scratch_exact = true;
}

bool TestStream::scratch_intact() const {
  bool intact = true;
  if (scratch_block) scratch_block->read(intact);
  return intact;
}

const Backend* usable_backend(Device device, std::string& reason) {
  const Backend* backend = find_backend(device);
  if (!backend) {
    reason = fmt::format("this build has no device {}", name_of(device));
    return nullptr;
  }
  try {
    backend->memory.release(backend->memory.allocate(1));
  } catch (const Error& error) {
    reason = error.what();
    return nullptr;
  }
  return backend;
}

std::vector<Device> usable(std::initializer_list<Device> devices) {
  std::vector<Device> all;
  std::string reason;
  for (Device device : devices)
    if (usable_backend(device, reason)) all.push_back(device);
  return all;
}

}  // namespace gan::tests
