// Instructions that CUDA C++ has no name for: asynchronous copies, matrix loads, tensor-core products, named
// barriers. All inline assembly of the GPU kernels is here, and nowhere else.
//
// Included by gpu.cuh. Every wrapper is written twice, the PTX for nvcc and the call into the emulation for
// simt, side by side under one description. tests/conformance compares the two on a GPU. All of
// them need compute capability 8.0. "PTX" below is NVIDIA's "Parallel Thread Execution ISA", whose section on
// the instruction of the same name is the source of each layout.
//
// Sections: 1 asynchronous copies, 2 fragments and their elements, 3 matrix loads, 4 tensor-core products,
// 5 named barriers, 6 mbarrier, tensor memory accelerator and wgmma (compute capability 9.0).
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

// ---- 6 mbarrier, tensor memory accelerator, wgmma -----------------------------------------------------
// Compute capability 9.0: its wrappers belong here once a kernel uses them.

// Lets the asynchronous units (tensor memory accelerator, wgmma) see the ordinary writes to shared memory
// that the thread knows of: each writer calls it behind its writes and before the barrier, or the thread that
// starts the unit after the barrier (PTX: fence.proxy.async). Below 9.0 there are no such units.
__device__ __forceinline__ void fence_proxy_async() {
#if defined(__CUDACC__)
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
#else
  runtime::proxy_fence();
#endif
}

#undef GAN_CALLER
#undef GAN_AND_CALLER

}  // namespace gan::GAN_GPU
