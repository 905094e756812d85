// oneDNN 2.x behind onednn.h: the only file that includes its headers.
//
// Story: a primitive is compiled code for one size and direction, made once and kept (`primitives`). It reads
// activations as they are (plain NHWC) but wants weights in a blocked layout of its own choice, another one
// for each direction. So weights are reordered before the call and kept while their version lasts
// (`weight_copies`), and the gradient of the weights is computed in the primitive's layout and reordered, or
// added, into ours.
#include "kernels/cpu/onednn.h"

#include <omp.h>

#include <array>
#include <cstdlib>
#include <list>
#include <map>
#include <mutex>
#include <new>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "kernels/cpu/loops.h"
#include "kernels/cpu/room.h"

namespace gan::cpu {
namespace {

using dnnl::memory;

enum class Direction { fwd, bwd_data, bwd_weight };

constexpr size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

// A compiled convolution in one direction, with its arguments bound to memory objects that get new addresses
// at each call.
struct ConvPrimitive {
  dnnl::primitive primitive;
  std::string implementation;
  std::unordered_map<int, memory> arguments;
  memory x, y, bias, scratchpad;      // y and x are their gradients in the backward directions
  memory weights_own, weights_plain;  // in the primitive's layout and in ours
  bool same_layout = false;
  dnnl::reorder reorder;  // plain to own; own to plain for bwd_weight
  size_t scratchpad_bytes = 0, weights_bytes = 0;
};

// Weights in a primitive's layout. Two primitives may share one when they chose the same layout. Memory is
// kept only for weights that are used a second time before they change: a generator in training uses each of
// them once a step, and with copies would take twice the memory of its weights more, for nothing.
struct WeightCopy {
  const void* weights;
  memory::desc layout;
  uint64_t version;      // of the last use
  memory copy;           // empty until then
  size_t bytes = 0;      // of the copy
  bool current = false;  // the copy has that version
};
constexpr size_t weight_copies_limit = size_t(1) << 30;

// A compiled product of matrices, for one thread or for all.
struct Product {
  dnnl::matmul primitive;
  memory::desc a, b, c, scratchpad;
};

// Sizes and options as numbers: what a primitive depends on.
using ConvKey = std::array<int, 24>;
using ProductKey = std::array<int64_t, 11>;

struct Library {
  std::mutex turn;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::vector<dnnl::stream> streams;  // of each thread, for products that threads share out
  std::map<ConvKey, ConvPrimitive> primitives;
  std::map<ProductKey, Product> products;
  std::list<WeightCopy> weight_copies;  // most recently used first
  size_t weight_copies_bytes = 0;
  Arena arena;  // the primitive's scratch space and weights on their way
};
// Never destroyed: the order in which globals of other libraries end is not ours to know.
Library& library() {
  static Library& instance = *new Library;
  return instance;
}

// Runs f(library) when it is this thread's turn, with oneDNN's exceptions turned into ours.
template <class F>
void with_library(const char* what, const Conv2d& size, F&& f) {
  try {
    Library& lib = library();
    std::lock_guard lock(lib.turn);
    f(lib);
  } catch (const dnnl::error& e) {
    fail(e.status == dnnl_out_of_memory ? Exit::out_of_memory : Exit::failure, "oneDNN {}: {} ({})", what,
         e.what(), to_string(size));
  }
}

// ------------------------------------------------------------------------------------ making a primitive

// Zero padding after the last row or column that makes the output size come out.
int padding_after(int in, int out, int kernel, int stride, int pad, int dilation) {
  return std::max(0, (out - 1) * stride + (kernel - 1) * dilation + 1 - in - pad);
}

ConvPrimitive make_primitive(Library& lib, const Conv2d& s, DType type, DType x_type, Direction direction,
                             bool has_bias, Activation act, Acc acc) {
  using dnnl::algorithm;
  using dnnl::prop_kind;
  const auto f32 = memory::data_type::f32, values = type == DType::bf16 ? memory::data_type::bf16 : f32;
  const auto weights = direction == Direction::bwd_weight ? f32 : values;
  const memory::dim in_per_group = s.c / s.groups, w_pixel = in_per_group, w_row = s.kw * w_pixel,
                    w_out = s.kh * w_row;
  const memory::dims x_dims{s.n, s.c, s.h, s.w}, y_dims{s.n, s.k, s.oh, s.ow};
  memory::dims w_dims{s.k, in_per_group, s.kh, s.kw}, w_strides{w_out, 1, w_row, w_pixel};
  if (s.groups > 1) {
    w_dims = {s.groups, s.k / s.groups, in_per_group, s.kh, s.kw};
    w_strides = {s.k / s.groups * w_out, w_out, 1, w_row, w_pixel};
  }
  const memory::desc x(x_dims, x_type == DType::bf16 ? values : f32, memory::format_tag::nhwc),
      y(y_dims, values, memory::format_tag::nhwc);
  const memory::desc w_any(w_dims, weights, memory::format_tag::any), w_plain(w_dims, weights, w_strides);
  const memory::desc x_forward(x_dims, values, memory::format_tag::nhwc),
      w_forward(w_dims, values, memory::format_tag::any);
  const memory::desc bias({s.k}, f32, memory::format_tag::a);
  const memory::dims strides{s.sh, s.sw}, dilates{s.dh - 1, s.dw - 1}, before{s.ph, s.pw};
  const memory::dims after{padding_after(s.h, s.oh, s.kh, s.sh, s.ph, s.dh),
                           padding_after(s.w, s.ow, s.kw, s.sw, s.pw, s.dw)};

  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (direction == Direction::fwd) {
    dnnl::post_ops post;
    if (acc == Acc::add) post.append_sum(1.0f);
    switch (act.kind) {
      case Act::none:
      case Act::relu: break;  // see onednn_conv_fwd()
      case Act::leaky_relu: post.append_eltwise(1.0f, algorithm::eltwise_relu, float(act.slope), 0.0f); break;
      case Act::tanh: post.append_eltwise(1.0f, algorithm::eltwise_tanh, 0.0f, 0.0f); break;
      case Act::sigmoid: post.append_eltwise(1.0f, algorithm::eltwise_logistic, 0.0f, 0.0f); break;
    }
    attr.set_post_ops(post);
  }

  using Forward = dnnl::convolution_forward;
  using BackwardData = dnnl::convolution_backward_data;
  using BackwardWeights = dnnl::convolution_backward_weights;
  // Not convolution_auto, which takes Winograd's on some processors: kernels/cpu/winograd.cpp is a row of its
  // own.
  const auto direct = algorithm::convolution_direct;
  // The backward directions want a forward one as a hint; it is never run.
  const auto forward = [&](bool real) {
    const Forward::desc desc = has_bias ? Forward::desc(prop_kind::forward_training, direct, x_forward,
                                                        w_forward, bias, y, strides, dilates, before, after)
                                        : Forward::desc(prop_kind::forward_training, direct, x_forward,
                                                        w_forward, y, strides, dilates, before, after);
    return real ? Forward::primitive_desc(desc, attr, lib.engine) : Forward::primitive_desc(desc, lib.engine);
  };

  ConvPrimitive p;
  memory::desc w_own, scratchpad;
  if (direction == Direction::fwd) {
    const auto pd = forward(true);
    p.primitive = Forward(pd);
    p.implementation = pd.impl_info_str();
    w_own = pd.weights_desc();
    scratchpad = pd.scratchpad_desc();
  } else if (direction == Direction::bwd_data) {
    const BackwardData::primitive_desc pd({direct, x, w_any, y, strides, dilates, before, after}, attr,
                                          lib.engine, forward(false));
    p.primitive = BackwardData(pd);
    p.implementation = pd.impl_info_str();
    w_own = pd.weights_desc();
    scratchpad = pd.scratchpad_desc();
  } else {
    const BackwardWeights::primitive_desc pd({direct, x, w_any, y, strides, dilates, before, after}, attr,
                                             lib.engine, forward(false));
    p.primitive = BackwardWeights(pd);
    p.implementation = pd.impl_info_str();
    w_own = pd.diff_weights_desc();
    scratchpad = pd.scratchpad_desc();
  }

  p.scratchpad_bytes = scratchpad.get_size();
  p.weights_bytes = w_own.get_size();
  p.same_layout = w_own == w_plain;
  const auto unbound = [&](const memory::desc& d) { return memory(d, lib.engine, nullptr); };
  p.x = unbound(x), p.y = unbound(y), p.scratchpad = unbound(scratchpad);
  p.weights_own = unbound(w_own), p.weights_plain = unbound(w_plain);
  const bool to_x = direction == Direction::bwd_data, to_w = direction == Direction::bwd_weight;
  p.arguments = {{to_x ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, p.x},
                 {to_w ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, p.weights_own},
                 {to_x || to_w ? DNNL_ARG_DIFF_DST : DNNL_ARG_DST, p.y},
                 {DNNL_ARG_SCRATCHPAD, p.scratchpad}};
  if (has_bias) {
    p.bias = unbound(bias);
    p.arguments.emplace(DNNL_ARG_BIAS, p.bias);
  }
  if (!p.same_layout || (to_w && acc == Acc::add)) {
    dnnl::primitive_attr reorder_attr;
    if (to_w && acc == Acc::add) {
      dnnl::post_ops add;
      add.append_sum(1.0f);
      reorder_attr.set_post_ops(add);
    }
    p.reorder = dnnl::reorder(
        to_w ? dnnl::reorder::primitive_desc(lib.engine, w_own, lib.engine, w_plain, reorder_attr)
             : dnnl::reorder::primitive_desc(lib.engine, w_plain, lib.engine, w_own, reorder_attr));
  }
  return p;
}

ConvPrimitive& find_primitive(Library& lib, const Conv2d& s, DType type, DType x_type, Direction direction,
                              bool has_bias, Activation act, Acc acc) {
  int slope_bits = 0;
  const float slope = float(act.slope);
  if (act.kind == Act::leaky_relu) std::memcpy(&slope_bits, &slope, sizeof slope_bits);
  // The number of threads is part of the key: work and scratch space are divided when a primitive is made.
  const ConvKey key{int(direction),
                    int(type) * 8 + int(x_type),
                    s.n,
                    s.h,
                    s.w,
                    s.c,
                    s.oh,
                    s.ow,
                    s.k,
                    s.kh,
                    s.kw,
                    s.sh,
                    s.sw,
                    s.ph,
                    s.pw,
                    s.dh,
                    s.dw,
                    s.groups,
                    int(has_bias),
                    int(act.kind),
                    slope_bits,
                    int(acc),
                    omp_get_max_threads()};
  const auto found = lib.primitives.find(key);
  if (found != lib.primitives.end()) return found->second;
  return lib.primitives.emplace(key, make_primitive(lib, s, type, x_type, direction, has_bias, act, acc))
      .first->second;
}

// --------------------------------------------------------------------------------- weights in its layout

// Binds p's weights to `w` in the primitive's layout: `w` itself, a kept copy, or one in the arena at `room`.
void bind_weights(Library& lib, ConvPrimitive& p, const void* w, uint64_t version, char* room) {
  void* plain = const_cast<void*>(w);  // oneDNN's memory objects know no const
  if (p.same_layout) {
    p.weights_own.set_data_handle(plain);
    return;
  }
  p.weights_plain.set_data_handle(plain);
  const auto in_arena = [&] {
    p.weights_own.set_data_handle(room);
    p.reorder.execute(lib.stream, p.weights_plain, p.weights_own);
  };
  if (version == 0) return in_arena();
  auto& copies = lib.weight_copies;
  const memory::desc layout = p.weights_own.get_desc();
  auto it = copies.begin();
  while (it != copies.end() && !(it->weights == w && it->layout == layout)) ++it;
  if (it == copies.end()) copies.push_front({w, layout, 0, {}});
  else copies.splice(copies.begin(), copies, it);
  WeightCopy& copy = copies.front();
  const bool again = copy.version == version;
  if (!again) copy.version = version, copy.current = false;
  if (copy.bytes == 0) {
    if (!again) return in_arena();
    copy.copy = memory(layout, lib.engine);
    copy.bytes = p.weights_bytes;
    lib.weight_copies_bytes += copy.bytes;
    for (auto last = std::prev(copies.end());
         lib.weight_copies_bytes > weight_copies_limit && &*last != &copy;) {
      lib.weight_copies_bytes -= last->bytes;
      last = std::prev(copies.erase(last));
    }
  }
  if (!copy.current) p.reorder.execute(lib.stream, p.weights_plain, copy.copy);
  copy.current = true;
  p.weights_own.set_data_handle(copy.copy.get_data_handle());
}

void execute(Library& lib, ConvPrimitive& p, const void* x, const void* y, char* scratchpad) {
  p.x.set_data_handle(const_cast<void*>(x));
  p.y.set_data_handle(const_cast<void*>(y));
  p.scratchpad.set_data_handle(scratchpad);
  p.primitive.execute(lib.stream, p.arguments);
}

}  // namespace

// ------------------------------------------------------------------------------------------------- calls

void onednn_conv_fwd(const Conv2d& size, In x, In w, uint64_t w_version, In bias, Activation act, Out y) {
  // oneDNN's relu is an instruction that makes 0 of NaN, and a run that diverges has to be seen.
  const bool own_relu = act.kind == Act::relu;
  with_library("convolution", size, [&](Library& lib) {
    ConvPrimitive& p = find_primitive(lib, size, x.dtype, x.dtype, Direction::fwd, bool(bias),
                                      own_relu ? Activation{} : act, y.acc);
    char* arena = lib.arena.get(aligned(p.scratchpad_bytes) + p.weights_bytes, "convolution scratch");
    bind_weights(lib, p, w.data, w_version, arena + aligned(p.scratchpad_bytes));
    if (bias) p.bias.set_data_handle(const_cast<void*>(bias.data));
    execute(lib, p, x.data, y.data, arena);
  });
  if (own_relu)
    with_type(y.dtype, [&]<class T>(T) {
      add_bias_and_activate(y.as<T>(), int64_t(size.n) * size.oh * size.ow, size.k, nullptr, act);
    });
}

void onednn_conv_bwd_data(const Conv2d& size, In dy, In w, uint64_t w_version, Out dx) {
  with_library("gradient of a convolution's input", size, [&](Library& lib) {
    ConvPrimitive& p =
        find_primitive(lib, size, dy.dtype, dx.dtype, Direction::bwd_data, false, {}, Acc::set);
    char* arena = lib.arena.get(aligned(p.scratchpad_bytes) + p.weights_bytes, "convolution scratch");
    bind_weights(lib, p, w.data, w_version, arena + aligned(p.scratchpad_bytes));
    execute(lib, p, dx.data, dy.data, arena);
  });
}

void onednn_conv_bwd_weight(const Conv2d& size, In x, In dy, Out dw) {
  with_library("gradient of a convolution's weights", size, [&](Library& lib) {
    ConvPrimitive& p = find_primitive(lib, size, x.dtype, x.dtype, Direction::bwd_weight, false, {}, dw.acc);
    char* arena = lib.arena.get(aligned(p.scratchpad_bytes) + p.weights_bytes, "convolution scratch");
    const bool direct = p.same_layout && dw.acc == Acc::set;
    char* own = direct ? reinterpret_cast<char*>(dw.as<float>()) : arena + aligned(p.scratchpad_bytes);
    p.weights_own.set_data_handle(own);
    execute(lib, p, x.data, dy.data, arena);
    if (direct) return;
    p.weights_plain.set_data_handle(dw.data);
    p.reorder.execute(lib.stream, p.weights_own, p.weights_plain);
  });
}

void onednn_gemm(bool transpose_a, bool transpose_b, int m, int n, int k, const float* a, const float* b,
                 Acc acc, float* c) {
  const dnnl::status status =
      dnnl::sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0f, a, transpose_a ? m : k, b,
                  transpose_b ? k : n, acc == Acc::add ? 1.0f : 0.0f, c, n);
  if (status != dnnl::status::success)
    fail(status == dnnl::status::out_of_memory ? Exit::out_of_memory : Exit::failure,
         "oneDNN matrix product ({},{}) x ({},{}): status {}", m, k, k, n, int(status));
}

namespace {
const Product& find_product(Library& lib, int threads, int m, int n, int k, const Strides& a,
                            const Strides& b, Acc acc, const Strides& c) {
  const ProductKey key{threads, m, n, k, a.row, a.column, b.row, b.column, c.row, c.column, int(acc)};
  const auto found = lib.products.find(key);
  if (found != lib.products.end()) return found->second;
  using dnnl::memory;
  const auto described = [](int rows, int columns, memory::data_type type, const Strides& s) {
    return memory::desc({rows, columns}, type, memory::dims{s.row, s.column});
  };
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (acc == Acc::add) {
    dnnl::post_ops add;
    add.append_sum(1.0f);
    attr.set_post_ops(add);
  }
  const auto values = memory::data_type::bf16;
  Product p{{},
            described(m, k, values, a),
            described(k, n, values, b),
            described(m, n, memory::data_type::f32, c),
            {}};
  dnnl::matmul::primitive_desc description;
  const auto describe = [&] { description = {{p.a, p.b, p.c}, attr, lib.engine}; };
  if (threads == 1) {
    // It asks how many threads it may use: in a region that is divided already, one.
#pragma omp parallel num_threads(2)
#pragma omp single
    describe();
  } else {
    describe();
  }
  p.primitive = dnnl::matmul(description);
  p.scratchpad = description.scratchpad_desc();
  return lib.products.emplace(key, std::move(p)).first->second;
}
}  // namespace

// Threads share out the products, and rows of them where that comes out more even: one region for all, where the
// library would start one for each product. A single product is the library's to divide.
void onednn_products(int64_t count, int m, int n, int k, const bf16* a, Strides a_strides, const bf16* b,
                     Strides b_strides, Acc acc, float* c, Strides c_strides) {
  try {
    Library& lib = library();
    std::lock_guard lock(lib.turn);
    const int all = omp_in_parallel() ? 1 : omp_get_max_threads();
    const int threads = count == 1 ? 1 : all,
              each = count == 1 ? all : 1;  // that share out products; of each product
    const int parts = count % threads == 0 ? 1 : std::clamp(m / 32, 1, threads);
    const int rows = (m + parts - 1) / parts, last_rows = m - rows * (parts - 1);
    const Product& whole = find_product(lib, each, rows, n, k, a_strides, b_strides, acc, c_strides);
    const Product& last = find_product(lib, each, last_rows, n, k, a_strides, b_strides, acc, c_strides);
    const size_t scratch = aligned(std::max(whole.scratchpad.get_size(), last.scratchpad.get_size()));
    char* arena = lib.arena.get(scratch * size_t(threads), "convolution scratch");
    while (int(lib.streams.size()) < threads) lib.streams.emplace_back(lib.engine);
    const auto run = [&](int64_t item, int thread) {
      const int64_t matrix = item / parts, first = item % parts * rows;
      const Product& p = item % parts + 1 == parts ? last : whole;
      const auto at = [&](const dnnl::memory::desc& description, const void* address) {
        return dnnl::memory(description, lib.engine, const_cast<void*>(address));
      };
      p.primitive.execute(lib.streams[size_t(thread)],
                          {{DNNL_ARG_SRC, at(p.a, a + matrix * a_strides.matrix + first * a_strides.row)},
                           {DNNL_ARG_WEIGHTS, at(p.b, b + matrix * b_strides.matrix)},
                           {DNNL_ARG_DST, at(p.c, c + matrix * c_strides.matrix + first * c_strides.row)},
                           {DNNL_ARG_SCRATCHPAD, at(p.scratchpad, arena + size_t(thread) * scratch)}});
    };
    if (threads == 1) {
      for (int64_t item = 0; item < count * parts; ++item) run(item, 0);
      return;
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t item = 0; item < count * parts; ++item) run(item, omp_get_thread_num());
  } catch (const dnnl::error& e) {
    fail(e.status == dnnl_out_of_memory ? Exit::out_of_memory : Exit::failure,
         "oneDNN: {} products of bfloat16 matrices ({},{}) x ({},{}): {}", count, m, k, k, n, e.what());
  }
}

bool multiplies_bf16() {
  using dnnl::cpu_isa;
  static const bool yes = [] {
    switch (dnnl::get_effective_cpu_isa()) {
      case cpu_isa::sse41:
      case cpu_isa::avx:
      case cpu_isa::avx2:
      case cpu_isa::avx2_vnni:
      case cpu_isa::avx512_core:
      case cpu_isa::avx512_core_vnni: return false;
      default: return true;  // each of those from AVX512-BF16 on
    }
  }();
  return yes;
}

// --------------------------------------------------------------------------------------------- questions

namespace {
template <class Args>
std::string describe(const Op<Args>& op, const Args& args, DType type, Direction direction, bool has_bias,
                     Activation act, Acc acc) {
  const std::string variant = op.pick(args).name;
  if (variant != "onednn") return variant;
  std::string implementation;
  with_library("convolution", args.size, [&](Library& lib) {
    implementation = find_primitive(lib, args.size, type, type, direction, has_bias, act, acc).implementation;
  });
  return variant + " " + implementation;
}
}  // namespace

std::string conv_implementation(const ConvFwd& a) {
  return describe(conv.fwd, a, a.x.dtype, Direction::fwd, bool(a.bias), a.act, a.y.acc);
}
std::string conv_implementation(const ConvBwdData& a) {
  return describe(conv.bwd_data, a, a.dy.dtype, Direction::bwd_data, false, {}, Acc::set);
}
std::string conv_implementation(const ConvBwdWeight& a) {
  return describe(conv.bwd_weight, a, a.x.dtype, Direction::bwd_weight, false, {}, a.dw.acc);
}

std::string onednn_version() {
  const dnnl_version_t* v = dnnl_version();
  return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
}

std::string onednn_isa() {
  using dnnl::cpu_isa;
  switch (dnnl::get_effective_cpu_isa()) {
    case cpu_isa::sse41: return "sse41";
    case cpu_isa::avx: return "avx";
    case cpu_isa::avx2: return "avx2";
    case cpu_isa::avx2_vnni: return "avx2_vnni";
    case cpu_isa::avx512_core: return "avx512_core";
    case cpu_isa::avx512_core_vnni: return "avx512_core_vnni";
    case cpu_isa::avx512_core_bf16: return "avx512_core_bf16";
    case cpu_isa::avx512_core_amx: return "avx512_core_amx";
    default: return fmt::format("oneDNN's number {:#x}", int(dnnl::get_effective_cpu_isa()));
  }
}

}  // namespace gan::cpu
