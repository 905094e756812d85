// What a matrix product or convolution does with a finished sum before it leaves the registers: add the bias,
// apply the activation, add to or replace what is there, convert to the storage type. Doing it here saves a
// pass over the output.
#pragma once
#include "kernels/gpu/family.cuh"

namespace gan::GAN_GPU {

// Whether rows of `row_length` elements that start at `address` can all be read `neighbours` at a time.
template <class T>
bool aligned_rows(const T* address, int row_length, int neighbours) {
  return reinterpret_cast<uintptr_t>(address) % (neighbours * sizeof(T)) == 0 && row_length % neighbours == 0;
}

// out[index] = act(sum + bias[column]), or the same added to out[index].
template <class T>
struct Epilogue {
  T* out;
  const float* bias;  // one per column, or null
  Activation act;
  float negative_slope;  // act(x) = x > 0 ? x : negative_slope * x, where is_piecewise_linear()
  bool add;
  bool vector;  // rows of out may be written four columns at a time

  __device__ float finish(float sum, int column) const {
    return activate(act, bias ? sum + bias[column] : sum);
  }
  __device__ void store(int64_t index, int column, float sum) const {
    put(out, index, finish(sum, column), add);
  }

  // For kernels that keep many sums per thread: tanh and sigmoid, repeated for each of them, would be most of
  // the kernel's code. Kernels that store this way leave those two to a second launch.
  bool is_piecewise_linear() const { return act.kind != Act::tanh && act.kind != Act::sigmoid; }
  __device__ float finish_linear(float sum, int column) const {
    const float x = bias ? sum + bias[column] : sum;
    return x <= 0 ? (negative_slope == 0 ? 0.0f : negative_slope * x) : x;  // NaN stays NaN
  }
  __device__ void store_linear(int64_t index, int column, float sum) const {
    put(out, index, finish_linear(sum, column), add);
  }
  __device__ void store_four_linear(int64_t index, int column, Four sums) const {
    Four old = {};
    if (add) old = load_four(out + index);
#pragma unroll
    for (int i = 0; i < 4; ++i) sums.v[i] = old.v[i] + finish_linear(sums.v[i], column + i);
    store_four(out + index, sums);
  }
};

// The epilogue of an operation whose output rows have `columns` elements. Throws when the output is not a T
// or the bias is not float32.
template <class T>
Epilogue<T> make_epilogue(const Out& out, const In& bias, const Activation& act, int columns) {
  T* address = out.as<T>();
  GAN_CHECK(reinterpret_cast<uintptr_t>(address) % sizeof(T) == 0, "misaligned output");
  const float negative_slope = act.kind == Act::relu         ? 0.0f
                               : act.kind == Act::leaky_relu ? float(act.slope)
                                                             : 1.0f;
  return {address,        bias.as<float>(),    act,
          negative_slope, out.acc == Acc::add, aligned_rows(address, columns, 4)};
}

// The epilogue as a pass of its own, for sums that a library has already put into (or added to) the output.
template <class T>
__global__ void finish_kernel(int64_t count, int columns, Epilogue<T> epilogue) {
  for (int64_t i = first_element(); i < count; i += element_step())
    epilogue.out[i] =
        from_float<T>(epilogue.finish(to_float(epilogue.out[i]), static_cast<int>(i % columns)));
}
template <class T>
void finish_in_place(const Epilogue<T>& epilogue, int64_t count, int columns, Stream& stream) {
  if (!epilogue.bias && epilogue.act.kind == Act::none) return;
  launch(finish_kernel<T>, grid_for(count), block_threads, 0, handle_of(stream), count, columns, epilogue);
}

}  // namespace gan::GAN_GPU
