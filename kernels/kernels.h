// The contract between the engine and the devices: what can be computed, on which buffers, with which sizes.
//
// Each operation is one argument struct (contract/<family>.h): sizes, inputs (In), outputs (Out), and the
// list of its ports, which says each buffer's shape, kind and use (contract/ports.h). Each family of
// operations is one table of Op<Args>; each device (cuda, simt, cpu, ref) fills the tables it can, and an
// operation it lacks has no variants and is one clear error when called. Nothing here knows a Tensor, the
// tape or a file.
//
// Conventions that hold for every entry
//   layout    activations (N,H,W,C), convolution weights (O,kh,kw,I), matrices row-major, all dense
//   In, Out   a pointer on the device with its data type; a null In is "not there", a null Out is "not wanted"
//   Out.acc   Acc::set overwrites, Acc::add adds to what is there (the tape decides, the kernel obeys)
//   dtypes    activations and weights float32 or bfloat16; statistics, losses, optimiser state float32;
//             device `ref` computes everything in float64 on float64 buffers
//   results   do not depend on thread timing: no float atomics, fixed reduction trees
#pragma once
#include "kernels/contract/attention.h"
#include "kernels/contract/conv.h"
#include "kernels/contract/gemm.h"
#include "kernels/contract/image.h"
#include "kernels/contract/loss.h"
#include "kernels/contract/norm.h"
#include "kernels/contract/optim.h"
#include "kernels/contract/pointwise.h"
#include "kernels/contract/resample.h"
#include "kernels/contract/rng.h"

namespace gan {

enum class Device : uint8_t { cpu, cuda, simt, ref };
const char* name_of(Device device);

// Raw memory of a device. Addresses are at least 128-byte aligned; `simt` gives exact-size blocks so that an
// address sanitizer sees every access outside of a buffer.
struct Memory {
  void* (*allocate)(size_t bytes);  // throws Error(out_of_memory)
  void (*release)(void* address) noexcept;
  void (*upload)(void* device, const void* host, size_t bytes, Stream& stream);
  void (*download)(void* host, const void* device, size_t bytes, Stream& stream);  // waits for the stream
  void (*copy)(void* to, const void* from, size_t bytes, Stream& stream);
  void (*zero)(void* to, size_t bytes, Stream& stream);
  void (*synchronize)(Stream& stream);
  bool pooled;  // worth caching released blocks (not on simt)
};

// Queues and graphs of a device that works while the host goes on: cuda, and simt where a Stream has a queue. All null:
// what the device is asked has been done when the call returns.
struct Queues {
  void* (*create)();                      // for Stream::handle; two queues do not wait for each other
  void (*destroy)(void* queue) noexcept;  // when it has done what it was asked
  // What `after` is asked from here on begins when all has been done that `before` has been asked up to here.
  void (*order)(Stream& before, Stream& after);
  // Between the two nothing is done: it becomes a graph, which run_graph() asks for as a whole, each time with the same
  // arguments and addresses. What waits for the device, and copies from and to the host, cannot be part of one.
  void (*begin_capture)(Stream& stream);
  void* (*end_capture)(Stream& stream);
  void (*run_graph)(void* graph, Stream& stream);
  void (*release_graph)(void* graph) noexcept;
  // A moment: when the queue comes to where it is now. seconds_between() waits for both.
  void* (*stamp)(Stream& stream);
  double (*seconds_between)(void* earlier, void* later);
  void (*release_stamp)(void* stamp) noexcept;
  // A named range of the calling thread, which profilers of the device show; null where there are none.
  void (*begin_range)(const char* name);
  void (*end_range)();
};

// Everything a device can do.
struct Backend {
  Device device;
  Memory memory;
  Queues queues;
  PointwiseTable pointwise;
  GemmTable gemm;
  ConvTable conv;
  NormTable norm;
  AttentionTable attention;
  LossTable loss;
  OptimTable optim;
  ResampleTable resample;
  ImageTable image;
  RngTable rng;
};

// The device's backend, or null when this build has none (cuda without the toolkit). Does not touch the
// device.
const Backend* find_backend(Device device);

// Calls f(family, op) for every operation of a backend; `op` is the Op<Args>. Tests, benchmarks and `gan
// kernels` walk this, so that a new operation or variant needs no list elsewhere.
template <class B, class F>  // B: Backend, const or not
void for_each_op(B& b, F&& f) {
  const auto walk = [&](auto& table) { table.for_each(table, [&](auto& op) { f(table.family, op); }); };
  walk(b.pointwise);
  walk(b.gemm);
  walk(b.conv);
  walk(b.norm);
  walk(b.attention);
  walk(b.loss);
  walk(b.optim);
  walk(b.resample);
  walk(b.image);
  walk(b.rng);
}

// The tables each device defines at the foot of its family files.
#define GAN_DECLARE_TABLES(space)        \
  namespace space {                      \
  extern const PointwiseTable pointwise; \
  extern const GemmTable gemm;           \
  extern const ConvTable conv;           \
  extern const NormTable norm;           \
  extern const AttentionTable attention; \
  extern const LossTable loss;           \
  extern const OptimTable optim;         \
  extern const ResampleTable resample;   \
  extern const ImageTable image;         \
  extern const RngTable rng;             \
  extern const Memory memory;            \
  extern const Queues queues;            \
  }
GAN_DECLARE_TABLES(cuda)
GAN_DECLARE_TABLES(simt)
GAN_DECLARE_TABLES(cpu)
GAN_DECLARE_TABLES(ref)
#undef GAN_DECLARE_TABLES

// Threads that device cpu computes with.
int arithmetic_threads();
// Lets them wait for each other without spinning for long, unless GOMP_SPINCOUNT or OMP_WAIT_POLICY says how. Starts
// the program again, with the arguments of main() (argv): to be called early, before there is anything to lose.
void wait_briefly(char** arguments);

namespace cpu {
// Whether this processor multiplies bfloat16 numbers (AVX512-BF16, AMX). Elsewhere float32 copies of them are multiplied.
bool multiplies_bf16();
// Puts the reference's loops, in float32, beneath the rows of every operation: what nobody has written for
// the cpu runs by them.
void add_reference_rows(Backend& backend);
}  // namespace cpu

}  // namespace gan
