// Shapes, tensors and their copies to and from the host.
#include "engine/tensor/tensor.h"

#include <atomic>

#include "kernels/shared/bf16.h"

namespace gan {

Shape::Shape(std::initializer_list<int64_t> values) {
  GAN_CHECK(values.size() <= dims.size(), "at most four dimensions");
  for (int64_t v : values) {
    GAN_CHECK(v >= 0);
    dims[rank++] = v;
  }
}

int64_t Shape::count() const {
  int64_t n = 1;
  for (int i = 0; i < rank; ++i) n *= dims[i];
  return n;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int i = 0; i < shape.rank; ++i) text += (i ? "," : "") + std::to_string(shape.dims[i]);
  return text + ")";
}

Tensor::Tensor(DeviceContext& context, Shape shape, DType dtype)
    : storage_(std::make_shared<Storage>(context, size_t(shape.count()) * size_of(dtype))),
      shape_(shape),
      dtype_(dtype) {}

Tensor Tensor::from_bytes(DeviceContext& context, Shape shape, std::vector<uint8_t> bytes) {
  GAN_CHECK(shape.count() == int64_t(bytes.size()), "{} bytes for {}", bytes.size(), to_string(shape));
  if (!context.memory_is_host() || bytes.empty()) {
    Tensor t(context, shape, DType::u8);
    t.upload_bytes(bytes.data(), bytes.size());
    return t;
  }
  context.refuse_while_recording("an upload");
  Tensor t;
  t.storage_ = std::make_shared<Storage>(context, std::move(bytes));
  t.shape_ = shape;
  t.dtype_ = DType::u8;
  return t;
}

Tensor Tensor::view(int64_t offset, Shape shape) const {
  GAN_CHECK(offset >= 0 && offset + shape.count() <= count(), "{} elements from {} of {}", shape.count(),
            offset, to_string(shape_));
  Tensor t = detach();
  t.offset_ += size_t(offset) * size_of(dtype_);
  t.shape_ = shape;
  return t;
}

Tensor Tensor::detach() const {
  Tensor t = *this;
  t.gradient_.reset();
  return t;
}

void Tensor::changed() const {
  static std::atomic<uint64_t> next{1};
  context().count_on_host([storage = storage_] { storage->version = next++; });
}

namespace {
template <class T>
std::vector<T> download(const Tensor& t) {
  const size_t n = size_t(t.count());
  std::vector<T> result(n);
  DeviceContext& context = t.context();
  if (context.planning() || n == 0) return result;
  context.refuse_while_recording("a download");
  auto fetch = [&](auto element) {
    std::vector<decltype(element)> raw(n);
    context.kernels().memory.download(raw.data(), t.data(), t.bytes(), context.stream());
    for (size_t i = 0; i < n; ++i) {
      if constexpr (std::is_same_v<decltype(element), bf16>) result[i] = T(to_float(raw[i]));
      else result[i] = T(raw[i]);
    }
  };
  switch (t.dtype()) {
    case DType::f32: fetch(float{}); break;
    case DType::f64: fetch(double{}); break;
    case DType::bf16: fetch(bf16{}); break;
    case DType::i32: fetch(int32_t{}); break;
    case DType::u8: fetch(uint8_t{}); break;
  }
  return result;
}

template <class T>
void upload_values(const Tensor& t, std::span<const T> values) {
  GAN_CHECK(int64_t(values.size()) == t.count(), "{} values for a tensor {}", values.size(),
            to_string(t.shape()));
  const size_t n = values.size();
  auto send = [&](auto element) {
    std::vector<decltype(element)> raw(n);
    for (size_t i = 0; i < n; ++i) {
      if constexpr (std::is_same_v<decltype(element), bf16>) raw[i] = from_float<bf16>(float(values[i]));
      else raw[i] = decltype(element)(values[i]);
    }
    t.upload_bytes(raw.data(), n * sizeof(element));
  };
  switch (t.dtype()) {
    case DType::f32: send(float{}); break;
    case DType::f64: send(double{}); break;
    case DType::bf16: send(bf16{}); break;
    default: GAN_CHECK(false, "upload of numbers into a {} tensor", name_of(t.dtype()));
  }
}
}  // namespace

std::vector<double> Tensor::host() const { return download<double>(*this); }
std::vector<float> Tensor::host_f32() const { return download<float>(*this); }
void Tensor::upload(std::span<const float> values) const { upload_values(*this, values); }
void Tensor::upload(std::span<const double> values) const { upload_values(*this, values); }

void Tensor::upload_bytes(const void* data_bytes, size_t size) const {
  GAN_CHECK(size == bytes(), "{} bytes for a tensor of {}", size, bytes());
  DeviceContext& c = context();
  c.refuse_while_recording("an upload");
  if (!c.planning() && size) c.kernels().memory.upload(data(), data_bytes, size, c.stream());
}

void Tensor::zero() const { context().zero(data(), bytes()); }

}  // namespace gan
