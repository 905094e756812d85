// Device `ref`: the formulas of ref.h in float64, in the tables of kernels/kernels.h; memory is the heap's.
// Sums are made by one thread each, in one order.
#include "kernels/ref/ref.h"

#include <cstdlib>
#include <cstring>

namespace gan::ref {

void for_each_apart(int64_t count, const std::function<void(int64_t)>& f) {
#pragma omp parallel for schedule(static) if (count > 1)
  for (int64_t i = 0; i < count; ++i) f(i);
}

namespace {

template <class Args>
void run(const Args& args, Stream&) {
  compute<double>(args);
}

template <class Args>
constexpr Variant<Args> loops[] = {{"loops", "f64", "any size", fits_any<Args>, run<Args>}};

// A family's table with the loops for every operation.
template <class Table>
constexpr Table with_loops() {
  Table table;
  Table::for_each(table, []<class Args>(Op<Args>& op) { op.variants = loops<Args>; });
  return table;
}

void* allocate(size_t bytes) {
  void* address = nullptr;
  if (posix_memalign(&address, 128, std::max<size_t>(bytes, 1)) != 0)
    fail(Exit::out_of_memory, "no memory for {} bytes", bytes);
  return address;
}

void release(void* address) noexcept { std::free(address); }

void copy(void* to, const void* from, size_t bytes, Stream&) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void zero(void* to, size_t bytes, Stream&) {
  if (bytes > 0) std::memset(to, 0, bytes);
}

void synchronize(Stream&) {}

}  // namespace

constexpr PointwiseTable pointwise = with_loops<PointwiseTable>();
constexpr GemmTable gemm = with_loops<GemmTable>();
constexpr ConvTable conv = with_loops<ConvTable>();
constexpr NormTable norm = with_loops<NormTable>();
constexpr AttentionTable attention = with_loops<AttentionTable>();
constexpr LossTable loss = with_loops<LossTable>();
constexpr OptimTable optim = with_loops<OptimTable>();
constexpr ResampleTable resample = with_loops<ResampleTable>();
constexpr ImageTable image = with_loops<ImageTable>();
constexpr RngTable rng = with_loops<RngTable>();
constexpr Memory memory{allocate, release, copy, copy, copy, zero, synchronize, true};
constexpr Queues queues{};

}  // namespace gan::ref
