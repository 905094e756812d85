// The encoder in which comic, style and restyle compare pictures (models/networks/features.h), learnt from pictures
// without labels: a task whose answer is known for any picture, and which cannot be solved without looking.
//
//   encoder  picture (N,H,W,3) -> levels (N,H,W,32), (N,H/2,W/2,64), (N,H/4,W/4,96), (N,H/8,W/8,96)
//   head     levels -> the task's answer; thrown away afterwards
//
//   colour       from a picture without colour, the colours at each level (Zhang et al. 2016), l2
//   rotation     which of four turns a picture was given (Gidaris et al. 2018), one against the rest
//   halves       which two halves are of one picture, each in other colours (Zhai et al. 2023: pairs by sigmoids)
//   autoencoder  the picture from the coarsest level alone, l2
//
// It starts from the random filters. Its weights are those that --features takes.
#include "models/tasks/encoder.h"

#include <cmath>

#include "engine/tensor/picture_ops.h"
#include "models/losses/perceptual.h"
#include "models/networks/features.h"
#include "models/networks/style_decoder.h"

namespace gan {

namespace {

using See = std::function<Features(const Tensor&)>;

// A task: what it adds to the encoder, and how far an answer is from the right one.
class Lesson {
 public:
  virtual ~Lesson() = default;
  virtual void declare(Parameters& head, const std::vector<int>& channels) = 0;
  // What it needs on the device, for batches of pictures (batch,side,side,3).
  virtual void prepare(DeviceContext&, int /*batch*/, int /*side*/) {}
  // (1), of pictures (N,H,W,3); `jitter` (N,12) are normal numbers.
  virtual Tensor loss(const See& see, const Parameters& head, const Tensor& pictures, const Tensor& jitter,
                      const Pass& pass) const = 0;
  // What it makes of a picture, for tasks whose answer is one: (N,H,W,3).
  virtual bool makes_pictures() const { return false; }
  virtual Tensor make(const See&, const Parameters&, const Tensor&) const { return {}; }
  // A pass of the head, for `gan inspect`.
  virtual void describe(const See& see, const Parameters& head, const Tensor& pictures,
                        const Pass& pass) const = 0;
};

ConvBlock one_by_one(Parameters& p, const std::string& name, int in, int out) {
  return ConvBlock::make(p, name, in, out,
                         {.kind = ConvBlock::Kind::conv,
                          .conv = {.kernel = 1, .stride = 1, .pad = 0},
                          .bias = true,
                          .norm = NormKind::none,
                          .norm_name = {},
                          .act = kNoAct,
                          .deviation = 1 / std::sqrt(double(in))});
}

// ------------------------------------------------------------------------------------------------- colour

class Colouring : public Lesson {
 public:
  void declare(Parameters& head, const std::vector<int>& channels) override {
    for (size_t k = 0; k < channels.size(); ++k)
      guesses_.push_back(one_by_one(head, fmt::format("level{}", k + 1), channels[k], 2));
  }
  Tensor loss(const See& see, const Parameters& head, const Tensor& pictures, const Tensor&,
              const Pass& pass) const override {
    const Features levels = see(without_colour(pictures));
    Tensor colours = rgb_to_lab(pictures).ab, sum;  // (N,H,W,2), smaller with each level
    for (size_t k = 0; k < levels.size(); ++k) {
      if (k > 0) colours = average_pool(colours);
      const Tensor part =
          pixel_loss(guesses_[k](head, levels[k], pass), colours, PixelLossKind::l2, kScale).loss;
      sum = sum ? add(sum, part) : part;
    }
    return sum;
  }
  bool makes_pictures() const override { return true; }
  // The picture's lightness in the colours that the coarsest level guesses.
  Tensor make(const See& see, const Parameters& head, const Tensor& picture) const override {
    const Tensor coarse = guesses_.back()(head, see(without_colour(picture)).back(), {});
    return lab_to_rgb(rgb_to_lab(picture).l,
                      resize_bilinear(coarse, int(picture.dim(1)), int(picture.dim(2))));
  }
  void describe(const See& see, const Parameters& head, const Tensor& pictures,
                const Pass& pass) const override {
    const Features levels = see(pictures);
    for (size_t k = 0; k < levels.size(); ++k) guesses_[k](head, levels[k], pass);
  }

 private:
  static constexpr double kScale = 10;  // colours are small numbers: (a,b)/110
  std::vector<ConvBlock> guesses_;      // a level's channels -> (a,b)
};

// ----------------------------------------------------------------------------------------------- rotation

class Rotation : public Lesson {
 public:
  void declare(Parameters& head, const std::vector<int>& channels) override {
    votes_.push_back(one_by_one(head, "turns", channels.back(), kTurns));
  }
  void prepare(DeviceContext& context, int batch, int side) override {
    straight_ = Tensor(context, {batch, side, side});
    reversed_ = Tensor(context, {batch, side, side});
    if (context.planning()) return;
    std::vector<float> straight(size_t(straight_.count())), reversed(straight.size());
    for (int i = 0; i < batch; ++i)
      for (int k = 0; k < side; ++k) {
        const size_t row = (size_t(i) * size_t(side) + size_t(k)) * size_t(side);
        straight[row + size_t(k)] = 1;
        reversed[row + size_t(side - 1 - k)] = 1;
      }
    straight_.upload(std::span<const float>(straight));
    reversed_.upload(std::span<const float>(reversed));
  }
  Tensor loss(const See& see, const Parameters& head, const Tensor& pictures, const Tensor&,
              const Pass& pass) const override {
    const Tensor turned = upside_down(mirrored(pictures));
    const Tensor views[kTurns] = {pictures, turned, upside_down(mirrored(turned)),
                                  mirrored(upside_down(pictures))};
    Tensor sum;
    for (int turn = 0; turn < kTurns; ++turn) {
      const Tensor votes = vote(see(views[turn]), head, pass);
      for (int other = 0; other < kTurns; ++other) {
        const Tensor logit = slice_channels(votes, other, 1);
        const Tensor part =
            generator_loss(affine(logit, other == turn ? 1 : -1), GanLoss::vanilla, 1.0 / kTurns).loss;
        sum = sum ? add(sum, part) : part;
      }
    }
    return sum;
  }
  void describe(const See& see, const Parameters& head, const Tensor& pictures,
                const Pass& pass) const override {
    vote(see(pictures), head, pass);
  }

 private:
  static constexpr int kTurns = 4;
  // The mean of what each place of the coarsest level says: (N,1,1,4).
  Tensor vote(const Features& levels, const Parameters& head, const Pass& pass) const {
    return adaptive_average_pool(votes_[0](head, levels.back(), pass), 1, 1);
  }
  // Rows become columns: a product with the unit matrix whose first factor is transposed.
  Tensor mirrored(const Tensor& x) const {
    Tensor result;
    for (int c = 0; c < 3; ++c) {
      const Tensor channel = reshape(slice_channels(x, c, 1), {x.dim(0), x.dim(1), x.dim(2)});
      const Tensor turned = reshape(matmul(channel, straight_, true), {x.dim(0), x.dim(2), x.dim(1), 1});
      result = result ? concat_channels(result, turned) : turned;
    }
    return result;
  }
  Tensor upside_down(const Tensor& x) const {
    return reshape(matmul(reversed_, reshape(x, {x.dim(0), x.dim(1), x.dim(2) * 3})), x.shape());
  }
  std::vector<ConvBlock> votes_;
  Tensor straight_, reversed_;  // (N,side,side): the unit matrix, and its rows in reverse
};

// ------------------------------------------------------------------------------------------------- halves

class Halves : public Lesson {
 public:
  void declare(Parameters& head, const std::vector<int>& channels) override {
    int all = 0;
    for (const int count : channels) all += 2 * count;
    words_.push_back(one_by_one(head, "words", all, kWords));
  }
  void prepare(DeviceContext& context, int batch, int) override {
    const int rows = 2 * batch;
    partners_ = Tensor(context, {rows, rows});
    if (context.planning()) return;
    std::vector<float> values(size_t(partners_.count()), -1);
    for (int row = 0; row < rows; ++row) {
      values[size_t(row) * size_t(rows) + size_t(row)] = 0;  // itself is no question
      values[size_t(row) * size_t(rows) + size_t(row ^ 1)] = 1;
    }
    partners_.upload(std::span<const float>(values));
  }
  Tensor loss(const See& see, const Parameters& head, const Tensor& pictures, const Tensor& jitter,
              const Pass& pass) const override {
    const int64_t n = pictures.dim(0), h = pictures.dim(1) / 2, w = pictures.dim(2);
    const Tensor halves = reshape(pictures, {2 * n, h, w, 3});  // upper and lower ones in turn
    const Tensor light = resize_nearest(reshape(jitter, {2 * n, 1, 1, 6}), int(h), int(w));
    const Tensor gains = affine(slice_channels(light, 0, 3), 0.2, 1);
    const Tensor shifts = affine(slice_channels(light, 3, 3), 0.1);
    const Tensor words = words_of(see(add(multiply(halves, gains), shifts)), head, pass);
    // Cosines of all pairs, as logits.
    const Tensor logits = affine(matmul(words, words, false, true), kSharpness / kWords, kDoubt);
    return generator_loss(multiply(logits, partners_), GanLoss::vanilla, double(2 * n)).loss;
  }
  void describe(const See& see, const Parameters& head, const Tensor& pictures,
                const Pass& pass) const override {
    words_of(see(pictures), head, pass);
  }

 private:
  static constexpr int kWords = 64;
  static constexpr double kSharpness = 10, kDoubt = -4;
  // What is said of a picture, by the means and deviations of all levels' channels: (N,64) of mean 0, deviation 1.
  Tensor words_of(const Features& levels, const Parameters& head, const Pass& pass) const {
    Tensor all;
    for (const Tensor& level : levels) {
      const ChannelStatistics own = channel_statistics(level);
      const Tensor both = concat_channels(own.mean, own.deviation);
      all = all ? concat_channels(all, both) : both;
    }
    const Tensor words = words_[0](head, all, pass);
    return layer_norm(reshape(words, {words.dim(0), kWords}), {}, {});
  }
  std::vector<ConvBlock> words_;
  Tensor partners_;  // (2N,2N): 1 where two halves are of one picture, -1 where not, 0 of a half with itself
};

// -------------------------------------------------------------------------------------------- autoencoder

class Autoencoder : public Lesson {
 public:
  void declare(Parameters& head, const std::vector<int>& channels) override {
    decoder_ = std::make_unique<StyleDecoder>(
        head, StyleDecoderOptions{.channels = channels, .width = 16, .levels = 0});
  }
  Tensor loss(const See& see, const Parameters& head, const Tensor& pictures, const Tensor&,
              const Pass& pass) const override {
    return pixel_loss((*decoder_)(head, see(pictures), {}, pass), pictures, PixelLossKind::l2).loss;
  }
  bool makes_pictures() const override { return true; }
  Tensor make(const See& see, const Parameters& head, const Tensor& picture) const override {
    return (*decoder_)(head, see(picture), {}, {});
  }
  void describe(const See& see, const Parameters& head, const Tensor& pictures,
                const Pass& pass) const override {
    (*decoder_)(head, see(pictures), {}, pass);
  }

 private:
  std::unique_ptr<StyleDecoder> decoder_;
};

std::unique_ptr<Lesson> lesson_of(const std::string& task) {
  if (task == "colour") return std::make_unique<Colouring>();
  if (task == "rotation") return std::make_unique<Rotation>();
  if (task == "halves") return std::make_unique<Halves>();
  GAN_CHECK(task == "autoencoder", "no task is called {}", task);
  return std::make_unique<Autoencoder>();
}

// -------------------------------------------------------------------------------------------------- model

class EncoderModel : public Model {
 public:
  EncoderModel()
      : encoder_(add_network("encoder", {.averaged = false, .used = true, .weights_from = ""})),
        head_(add_network("head", {.averaged = false, .used = true, .weights_from = ""})),
        player_(add_player("encoder", {&encoder_, &head_})) {}

  UseSpec use() const override {
    return {.pictures = makes_pictures() ? std::vector<std::string>{"picture"} : std::vector<std::string>{},
            .controls = {}};
  }
  bool makes_pictures() const override { return lesson_->makes_pictures(); }
  int side_multiple() const override { return 8; }
  Tensor make(const Use& use) override {
    check_makes_pictures();
    const NoGradient quiet(encoder_.parameters.weights().context());
    return lesson_->make(see(), head_.parameters, picture(use, "picture"));
  }
  GridRow show(const std::map<std::string, Tensor>& example, const Use& use) override {
    const Tensor& picture = example.at("picture");
    Use one = use;
    one.pictures["picture"] = picture;
    return {.cells = {picture, make(one)}, .made = {1}};
  }

  void describe(DeviceContext& context, int batch, const std::string& network,
                const LayerObserver& tell) override {
    const NoGradient quiet(context);
    const Tensor picture = planned_input(context, batch).tensors.at("picture")[0];
    const Pass pass{.tell = tell};
    if (network == encoder_.name) (*levels_)(encoder_.parameters, picture, pass);
    else lesson_->describe(see(), head_.parameters, picture, pass);
  }

 protected:
  void declare() override {
    add_input({.name = "picture", .of = "picture"});
    add_input({.name = "jitter", .kind = InputSpec::Kind::noise, .of = "", .width = 12});
    const std::string kind = own_encoder;
    levels_ = std::make_unique<FeatureNetwork>(encoder_.parameters, kind, usual_taps(kind).style);
    lesson_ = lesson_of(config.get<EncoderSettings>().task);
    lesson_->declare(head_.parameters, levels_->channels());
  }

  void after_build(DeviceContext& context) override {
    lesson_->prepare(context, config.batch, config.size);
    if (!context.planning()) fill_filters(encoder_.parameters);
  }

  void learn(Step& step) override {
    Turn turn(step, player_);
    Tensor size;
    int passes = 0;
    const See seen = [&](const Tensor& picture) {
      const Features levels = (*levels_)(encoder_.parameters, picture);
      ++passes;
      for (size_t k = 0; k < levels.size(); ++k) {
        const Tensor square = affine(mean(multiply(levels[k], levels[k])), 1 / kMeanSquares[k], -1);
        const Tensor apart = multiply(square, square);
        size = size ? add(size, apart) : apart;
      }
      return levels;
    };
    const Tensor task =
        lesson_->loss(seen, head_.parameters, step.input("picture"), step.input("jitter"), step.pass());
    size = affine(size, 1.0 / passes);
    step.report("loss_task", task);
    step.report("loss_size", size);
    turn.learn(add(task, affine(size, config.get<EncoderSettings>().lambda_size)));
  }

 private:
  // Of the activations of random filters, level by level, on photos, comic pages and paintings of 128 pixels.
  static constexpr double kMeanSquares[] = {0.25, 0.22, 0.18, 0.2};

  See see() const {
    return [this](const Tensor& picture) { return (*levels_)(encoder_.parameters, picture); };
  }
  Network &encoder_, &head_;
  Player& player_;
  std::unique_ptr<FeatureNetwork> levels_;
  std::unique_ptr<Lesson> lesson_;
};

}  // namespace

// There is no paper of this encoder; these are its own values.
void encoder_preset(Config& c) {
  c.size = 96, c.load_size = 128;
  c.batch = 16, c.steps = 3000;
  c.lr = 1e-3, c.beta1 = 0.9, c.lr_policy = "cosine";
}

void encoder_tuned(Config&, bool) {}

void encoder_check(const Config& c) {
  if (c.channels != 3)
    fail(Exit::usage, "encoder learns from colour pictures: --channels 3, not {}", c.channels);
  // Half a picture has at least two pixels at the coarsest level.
  if (c.size < 32 || c.size % 16 != 0)
    fail(Exit::usage,
         "encoder halves its pictures four times: --size 96 or another multiple of 16 from 32 on, not {}",
         c.size);
  if (c.batch < 2) fail(Exit::usage, "encoder compares pictures: --batch 2 at least, not {}", c.batch);
}

std::unique_ptr<Model> make_encoder() { return std::make_unique<EncoderModel>(); }

}  // namespace gan
