// Instructions that CUDA C++ has no name for: asynchronous copies, matrix loads, tensor-core products, named
// barriers. All inline assembly of the GPU kernels is here, and nowhere else.
//
// Included by gpu.cuh. Every wrapper is written twice, the PTX for nvcc and the call into the emulation for
// simt, side by side under one description. tests/conformance compares the two on a GPU. All of
// them need compute capability 8.0, those from section 6 on code for sm_90a. "PTX" below is NVIDIA's
// "Parallel Thread Execution ISA", whose section on the instruction of the same name is the source of each
// layout.
//
// Sections: 1 asynchronous copies, 2 fragments and their elements, 3 matrix loads, 4 tensor-core products, 5 named
// barriers; for compute capability 9.0: 6 what all of it needs, 7 mbarriers, 8 tensor copies, 9 products of a warpgroup.
#pragma once

namespace gan::GAN_GPU {

// On simt each wrapper is told its caller's line, for error messages.
#if defined(__CUDACC__)
#define GAN_CALLER
#define GAN_AND_CALLER
#else
#define GAN_CALLER const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define GAN_AND_CALLER , GAN_CALLER
#endif

#if defined(__CUDACC__)
// The 32-bit address that instructions on shared memory take.
__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}
#endif

// ---- 1 Asynchronous copies (PTX: cp.async) ------------------------------------------------------------
// A copy from global to shared memory that runs on while the thread does other work. It may land any time
// between cp_async() and the cp_async_wait() that covers its group; before that wait nobody may read or write
// the destination, nor change the source. A wait is for the calling thread's own copies: other threads see
// them after a barrier that follows the wait. The emulation lands them as late as allowed and shows NaN
// before (random schedules sometimes land one at once).

// Starts a copy of `bytes` (4, 8 or 16); both addresses are multiples of `bytes`. With real == false zeros
// are written and nothing is read: `global` may point anywhere.
template <int bytes>
__device__ __forceinline__ void cp_async(void* shared, const void* global, bool real = true GAN_AND_CALLER) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16, "an asynchronous copy has 4, 8 or 16 bytes");
#if defined(__CUDACC__)
  const uint32_t source_bytes = real ? bytes : 0;
  if constexpr (bytes == 16)  // .cg: past the first-level cache, which only 16 bytes can
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
                 "r"(source_bytes)
                 : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)), "l"(global),
                 "n"(bytes), "r"(source_bytes)
                 : "memory");
#else
  runtime::async_copy(shared, global, bytes, real, {file, line});
#endif
}

// Makes the thread's copies since the last commit a group (an empty one when there are none).
__device__ __forceinline__ void cp_async_commit() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  runtime::async_commit();
#endif
}

// Waits until at most `groups_left` of the thread's groups, the newest ones, have not landed.
template <int groups_left>
__device__ __forceinline__ void cp_async_wait() {
  static_assert(groups_left >= 0);
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(groups_left) : "memory");
#else
  runtime::async_wait(groups_left);
#endif
}

// ---- 2 Fragments and their elements -------------------------------------------------------------------
// What one lane holds of the operands of a tensor-core product D = A B + D over the whole warp. A is (16,K),
// B is (K,8), D is (16,8), with K = 16 for bf16 and K = 8 for tf32. With g = lane / 4 and q = lane % 4:
//
//   bf16  A word w: row g + 8 (w & 1), columns 2q + 8 (w >> 1) and the next (in the upper half of the word)
//         B word w: column g, rows 2q + 8w and the next
//   tf32  A word w: row g + 8 (w & 1), column q + 4 (w >> 1)          B word w: column g, row q + 4w
//   D     value v: row g + 8 (v >> 1), column 2q + (v & 1)            for both

// A number of 8 exponent and 10 mantissa bits in a 32-bit register; to_tf32() makes one.
struct tf32 {
  uint32_t bits;
};

template <class T>  // bf16 or tf32
struct FragmentA {
  uint32_t word[4];
};
template <class T>
struct FragmentB {
  uint32_t word[2];
};
struct FragmentD {
  float value[4];
};

// Rounds to the nearest tf32, ties away from zero. NaN stays NaN; which of its many is up to the hardware.
__device__ __forceinline__ tf32 to_tf32(float value) {
#if defined(__CUDACC__)
  tf32 result;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(result.bits) : "f"(value));
  return result;
#else
  const uint32_t bits = __float_as_uint(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return {(bits | 0x00400000u) & 0xffffe000u};  // quiet, its payload kept
  return {(bits + 0x1000u) & 0xffffe000u};
#endif
}

// Two numbers rounded to bfloat16, as to_bf16() does, in one word of a fragment (PTX: cvt.rn.bf16x2).
__device__ __forceinline__ uint32_t two_bf16(float low, float high) {
#if defined(__CUDACC__)
  uint32_t result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
#else
  return to_bf16(low).bits | uint32_t{to_bf16(high).bits} << 16;
#endif
}

// 2^x within 2^-22 of itself; 0 where it is below 2^-126, and 1 for a denormal x (PTX: ex2.approx.ftz). exp2f() takes
// four instructions for the sake of denormal results.
__device__ __forceinline__ float fast_exp2(float x) {
#if defined(__CUDACC__)
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  const float result = exp2f(x);
  return result < 0x1p-126f ? 0.0f : result;
#endif
}

// ---- 3 Matrix loads (PTX: ldmatrix) -------------------------------------------------------------------
// The whole warp loads `count` (1, 2 or 4) matrices of 8 rows of 16 bytes (8 bf16) from shared memory. Lane
// 8m + r gives the address of row r of matrix m, a multiple of 16; the other lanes' addresses are not used.
// With g = lane / 4 and q = lane % 4, word[m] receives of matrix m
//   ldmatrix             row g, columns 2q and 2q + 1: four matrices make a FragmentA<bf16>, two a FragmentB
//   ldmatrix_transposed  rows 2q and 2q + 1 of column g: the same of the transposed matrix

template <int count>
__device__ __forceinline__ void ldmatrix(uint32_t (&word)[count], const void* row GAN_AND_CALLER) {
  static_assert(count == 1 || count == 2 || count == 4, "ldmatrix loads 1, 2 or 4 matrices");
#if defined(__CUDACC__)
  const uint32_t address = shared_address(row);
  if constexpr (count == 1)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(word[0])
                 : "r"(address)
                 : "memory");
  else if constexpr (count == 2)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
                 : "=r"(word[0]), "=r"(word[1])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
                 : "r"(address)
                 : "memory");
#else
  runtime::load_matrices(word, row, count, false, {file, line});
#endif
}

template <int count>
__device__ __forceinline__ void ldmatrix_transposed(uint32_t (&word)[count], const void* row GAN_AND_CALLER) {
  static_assert(count == 1 || count == 2 || count == 4, "ldmatrix loads 1, 2 or 4 matrices");
#if defined(__CUDACC__)
  const uint32_t address = shared_address(row);
  if constexpr (count == 1)
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(word[0])
                 : "r"(address)
                 : "memory");
  else if constexpr (count == 2)
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(word[0]), "=r"(word[1])
                 : "r"(address)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(word[0]), "=r"(word[1]), "=r"(word[2]), "=r"(word[3])
                 : "r"(address)
                 : "memory");
#else
  runtime::load_matrices(word, row, count, true, {file, line});
#endif
}

// ---- 4 Tensor-core products (PTX: mma) ----------------------------------------------------------------
// d += a b with products and sums in float32. All 32 lanes take part. The order of the sum and the rounding
// inside one product are the hardware's own: compare with tolerance. tf32 operands count with 10 mantissa
// bits whatever stands in the lower 13 (they are cut off, so round with to_tf32() first).

__device__ __forceinline__ void mma(FragmentD& d, const FragmentA<bf16>& a,
                                    const FragmentB<bf16>& b GAN_AND_CALLER) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d.value[0]), "+f"(d.value[1]), "+f"(d.value[2]), "+f"(d.value[3])
      : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]), "r"(b.word[1]));
#else
  runtime::tensor_product(runtime::mma_bf16, d.value, a.word, b.word, {file, line});
#endif
}

__device__ __forceinline__ void mma(FragmentD& d, const FragmentA<tf32>& a,
                                    const FragmentB<tf32>& b GAN_AND_CALLER) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d.value[0]), "+f"(d.value[1]), "+f"(d.value[2]), "+f"(d.value[3])
      : "r"(a.word[0]), "r"(a.word[1]), "r"(a.word[2]), "r"(a.word[3]), "r"(b.word[0]), "r"(b.word[1]));
#else
  runtime::tensor_product(runtime::mma_tf32, d.value, a.word, b.word, {file, line});
#endif
}

// The products of a warp tile of 32 x 32: d[i][j] += a[i] b[j]. On a GPU the same as eight calls of mma(); in
// the emulation, where the lanes' meeting costs more than the arithmetic, about twice as fast.
template <class T>
__device__ __forceinline__ void mma_tile(FragmentD (&d)[2][4], const FragmentA<T> (&a)[2],
                                         const FragmentB<T> (&b)[4] GAN_AND_CALLER) {
#if defined(__CUDACC__)
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) mma(d[i][j], a[i], b[j]);
#else
  constexpr bool narrow = std::is_same_v<T, bf16>;
  runtime::tensor_product(narrow ? runtime::mma_tile_bf16 : runtime::mma_tile_tf32, d[0][0].value, a[0].word,
                          b[0].word, {file, line});
#endif
}

// ---- 5 Named barriers (PTX: bar.sync, bar.arrive) -----------------------------------------------------
// A barrier for some warps of a block. id: 1 to 15 (0 is __syncthreads). threads: how many have to come, a
// multiple of 32, the same in every call of a round; whole warps come. Memory accesses before a sync or an
// arrive are seen by those who pass the sync.

// Comes and waits until `threads` have come.
__device__ __forceinline__ void named_barrier_sync(int id, int threads GAN_AND_CALLER) {
#if defined(__CUDACC__)
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  runtime::named_barrier("named_barrier_sync", id, threads, true, {file, line});
#endif
}

// Comes, but goes on at once: the producer's half of a barrier.
__device__ __forceinline__ void named_barrier_arrive(int id, int threads GAN_AND_CALLER) {
#if defined(__CUDACC__)
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  runtime::named_barrier("named_barrier_arrive", id, threads, false, {file, line});
#endif
}

// ---- 6 Compute capability 9.0: what all of it needs ---------------------------------------------------
// From here on there is PTX in code for sm_90a alone. A kernel that uses it asks built_for_wgmma first.

#if defined(__CUDACC__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool built_for_wgmma = false;
#else
inline constexpr bool built_for_wgmma = true;
#endif

// What is compiled in place of the instructions elsewhere. Rows of such kernels do not fit there, so nobody
// comes here.
__device__ __forceinline__ void needs_sm_90a() {
#if defined(__CUDACC__)
  printf("gan: this kernel was not compiled for sm_90a, whose instructions it needs\n");
  __trap();
#endif
}

// Lets the asynchronous units (tensor memory accelerator, wgmma) see the ordinary writes to shared memory
// that the thread knows of, those of its cp_async() that it has waited for among them: each writer calls it
// behind its writes and before the barrier, or the thread that starts the unit after the barrier (PTX:
// fence.proxy.async). Below 9.0 there are no such units.
__device__ __forceinline__ void fence_proxy_async() {
#if defined(__CUDACC__)
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
#else
  runtime::proxy_fence();
#endif
}

// ---- 7 mbarriers (PTX: mbarrier) ----------------------------------------------------------------------
// A barrier in shared memory that goes through phases 0, 1, 2 ... A phase ends when as many threads have arrived as
// mbarrier_init() was told and all bytes that were expected of tensor copies have come. Memory accesses before an
// arrival are seen by those who wait for the end of its phase. The 8 bytes are the hardware's own: nobody
// else may touch them.

// arrivals: 1 to 2^20 - 1, of each phase. One thread calls it, then mbarrier_init_fence(); a __syncthreads() follows
// before anybody uses the barrier.
__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, int arrivals GAN_AND_CALLER) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals)
               : "memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  runtime::mbarrier_init(barrier, arrivals, {file, line});
#endif
}

// Lets asynchronous units see the mbarriers that the thread has initialised.
__device__ __forceinline__ void mbarrier_init_fence() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  runtime::mbarrier_init_fence();
#endif
}

// Arrives, and goes on at once.
__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier GAN_AND_CALLER) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  runtime::mbarrier_arrive("mbarrier_arrive", barrier, -1, {file, line});
#endif
}

// The same, and lets the phase expect `bytes` more (0 to 2^20 - 1) of tensor copies.
__device__ __forceinline__ void mbarrier_arrive_expect_tx(uint64_t* barrier, int bytes GAN_AND_CALLER) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)),
               "r"(bytes)
               : "memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  runtime::mbarrier_arrive("mbarrier_arrive_expect_tx", barrier, bytes, {file, line});
#endif
}

// Waits for the end of the phase under way if its number is even and parity 0, or odd and 1; else the phase before it
// has that parity, and the wait is over at once. So before the first phase has ended a wait for parity 1 does
// not wait.
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, int parity GAN_AND_CALLER) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile(
      "{\n"
      ".reg .pred over;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
      "@over bra passed;\n"
      "bra again;\n"
      "passed:\n"
      "}" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  runtime::mbarrier_wait(barrier, parity, {file, line});
#endif
}

// ---- 8 Tensor copies (PTX: cp.async.bulk.tensor) ------------------------------------------------------
// The tensor memory accelerator brings a box of a matrix from global to shared memory, started by one thread.
// A row of the box has 64 bf16, which are 128 bytes, and the rows lie one behind the other with the swizzle
// of 128 bytes: vector v (16 bytes) of row r lies where v ^ (r % 8) would. What lies outside of the matrix is
// 0. The bytes of the whole box count in the phase of an mbarrier; before the end of that phase nobody may
// touch the destination.

// The matrix: (rows, columns) of bf16, row-major, its start and each row at a multiple of 16 bytes; 1 to 256
// rows of a box. Made on the host, handed to a kernel as a `const __grid_constant__` parameter.
#if defined(__CUDACC__)
using TensorMap = CUtensorMap;
#else
using runtime::TensorMap;
#endif

inline TensorMap tensor_map(const bf16* data, int rows, int columns, int box_rows) {
#if defined(__CUDACC__)
  // The driver's function, found at run time: a program that links the driver does not start without one.
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
    const cudaError_t status =
        cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, 12000, cudaEnableDefault, &result);
#else
    const cudaError_t status =
        cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &found, cudaEnableDefault, &result);
#endif
    if (status != cudaSuccess || result != cudaDriverEntryPointSuccess || !found)
      fail(Exit::failure, "the driver has no cuTensorMapEncodeTiled: it must be one of CUDA 12 or newer");
    return reinterpret_cast<Encode>(found);
  }();
  TensorMap map;
  const cuuint64_t sizes[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t row_bytes[1] = {static_cast<cuuint64_t>(columns) * sizeof(bf16)};
  const cuuint32_t box[2] = {64, static_cast<cuuint32_t>(box_rows)}, steps[2] = {1, 1};
  const CUresult status =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<bf16*>(data), sizes, row_bytes, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS)
    fail(Exit::failure, "a tensor map of {} x {}, in boxes of {} x 64: the driver refuses it (CUresult {})",
         rows, columns, box_rows, static_cast<int>(status));
  return map;
#else
  return runtime::encode_tensor_map(data, rows, columns, box_rows);
#endif
}

// Starts the copy of the box whose first element is (row, column) of the matrix; either may be outside of it.
// shared: a multiple of 1024.
__device__ __forceinline__ void tensor_copy(void* shared, const TensorMap& map, int column, int row,
                                            uint64_t* barrier GAN_AND_CALLER) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::
          "r"(shared_address(shared)),
      "l"(&map), "r"(column), "r"(row), "r"(shared_address(barrier))
      : "memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  runtime::tensor_copy(shared, map, column, row, barrier, {file, line});
#endif
}

// ---- 9 Products of a warpgroup (PTX: wgmma) -----------------------------------------------------------
// d += a b by the four warps of an aligned warpgroup (threads 128 i to 128 i + 127), bf16 products and
// float32 sums, a (64,16) and b (16,n) in shared memory. The product runs on while the threads go on. It
// reads its operands and its registers d at any time between wgmma() and the wgmma_wait() that covers its
// group: until then nobody may write the operands or touch d. All threads of a warp call these functions
// together.
//
// Thread t of the warpgroup holds of d (64,n), with g = t % 32 / 4 and q = t % 4, in fragment j, value v:
//   row 16 (t / 32) + g + 8 (v >> 1), column 8 j + 2q + (v & 1): as FragmentD of 16 rows for each warp

// An operand in shared memory, in rows of 128 bytes with the swizzle of 128 bytes (as tensor_copy() leaves
// it): where it begins, and the distances in bytes (multiples of 16, below 2^18) of what does not fit one row
// (PTX: "Matrix Descriptor Format"). Lines are rows of a or columns of b.
//   k's of a line are neighbours   8 rows are 8 lines, and stride_bytes on follow the next 8; leading_bytes is not used
//   else (transposed)              a row has 64 lines of one k, and leading_bytes on follow 64 more; 8 rows are 8 k's, and
//                                  stride_bytes on follow the next 8
__device__ __forceinline__ uint64_t wgmma_descriptor(const void* start, int leading_bytes, int stride_bytes) {
#if defined(__CUDACC__)
  const uint32_t address = shared_address(start);
#else
  const uint32_t address = runtime::shared_address(start);
#endif
  constexpr uint64_t swizzle_128 = uint64_t{1} << 62;
  return swizzle_128 | uint64_t{static_cast<uint32_t>(stride_bytes) >> 4} << 32 |
         uint64_t{static_cast<uint32_t>(leading_bytes) >> 4} << 16 | (address & 0x3ffffu) >> 4;
}

// Before the first wgmma(), and again when registers d have been touched since: after wgmma_wait().
__device__ __forceinline__ void wgmma_fence() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  runtime::warpgroup_fence();
#endif
}

// The registers of fragments `first` to `first` + 7 of d, as operands of assembly.
#define GAN_SUMS_4(j) "+f"(d[j].value[0]), "+f"(d[j].value[1]), "+f"(d[j].value[2]), "+f"(d[j].value[3])
#define GAN_SUMS_32(first)                                                                \
  GAN_SUMS_4(first), GAN_SUMS_4(first + 1), GAN_SUMS_4(first + 2), GAN_SUMS_4(first + 3), \
      GAN_SUMS_4(first + 4), GAN_SUMS_4(first + 5), GAN_SUMS_4(first + 6), GAN_SUMS_4(first + 7)

// Starts d = a b, or with accumulate d += a b. a, b: wgmma_descriptor()s.
template <int n, bool a_transposed, bool b_transposed>
__device__ __forceinline__ void wgmma(FragmentD (&d)[n / 8], uint64_t a, uint64_t b,
                                      bool accumulate GAN_AND_CALLER) {
  static_assert(n == 64 || n == 128, "the wrapper has products of 64 and 128 columns");
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  const int scale = accumulate;
  if constexpr (n == 64)
    asm volatile(
        "{\n"
        ".reg .pred accumulate;\n"
        "setp.ne.b32 accumulate, %34, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31}, "
        "%32, %33, accumulate, 1, 1, %35, %36;\n"
        "}"
        : GAN_SUMS_32(0)
        : "l"(a), "l"(b), "r"(scale), "n"(int(a_transposed)), "n"(int(b_transposed))
        : "memory");
  if constexpr (n == 128)
    asm volatile(
        "{\n"
        ".reg .pred accumulate;\n"
        "setp.ne.b32 accumulate, %66, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
        "{%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"
        "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31,"
        "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"
        "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63}, "
        "%64, %65, accumulate, 1, 1, %67, %68;\n"
        "}"
        : GAN_SUMS_32(0), GAN_SUMS_32(8)
        : "l"(a), "l"(b), "r"(scale), "n"(int(a_transposed)), "n"(int(b_transposed))
        : "memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  runtime::warpgroup_product(d[0].value, {a, b, n, accumulate, a_transposed, b_transposed}, {file, line});
#endif
}

// Makes the products since the last commit a group.
__device__ __forceinline__ void wgmma_commit() {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  runtime::warpgroup_commit();
#endif
}

// Waits until at most `groups_left` of the groups, the newest ones, are unfinished.
template <int groups_left>
__device__ __forceinline__ void wgmma_wait(GAN_CALLER) {
  static_assert(groups_left >= 0 && groups_left < 8);
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(groups_left) : "memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  runtime::warpgroup_wait(groups_left, {file, line});
#endif
}

// The same for all groups; then d may be read. That d is named keeps a compiler from reading it sooner.
template <int fragments>
__device__ __forceinline__ void wgmma_finish(FragmentD (&d)[fragments] GAN_AND_CALLER) {
  static_assert(fragments == 8 || fragments == 16);
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  if constexpr (fragments == 8) asm volatile("wgmma.wait_group.sync.aligned 0;" : GAN_SUMS_32(0)::"memory");
  else asm volatile("wgmma.wait_group.sync.aligned 0;" : GAN_SUMS_32(0), GAN_SUMS_32(8)::"memory");
#elif defined(__CUDACC__)
  needs_sm_90a();
#else
  static_cast<void>(d);
  runtime::warpgroup_wait(0, {file, line});
#endif
}

#undef GAN_SUMS_4
#undef GAN_SUMS_32
#undef GAN_CALLER
#undef GAN_AND_CALLER

}  // namespace gan::GAN_GPU
