// How an operation says what it needs: ports, which are its buffers, and sizes by name.
//
// The argument struct of an operation (contract/<family>.h) has, beside its members,
//
//   op         its name
//   ports()    the one list of its buffers, as a constant array
//   sizes(s)   visits what its buffers' shapes are computed from, and its options
//   wrong()    why these sizes and options cannot be computed, or null
//
// From these derive the checks before every launch (check_arguments), the tests' table of cases, what
// gan-watch and bench_rungs run, and what `gan kernels` asks a variant.
#pragma once
#include <array>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "kernels/contract/buffers.h"

namespace gan {

// The size of a buffer, dimension by dimension; row-major.
struct Extents {
  std::array<int64_t, 4> sizes = {};
  int rank = 0;
  constexpr Extents(std::initializer_list<int64_t> dimensions) {
    for (int64_t size : dimensions) sizes[size_t(rank++)] = size;
  }
  constexpr int64_t count() const {
    int64_t product = 1;
    for (int i = 0; i < rank; ++i) product *= sizes[size_t(i)];
    return product;
  }
};

// What the elements of a buffer are stored as.
enum class Kind : uint8_t {
  value,    // activations, weights: float32 or bfloat16 (float64 on ref)
  float32,  // statistics, losses, gradients of weights, optimiser state: always float32 (float64 on ref)
  index,    // i32
  byte,     // u8
};

// Members of an argument struct.
template <class Args>
using InOf = In Args::*;
template <class Args>
using OutOf = Out Args::*;

// One buffer of an operation: a member of its argument struct, In or Out.
template <class Args>
struct Port {
  const char* name;
  InOf<Args> in;  // one of the two
  OutOf<Args> out;
  Extents (*extents)(const Args&);
  Kind kind = Kind::value;
  bool is_read = false, is_written = false;
  bool is_optional = false;  // may be null: an input that is not there, an output that is not wanted
  bool only_set = false;     // an output that cannot be added to: Acc::set
  bool is_positive = false;  // its elements are above 0
  int64_t (*limit)(const Args&, int64_t i) = nullptr;  // index: element i is at least 0 and below this

  // The same port with one more property.
  constexpr Port optional() const {
    Port p = *this;
    p.is_optional = true;
    return p;
  }
  constexpr Port set_only() const {
    Port p = *this;
    p.only_set = true;
    return p;
  }
  constexpr Port positive() const {
    Port p = *this;
    p.is_positive = true;
    return p;
  }
  constexpr Port below(int64_t (*most)(const Args&, int64_t)) const {
    Port p = *this;
    p.limit = most;
    return p;
  }
};

// Extents as a plain function of the arguments: a lambda without captures, or the name of a function below.
template <class Args>
using ExtentsOf = std::type_identity_t<Extents (*)(const Args&)>;

// The ports of an operation are written with these three.
template <class Args>
constexpr Port<Args> reads(const char* name, In Args::*member, ExtentsOf<Args> extents,
                           Kind kind = Kind::value) {
  return {name, member, nullptr, extents, kind, true, false};
}
template <class Args>
constexpr Port<Args> writes(const char* name, Out Args::*member, ExtentsOf<Args> extents,
                            Kind kind = Kind::value) {
  return {name, nullptr, member, extents, kind, false, true};
}
// An output whose old contents count whatever Acc says: state that is moved on, or of which a part is
// written.
template <class Args>
constexpr Port<Args> updates(const char* name, Out Args::*member, ExtentsOf<Args> extents,
                             Kind kind = Kind::value) {
  return {name, nullptr, member, extents, kind, true, true};
}

// Extents that many operations share.
template <class Args>
Extents scalar(const Args&) {
  return {1};
}
template <class Args>
Extents elements(const Args& a) {
  return {a.count};
}

// Visits the sizes and options of an operation by name: a tool fills them in, a message lists them.
class Sizes {
 public:
  virtual ~Sizes() = default;
  // small: for looking at one launch. usual: of a layer in training. Never below `least`.
  virtual void size(const char* key, int64_t& value, int64_t small, int64_t usual, int64_t least = 1) = 0;
  // value: the index of a word; the first is the default.
  virtual void choice(const char* key, int& value, std::initializer_list<const char*> words) = 0;
  // An optional port that a tool binds only when asked to. The others it always binds.
  virtual void seldom(const char* port) = 0;

  void size(const char* key, int& value, int small, int usual, int least = 1);
  void flag(const char* key, bool& value);  // 0 (the default) or 1
  template <class E>
  requires std::is_enum_v<E>
  void choice(const char* key, E& value, std::initializer_list<const char*> words) {
    int index = int(value);
    choice(key, index, words);
    value = E(index);
  }
  void activation(Activation& act);  // "act"
};

namespace detail {
// One port of a call: what the check of it needs to know.
struct BoundPort {
  const char* name;
  const void* data;
  DType dtype;
  Acc acc;
  int64_t count;
  Kind kind;
  bool optional, only_set;
};
// Throws unless every buffer that must be there is, of a type that its kind allows.
void check_ports(const char* op, const BoundPort* ports, size_t count);
[[noreturn]] void refuse_sizes(const char* op, const char* why, const std::string& sizes);
}  // namespace detail

// The sizes of arguments as they are, in words: "count=7,act=none".
class ListedSizes : public Sizes {
 public:
  std::string text;
  using Sizes::choice, Sizes::size;
  void size(const char* key, int64_t& value, int64_t small, int64_t usual, int64_t least) override;
  void choice(const char* key, int& value, std::initializer_list<const char*> words) override;
  void seldom(const char*) override {}
};
template <class Args>
std::string text_of_sizes(Args args) {
  ListedSizes list;
  args.sizes(list);
  return list.text;
}

// What every launch begins with; throws gan::Error that names the operation, and the buffer or the sizes.
template <class Args>
void check_arguments(const Args& args) {
  if (const char* why = args.wrong()) detail::refuse_sizes(Args::op, why, text_of_sizes(args));
  constexpr auto ports = Args::ports();
  std::array<detail::BoundPort, ports.size()> bound;
  for (size_t i = 0; i < ports.size(); ++i) {
    const Port<Args>& p = ports[i];
    const int64_t count = p.extents(args).count();
    bound[i] = {p.name, nullptr, DType::f32, Acc::set, count, p.kind, p.is_optional, p.only_set};
    if (p.in) bound[i].data = (args.*p.in).data, bound[i].dtype = (args.*p.in).dtype;
    else
      bound[i].data = (args.*p.out).data, bound[i].dtype = (args.*p.out).dtype,
      bound[i].acc = (args.*p.out).acc;
  }
  detail::check_ports(Args::op, bound.data(), bound.size());
}

}  // namespace gan
