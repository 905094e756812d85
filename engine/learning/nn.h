// Networks: named parameters in one flat buffer, and the layers that own a few of them.
//
// A network declares its layers first; build() then lays all parameters out in one flat buffer (each tensor
// padded with zeros to 128 bytes), with a flat gradient beside it, so that the optimiser, the gradient norm
// and the moving average are one launch each. Running statistics live in a flat buffer of their own.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/tensor/ops.h"

namespace gan {

// How a parameter's elements lie in PyTorch, where files are concerned. In memory convolutions are
// (O,kh,kw,I) and pictures (H,W,C); nothing but reading and writing files knows the other order.
enum class Layout {
  plain,  // the same here and there
  conv,  // (O,kh,kw,I) here, (O,I,kh,kw) there; a transposed convolution's (in,out,kh,kw) is its mirror's O,I
  rows_picture,     // rows are a picture's elements: (H,W,C) here, (C,H,W) there (weights (rows,in), biases
                    // (rows))
  columns_picture,  // the same for the columns of (out,columns)
};

struct ParameterInfo {
  std::string name;  // in PyTorch's words: "main.0.weight"
  Shape shape;       // here
  Layout layout = Layout::plain;
  Shape picture;                   // (H,W,C) for the picture layouts
  double mean = 0, deviation = 0;  // of the normal initialisation; deviation 0: the constant `mean`
  int repeat = 1;                  // so many neighbours along the first dimension start equal
  bool unit = false;               // what was drawn is scaled to length 1
  bool buffer = false;             // running statistics: not learnt
  int64_t offset = 0;              // elements from the start of its flat buffer; set by build()

  Shape file_shape() const;  // in PyTorch's order
  template <class T>         // float, double
  std::vector<T> to_file(std::span<const T> values) const;
  std::vector<float> from_file(std::span<const float> values) const;
};

class Parameters {
 public:
  // Declares one; the index names it. Call before build().
  int declare(ParameterInfo info);

  // Allocates and initialises: element i of a parameter is element i + offset of the random stream.
  void build(DeviceContext& context, uint64_t seed, uint32_t stream);
  // The same without gradients and initial values: for a trained network that is only used. Its running
  // statistics never move.
  void build_for_use(DeviceContext& context);
  bool built() const { return bool(weights_); }

  // For use in a forward pass: knows the tape unless the network is frozen. Weights that products read, which are those
  // of two dimensions and more, are in the context's type of activations, and their gradients float32 all the same.
  Tensor operator[](int index) const;
  // The same as it is learnt.
  Tensor learnt(int index) const;
  // Without the tape.
  Tensor value(int index) const;
  Tensor gradient(int index) const;

  const std::vector<ParameterInfo>& infos() const { return infos_; }
  bool statistics_move() const { return !still_; }
  int64_t learnt_count() const;  // elements, without padding and running statistics

  Tensor weights() const { return weights_; }  // flat, (padded count)
  Tensor gradients() const { return gradients_; }
  Tensor average() const { return average_; }        // of the weights, or empty
  Tensor statistics() const { return statistics_; }  // running ones, flat
  // The weights once more in the context's type of activations, flat; empty where that is the learnt ones' own. An
  // optimiser that writes it together with them says so; otherwise it is made again when it is asked for.
  Tensor rounded() const { return rounded_; }
  void rounded_is_current() const;
  void round_weights() const;  // makes it again where the weights have changed since
  void keep_average();         // starts as a copy of the weights

  // Before a backward pass: what arrives first overwrites.
  void forget_gradients();
  // After it: parameters that received nothing get zeros, so that flat kernels may read everything.
  void complete_gradients();

  // One parameter's values in file order (PyTorch's), from the weights or the average.
  std::vector<float> export_values(int index, const Tensor& flat) const;
  void import_values(int index, std::span<const float> values, const Tensor& flat) const;
  // A slice of a flat buffer laid out like the weights (a moment, the average) or of the running statistics.
  Tensor slice(int index, const Tensor& flat) const;

 private:
  friend class Freeze;
  friend class UseAverage;
  friend class KeepStatistics;
  void lay_out(DeviceContext& context);
  void initialise(uint64_t seed, uint32_t stream);  // draws the weights
  std::vector<ParameterInfo> infos_;
  std::vector<std::shared_ptr<Gradient>> slots_;  // one per info; null for running statistics
  Tensor weights_, gradients_, statistics_, average_, rounded_;
  mutable uint64_t rounded_of_ = 0;  // version of the weights that rounded_ has
  bool frozen_ = false, averaged_ = false, still_ = false;
};

// Inside its scope a network's parameters want no gradient: the other player's step.
class Freeze : ScopedFlag {
 public:
  explicit Freeze(Parameters& p) : ScopedFlag(p.frozen_, true) {}
};

// Inside its scope a network computes with its averaged weights, if it keeps any.
class UseAverage : ScopedFlag {
 public:
  explicit UseAverage(Parameters& p) : ScopedFlag(p.averaged_, bool(p.average_)) {}
};

// Inside its scope running statistics do not move: a forward pass by batch statistics that is not training.
class KeepStatistics : ScopedFlag {
 public:
  explicit KeepStatistics(Parameters& p) : ScopedFlag(p.still_, true) {}
};

// --------------------------------------------------------------------------------------------------- layers
// A layer declares its parameters in its constructor and is called with the Parameters they were declared in.

enum class Statistics {
  batch,
  running
};  // what batch normalisation uses: the batch at hand, or what was learnt

// Spectral normalisation (Miyato et al. 2018) as torch.nn.utils.spectral_norm has it: a weight is divided by an estimate
// of its largest singular value, u^T W v, where W is the weight as a matrix with a row for each output channel. A
// forward pass by batch statistics moves the unit vectors u and v one step of power iteration on, unless running
// statistics stand still; gradients take them for constants. They start random and are kept as running statistics are.
struct SpectralNorm {
  int u = -1, v = -1;         // "<weight>_u" (outputs), "<weight>_v" (the other sizes' product); -1: none
  bool outputs_last = false;  // as in a transposed convolution's weight (in,kh,kw,out)
  static SpectralNorm make(Parameters& p, const std::string& weight, const Shape& shape, bool outputs_last);
  // The weight to compute with, given the one that is learnt.
  Tensor operator()(const Parameters& p, const Tensor& weight, Statistics statistics) const;
};

struct ConvLayer {
  ConvOptions options;
  bool transposed = false;
  int weight = -1, bias = -1;
  SpectralNorm spectral = {};
  // name "main.0" declares "main.0.weight" and, with_bias, "main.0.bias". repeat: of the weights of `repeat`
  // neighbouring outputs that start equal (ICNR, before a pixel shuffle). with_spectral: the weight is
  // "main.0.weight_orig", with the vectors of its SpectralNorm.
  static ConvLayer make(Parameters& p, const std::string& name, int in, int out, ConvOptions options,
                        bool transposed, bool with_bias, double deviation = 0.02, int repeat = 1,
                        bool with_spectral = false);
  Tensor operator()(const Parameters& p, const Tensor& x, Activation act, Statistics statistics) const;
};

struct NormLayer {
  NormKind kind = NormKind::none;
  int gamma = -1, beta = -1, running_mean = -1, running_var = -1;
  // Batch: gamma N(1, 0.02), beta 0, running statistics. Instance: no parameters. None: nothing, only `act`
  // is applied.
  static NormLayer make(Parameters& p, const std::string& name, NormKind kind, int channels);
  // batches: as in normalise()
  Tensor operator()(const Parameters& p, const Tensor& x, Activation act, Statistics statistics,
                    int batches = 1) const;
};

struct LinearLayer {
  int weight = -1, bias = -1;
  Tensor operator()(const Parameters& p, const Tensor& x, Activation act = {}) const;
};

}  // namespace gan
