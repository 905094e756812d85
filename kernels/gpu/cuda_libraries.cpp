// cuBLAS and cuDNN behind dlopen: first the opening, then one section for each library.
//
// The headers are needed to compile this file, the libraries only when it is used; a toolkit that comes
// without a header gives a build in which that library is missing.
#include "kernels/gpu/cuda_libraries.h"

#include <dlfcn.h>

#include <initializer_list>
#include <list>
#include <string>

#if __has_include(<cublas_v2.h>)
#include <cublas_v2.h>
#define GAN_HAS_CUBLAS 1
#endif
#if __has_include(<cudnn.h>)
#include <cudnn.h>
#define GAN_HAS_CUDNN 1
#endif

namespace gan::cuda {
namespace {

// A shared library that is opened once and never closed. problem: why it cannot be used, or empty.
struct Library {
  void* handle = nullptr;
  std::string problem;

  Library(const char* what, std::initializer_list<const char*> names) {
    for (const char* name : names)
      for (const char* folder : {"", "/usr/local/cuda/lib64/"})
        if (!handle) handle = dlopen((std::string(folder) + name).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) problem = std::string(what) + " is not installed or not in LD_LIBRARY_PATH";
  }

  // Points `function` at the library's function of that name.
  template <class F>
  void find(F*& function, const char* name) {
    function = handle ? reinterpret_cast<F*>(dlsym(handle, name)) : nullptr;
    if (!function && problem.empty()) problem = std::string("the library has no ") + name;
  }
};

const float one = 1, zero = 0;
const float* beta_of(const Out& out) { return out.acc == Acc::add ? &one : &zero; }

}  // namespace

// ---- cuBLAS -------------------------------------------------------------------------------------------

#ifdef GAN_HAS_CUBLAS
namespace {

// cublasGemmEx, written out because cublas_v2.h overloads the name in C++.
using CublasGemm = cublasStatus_t(cublasHandle_t, cublasOperation_t, cublasOperation_t, int m, int n, int k,
                                  const void* alpha, const void* a, cudaDataType, int lda, const void* b,
                                  cudaDataType, int ldb, const void* beta, void* c, cudaDataType, int ldc,
                                  cublasComputeType_t, cublasGemmAlgo_t);

struct Cublas : Library {
  decltype(::cublasCreate_v2)* create = nullptr;
  decltype(::cublasSetStream_v2)* set_stream = nullptr;
  decltype(::cublasSetWorkspace_v2)* set_workspace = nullptr;
  CublasGemm* gemm = nullptr;
  decltype(::cublasGetStatusString)* status_string = nullptr;
  cublasHandle_t context = nullptr;

  Cublas() : Library("cuBLAS", {"libcublas.so.13", "libcublas.so.12"}) {
    find(create, "cublasCreate_v2");
    find(set_stream, "cublasSetStream_v2");
    find(set_workspace, "cublasSetWorkspace_v2");
    find(gemm, "cublasGemmEx");
    find(status_string, "cublasGetStatusString");
    if (!problem.empty()) return;
    if (const cublasStatus_t status = create(&context); status != CUBLAS_STATUS_SUCCESS)
      problem = std::string("cuBLAS does not start: ") + status_string(status);
  }
  void check(cublasStatus_t status, const Gemm& args) const {
    if (status != CUBLAS_STATUS_SUCCESS)
      fail(Exit::failure, "cuBLAS: {} (gemm of {} x {} x {})", status_string(status), args.m, args.n, args.k);
  }
};

Cublas& cublas() {
  static Cublas library;
  return library;
}

cudaDataType cuda_type(DType type) { return type == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

}  // namespace

const char* cublas_missing() { return cublas().problem.empty() ? nullptr : cublas().problem.c_str(); }

void cublas_gemm(const Gemm& args, Stream& stream, bool tf32) {
  GAN_CHECK(!cublas_missing(), "{}", cublas().problem);
  // With a workspace of ours cuBLAS allocates nothing, and its results do not depend on what ran on other
  // streams.
  constexpr size_t workspace_bytes = size_t{32} << 20;
  const Cublas& library = cublas();
  library.check(library.set_stream(library.context, static_cast<cudaStream_t>(stream.handle)), args);
  library.check(library.set_workspace(library.context, stream.scratch(workspace_bytes), workspace_bytes),
                args);
  // cuBLAS counts columns first: its C is our C transposed, so the factors change places.
  const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const cublasComputeType_t compute = args.a.dtype == DType::bf16 ? CUBLAS_COMPUTE_32F
                                      : tf32                      ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                                  : CUBLAS_COMPUTE_32F_PEDANTIC;
  library.check(
      library.gemm(library.context, operation(args.transpose_b), operation(args.transpose_a), args.n, args.m,
                   args.k, &one, args.b.data, cuda_type(args.b.dtype), args.transpose_b ? args.k : args.n,
                   args.a.data, cuda_type(args.a.dtype), args.transpose_a ? args.m : args.k, beta_of(args.c),
                   args.c.data, cuda_type(args.c.dtype), args.n, compute, CUBLAS_GEMM_DEFAULT),
      args);
}
#else
const char* cublas_missing() { return "this build has no cuBLAS"; }
void cublas_gemm(const Gemm&, Stream&, bool) { fail(Exit::failure, "{}", cublas_missing()); }
#endif

// ---- cuDNN --------------------------------------------------------------------------------------------

#ifdef GAN_HAS_CUDNN
namespace {

struct Cudnn : Library {
  decltype(::cudnnCreate)* create = nullptr;
  decltype(::cudnnSetStream)* set_stream = nullptr;
  decltype(::cudnnGetErrorString)* error_string = nullptr;
  decltype(::cudnnCreateTensorDescriptor)* create_tensor = nullptr;
  decltype(::cudnnSetTensor4dDescriptor)* set_tensor = nullptr;
  decltype(::cudnnCreateFilterDescriptor)* create_filter = nullptr;
  decltype(::cudnnSetFilter4dDescriptor)* set_filter = nullptr;
  decltype(::cudnnCreateConvolutionDescriptor)* create_convolution = nullptr;
  decltype(::cudnnSetConvolution2dDescriptor)* set_convolution = nullptr;
  decltype(::cudnnSetConvolutionGroupCount)* set_groups = nullptr;
  decltype(::cudnnSetConvolutionMathType)* set_math = nullptr;
  decltype(::cudnnGetConvolutionForwardAlgorithm_v7)* propose_fwd = nullptr;
  decltype(::cudnnFindConvolutionForwardAlgorithm)* measure_fwd = nullptr;
  decltype(::cudnnGetConvolutionBackwardDataAlgorithm_v7)* propose_bwd_data = nullptr;
  decltype(::cudnnFindConvolutionBackwardDataAlgorithm)* measure_bwd_data = nullptr;
  decltype(::cudnnGetConvolutionBackwardFilterAlgorithm_v7)* propose_bwd_weight = nullptr;
  decltype(::cudnnFindConvolutionBackwardFilterAlgorithm)* measure_bwd_weight = nullptr;
  decltype(::cudnnConvolutionForward)* fwd = nullptr;
  decltype(::cudnnConvolutionBackwardData)* bwd_data = nullptr;
  decltype(::cudnnConvolutionBackwardFilter)* bwd_weight = nullptr;
  cudnnHandle_t context = nullptr;

  Cudnn() : Library("cuDNN", {"libcudnn.so.9"}) {
    find(create, "cudnnCreate");
    find(set_stream, "cudnnSetStream");
    find(error_string, "cudnnGetErrorString");
    find(create_tensor, "cudnnCreateTensorDescriptor");
    find(set_tensor, "cudnnSetTensor4dDescriptor");
    find(create_filter, "cudnnCreateFilterDescriptor");
    find(set_filter, "cudnnSetFilter4dDescriptor");
    find(create_convolution, "cudnnCreateConvolutionDescriptor");
    find(set_convolution, "cudnnSetConvolution2dDescriptor");
    find(set_groups, "cudnnSetConvolutionGroupCount");
    find(set_math, "cudnnSetConvolutionMathType");
    find(propose_fwd, "cudnnGetConvolutionForwardAlgorithm_v7");
    find(measure_fwd, "cudnnFindConvolutionForwardAlgorithm");
    find(propose_bwd_data, "cudnnGetConvolutionBackwardDataAlgorithm_v7");
    find(measure_bwd_data, "cudnnFindConvolutionBackwardDataAlgorithm");
    find(propose_bwd_weight, "cudnnGetConvolutionBackwardFilterAlgorithm_v7");
    find(measure_bwd_weight, "cudnnFindConvolutionBackwardFilterAlgorithm");
    find(fwd, "cudnnConvolutionForward");
    find(bwd_data, "cudnnConvolutionBackwardData");
    find(bwd_weight, "cudnnConvolutionBackwardFilter");
    if (!problem.empty()) return;
    if (const cudnnStatus_t status = create(&context); status != CUDNN_STATUS_SUCCESS)
      problem = std::string("cuDNN does not start: ") + error_string(status);
  }
  void check(cudnnStatus_t status, const Conv2d& size) const {
    if (status != CUDNN_STATUS_SUCCESS)
      fail(Exit::failure, "cuDNN: {} ({})", error_string(status), to_string(size));
  }
};

Cudnn& cudnn() {
  static Cudnn library;
  return library;
}

// What is decided once for each size, type and direction. Kept for the rest of the program.
template <class Proposal>
struct CudnnPlan {
  Conv2d size;
  DType type = DType::f32;
  CudnnRules rules;
  cudnnTensorDescriptor_t x = nullptr, y = nullptr;
  cudnnFilterDescriptor_t w = nullptr;
  cudnnConvolutionDescriptor_t convolution = nullptr;
  Proposal chosen{};  // one of cuDNN's algorithms, and the workspace it needs

  CudnnPlan(const Conv2d& s, DType dtype, CudnnRules r) : size(s), type(dtype), rules(r) {
    const Cudnn& library = cudnn();
    const auto check = [&](cudnnStatus_t status) { library.check(status, s); };
    const cudnnDataType_t stored = dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
    check(library.create_tensor(&x));
    check(library.create_tensor(&y));
    check(library.create_filter(&w));
    check(library.create_convolution(&convolution));
    check(library.set_tensor(x, CUDNN_TENSOR_NHWC, stored, s.n, s.c, s.h, s.w));
    check(library.set_tensor(y, CUDNN_TENSOR_NHWC, stored, s.n, s.k, s.oh, s.ow));
    check(library.set_filter(w, stored, CUDNN_TENSOR_NHWC, s.k, s.c / s.groups, s.kh, s.kw));
    check(library.set_convolution(convolution, s.ph, s.pw, s.sh, s.sw, s.dh, s.dw, CUDNN_CROSS_CORRELATION,
                                  CUDNN_DATA_FLOAT));
    check(library.set_groups(convolution, s.groups));
    check(library.set_math(convolution, math()));
  }

  // How products are made; DEFAULT_MATH is TF32 for float32.
  cudnnMathType_t math() const {
    if (type == DType::bf16) return CUDNN_TENSOR_OP_MATH;
    return rules.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
  }
  bool allows(const Proposal& p) const {
    if (p.status != CUDNN_STATUS_SUCCESS) return false;
    if (rules.measured) return math() != CUDNN_FMA_MATH || p.mathType == CUDNN_FMA_MATH;  // it tries TF32 too
    const bool float32 = p.mathType == CUDNN_FMA_MATH || p.mathType == CUDNN_DEFAULT_MATH;
    return p.determinism == CUDNN_DETERMINISTIC && (float32 || math() != CUDNN_FMA_MATH);
  }
};

// The plan for a size: made at its first use. propose and measure(plan, wanted, &found, proposals) ask cuDNN,
// which answers with the algorithm that it thinks, or measured, fastest first.
template <class Proposal, class Propose, class Measure>
const CudnnPlan<Proposal>& plan_for(const Conv2d& size, std::initializer_list<DType> types, CudnnRules rules,
                                    Propose propose, Measure measure) {
  static std::list<CudnnPlan<Proposal>> plans;  // one list for each direction: their Proposal types differ
  const DType type = *types.begin();
  for (const DType other : types)
    GAN_CHECK(other == type && (type == DType::f32 || type == DType::bf16),
              "cuDNN here takes three float32 or three bfloat16 buffers, not {} with {}", name_of(type),
              name_of(other));
  for (const auto& plan : plans)
    if (plan.size == size && plan.type == type && plan.rules == rules) return plan;
  CudnnPlan<Proposal> plan(size, type, rules);
  Proposal proposals[16];
  int found = 0;
  cudnn().check(rules.measured ? measure(plan, 16, &found, proposals) : propose(plan, 16, &found, proposals),
                size);
  for (int i = 0; i < found; ++i) {
    if (!plan.allows(proposals[i])) continue;
    plan.chosen = proposals[i];
    return plans.emplace_back(plan);
  }
  fail(Exit::failure, "cuDNN has no {}{} algorithm for {}", rules.measured ? "" : "deterministic ",
       name_of(type), to_string(size));
}

// The library, ready to queue work on this stream.
const Cudnn& cudnn_on(const Stream& stream, const Conv2d& size) {
  GAN_CHECK(!cudnn_missing(), "{}", cudnn().problem);
  cudnn().check(cudnn().set_stream(cudnn().context, static_cast<cudaStream_t>(stream.handle)), size);
  return cudnn();
}

}  // namespace

const char* cudnn_missing() { return cudnn().problem.empty() ? nullptr : cudnn().problem.c_str(); }

void cudnn_fwd(const ConvFwd& args, Stream& stream, CudnnRules rules) {
  const Cudnn& library = cudnn_on(stream, args.size);
  const auto ask = [&](auto* function) {
    return [&library, function](const auto& p, auto... answer) {
      return function(library.context, p.x, p.w, p.convolution, p.y, answer...);
    };
  };
  const auto& plan =
      plan_for<cudnnConvolutionFwdAlgoPerf_t>(args.size, {args.x.dtype, args.w.dtype, args.y.dtype}, rules,
                                              ask(library.propose_fwd), ask(library.measure_fwd));
  library.check(library.fwd(library.context, &one, plan.x, args.x.data, plan.w, args.w.data, plan.convolution,
                            plan.chosen.algo, stream.scratch(plan.chosen.memory), plan.chosen.memory,
                            beta_of(args.y), plan.y, args.y.data),
                args.size);
}

void cudnn_bwd_data(const ConvBwdData& args, Stream& stream, CudnnRules rules) {
  const Cudnn& library = cudnn_on(stream, args.size);
  const auto ask = [&](auto* function) {
    return [&library, function](const auto& p, auto... answer) {
      return function(library.context, p.w, p.y, p.convolution, p.x, answer...);
    };
  };
  const auto& plan = plan_for<cudnnConvolutionBwdDataAlgoPerf_t>(
      args.size, {args.w.dtype, args.dy.dtype, args.dx.dtype}, rules, ask(library.propose_bwd_data),
      ask(library.measure_bwd_data));
  library.check(library.bwd_data(library.context, &one, plan.w, args.w.data, plan.y, args.dy.data,
                                 plan.convolution, plan.chosen.algo, stream.scratch(plan.chosen.memory),
                                 plan.chosen.memory, beta_of(args.dx), plan.x, args.dx.data),
                args.size);
}

void cudnn_bwd_weight(const ConvBwdWeight& args, Stream& stream, CudnnRules rules) {
  const Cudnn& library = cudnn_on(stream, args.size);
  const auto ask = [&](auto* function) {
    return [&library, function](const auto& p, auto... answer) {
      return function(library.context, p.x, p.y, p.convolution, p.w, answer...);
    };
  };
  const auto& plan = plan_for<cudnnConvolutionBwdFilterAlgoPerf_t>(
      args.size, {args.x.dtype, args.dy.dtype, args.dw.dtype}, rules, ask(library.propose_bwd_weight),
      ask(library.measure_bwd_weight));
  library.check(library.bwd_weight(library.context, &one, plan.x, args.x.data, plan.y, args.dy.data,
                                   plan.convolution, plan.chosen.algo, stream.scratch(plan.chosen.memory),
                                   plan.chosen.memory, beta_of(args.dw), plan.w, args.dw.data),
                args.size);
}
#else
const char* cudnn_missing() { return "this build has no cuDNN"; }
void cudnn_fwd(const ConvFwd&, Stream&, CudnnRules) { fail(Exit::failure, "{}", cudnn_missing()); }
void cudnn_bwd_data(const ConvBwdData&, Stream&, CudnnRules) { fail(Exit::failure, "{}", cudnn_missing()); }
void cudnn_bwd_weight(const ConvBwdWeight&, Stream&, CudnnRules) {
  fail(Exit::failure, "{}", cudnn_missing());
}
#endif

}  // namespace gan::cuda
