// What the tape keeps of one operation: a record, a plain struct of the operation's own type.
//
// A record holds the operation's inputs, its sizes and attributes, and what the forward pass saved; never its
// output, only a copy of it that does not know the tape (detach()). Adding an operation is one struct and one
// function in engine/tensor/ops/<family>.cpp, and a line in engine/tensor/ops.h. Say y = x^2, from a kernel `square`:
//
//   namespace {
//   struct SquareRecord {
//     Tensor x;
//     const char* name() const { return "square"; }
//     Tensors inputs() const { return {&x}; }
//     void backward_in_operations(const Tensor& dy, Gradients& to) const {
//       if (to.wants(x)) to.give(x, multiply(affine(x, 2), dy));
//     }
//     Exported exported() const { return exported_as("Pow", {}, {{"exponent", 2.0}}); }
//   };
//   }  // namespace
//
//   Tensor square(const Tensor& x) {
//     Tensor y(x.context(), x.shape(), x.dtype());
//     ... run the kernel ...
//     record(y, SquareRecord{x});
//     return y;
//   }
//
// What a record says of its gradient is one of three:
//   backward_in_operations(dy, to)  The backward pass in operations, which can be differentiated in turn. The
//                                   tape also runs it, without recording, as the plain backward pass.
//   refuses_second_gradient         Text: the remedy. Then backward(dy) must be there.
//   refuses_gradient                Text: the remedy. The operation refuses inputs that want a gradient.
// Optional: backward(dy), the backward pass by kernels, where those do better than single operations;
// attributes(), for those who read the tape. tests/engine/test_second_gradients.cpp has one row for each operation
// and fails when there is none.
#pragma once
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "engine/tensor/tensor.h"

namespace gan {

// ------------------------------------------------------------------------------------ description and export

struct Attribute {
  std::string name;
  std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>> value;
};
using Attributes = std::vector<Attribute>;
std::string to_string(const Attributes& attributes);  // "kernel=4 stride=2 act=relu"

const char* name_of(Act act);  // "leaky_relu"
// Appends what `act` is; nothing for none.
void add_activation(Attributes& attributes, Activation act);

// One operator of an ONNX graph (opset 21). Pictures (N,H,W,C) are (N,C,H,W) in such a graph, weights have
// PyTorch's layouts; whoever writes the file turns the data, and `attributes` count dimensions that way.
struct ExportedOperator {
  std::string type;  // "Conv"
  Attributes attributes = {};
  Attributes constants = {};  // inputs that follow and are numbers: a shape, a factor
};
// An operation as ONNX has it: a chain of operators. The first takes the record's inputs in their order,
// every other one what the one before it gives.
struct Exported {
  std::vector<ExportedOperator> chain = {};
  std::string refusal = {};  // not empty: why there is no chain

  Exported then(std::string type, Attributes attributes = {}, Attributes constants = {}) const;
  Exported then(Activation act) const;
};
Exported exported_as(std::string type, Attributes attributes = {}, Attributes constants = {});
Exported not_exported(std::string why);
// For what only backward passes are made of.
Exported exported_never();

// ------------------------------------------------------------------------------------------------- gradients

// A record's inputs, in order; those that are not there are empty tensors.
using Tensors = std::vector<const Tensor*>;

// Where a backward pass written in operations takes its gradients: in a plain backward pass to the gradients
// of the inputs, in Tape::gradients() to sums that the tape knows.
class Gradients {
 public:
  using Sums = std::map<const Gradient*, Tensor>;
  using Slots = std::set<const Gradient*>;

  // Of a plain backward pass.
  Gradients() = default;
  // Of one operation whose output's gradient is collected in `output`; only inputs in `needed` are wanted.
  Gradients(Sums& sums, const Slots& needed, std::shared_ptr<Gradient> output)
      : sums_(&sums), needed_(&needed), output_(std::move(output)) {}

  bool wants(const Tensor& input) const;
  // Adds to the gradient of an input that is wanted.
  void give(const Tensor& input, const Tensor& gradient);
  // The operation's output as the tape knows it, from the copy that its record saved.
  Tensor output(const Tensor& saved) const;

 private:
  Sums* sums_ = nullptr;
  const Slots* needed_ = nullptr;
  std::shared_ptr<Gradient> output_;
};

// --------------------------------------------------------------------------------------- records on the tape

// A record of any type, as the tape sees it.
class AnyRecord {
 public:
  virtual ~AnyRecord() = default;
  virtual const char* name() const = 0;
  virtual Tensors inputs() const = 0;
  virtual Attributes attributes() const = 0;
  virtual Exported exported() const = 0;
  // The remedy, where the operation has no gradient or none that can be differentiated; else null.
  virtual const char* refuses_gradient() const = 0;
  virtual const char* refuses_second_gradient() const = 0;
  // Adds to the gradients of the inputs, given that of the output.
  virtual void backward(const Tensor& dy) const = 0;
  virtual void backward_in_operations(const Tensor& dy, Gradients& to) const = 0;
};

// Passes each question on to the plain struct, and answers those that it leaves out.
template <class R>
class RecordOf final : public AnyRecord {
 public:
  explicit RecordOf(R record) : record_(std::move(record)) {}
  const char* name() const override { return record_.name(); }
  Tensors inputs() const override { return record_.inputs(); }
  Attributes attributes() const override {
    if constexpr (requires(const R& r) { r.attributes(); }) return record_.attributes();
    else return {};
  }
  Exported exported() const override { return record_.exported(); }
  const char* refuses_gradient() const override {
    if constexpr (requires { R::refuses_gradient; }) return R::refuses_gradient;
    else return nullptr;
  }
  const char* refuses_second_gradient() const override {
    if constexpr (requires { R::refuses_second_gradient; }) return R::refuses_second_gradient;
    else return refuses_gradient();
  }
  void backward(const Tensor& dy) const override {
    if constexpr (requires(const R& r) { r.backward(dy); }) {
      record_.backward(dy);
    } else if constexpr (in_operations) {
      Gradients to;
      record_.backward_in_operations(dy, to);
    }
  }
  void backward_in_operations(const Tensor& dy, Gradients& to) const override {
    if constexpr (in_operations) record_.backward_in_operations(dy, to);
  }

 private:
  static constexpr bool in_operations = requires(const R& r, const Tensor& dy, Gradients& to) {
    r.backward_in_operations(dy, to);
  };
  static constexpr bool by_kernels = requires(const R& r, const Tensor& dy) { r.backward(dy); };
  static constexpr bool refuses_second = requires { R::refuses_second_gradient; };
  static constexpr bool refuses_any = requires { R::refuses_gradient; };
  static_assert(
      in_operations + refuses_second + refuses_any == 1,
      "a record has backward_in_operations, or says why not: see the head of engine/tensor/record.h");
  static_assert(!refuses_second || by_kernels, "without a second gradient there must be backward(dy)");
  R record_;
};

}  // namespace gan
