// Top to bottom: the networks behind the rows, the rows, recognising a file, loading it.
#include "models/use/published.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "engine/settings/words.h"
#include "engine/tensor/picture_ops.h"
#include "models/networks/adain.h"
#include "models/networks/animegan2.h"
#include "models/networks/resnet.h"
#include "models/networks/style_net.h"
#include "models/networks/unet.h"

namespace gan {
namespace {

// The extent `dimension` of a tensor that has `rank` of them; Exit::bad_data if it is not there or has others.
int extent(const WeightsFile& file, const std::string& name, size_t rank, size_t dimension) {
  constexpr int64_t widest = 1 << 16;
  const WeightsFile::Entry* entry = file.find(name);
  if (!entry) fail(Exit::bad_data, "{}: has no tensor `{}`", file.path().string(), name);
  if (entry->shape.size() != rank || entry->shape[dimension] < 1 || entry->shape[dimension] > widest)
    fail(Exit::bad_data, "{}: tensor `{}` is {}, which is none of such a network", file.path().string(), name,
         shape_text(entry->shape));
  return int(entry->shape[dimension]);
}

Parameters& add_part(PublishedNetwork& network, const std::string& what) {
  network.parts.push_back(std::make_unique<PublishedNetwork::Part>());
  network.parts.back()->what = what;
  return network.parts.back()->parameters;
}

// ---- animegan2 ----

class PublishedAnimeGan2 : public PublishedNetwork {
 public:
  PublishedAnimeGan2(const WeightsFile& file, const PublishedUse& use)
      : generator_(add_part(*this, "animegan2's generator"),
                   {.width = extent(file, "block_a.0.1.weight", 4, 0), .align_corners = use.align_corners}) {}
  int side_multiple() const override { return generator_.side_multiple(); }
  Tensor run(const Tensor& x, const PublishedUse&) const override {
    return generator_(parts[0]->parameters, x, {});
  }

 private:
  AnimeGan2 generator_;
};

// ---- fast-style ----

class PublishedStyleNet : public PublishedNetwork {
 public:
  explicit PublishedStyleNet(const WeightsFile& file)
      : generator_(add_part(*this, "fast-style's generator"), extent(file, "conv1.conv2d.weight", 4, 0)) {}
  int side_multiple() const override { return generator_.side_multiple(); }
  Tensor run(const Tensor& x, const PublishedUse&) const override {
    const Tensor made = generator_(parts[0]->parameters, affine(x, 127.5, 127.5), {});
    return affine(made, 1 / 127.5, -1);
  }

 private:
  StyleNet generator_;
};

// ---- adain ----

class PublishedAdain : public PublishedNetwork {
 public:
  PublishedAdain(const WeightsFile& file, const WeightsFile& features)
      : decoder_(add_part(*this, "adain's decoder"), extent(file, "28.weight", 4, 1)),
        encoder_(add_part(*this, "adain's normalised VGG"), extent(features, "2.weight", 4, 0)) {
    parts[1]->more_in_file = true;  // its layers behind relu4_1
    if (extent(file, "28.weight", 4, 1) != extent(features, "2.weight", 4, 0))
      fail(Exit::bad_data, "{} and {} do not belong together: one has {} channels where the other has {}",
           file.path().string(), features.path().string(), extent(file, "28.weight", 4, 1),
           extent(features, "2.weight", 4, 0));
  }
  int side_multiple() const override { return 8; }
  int least_side() const override { return 9; }
  Image prepare(const Image& picture, const PublishedUse& use) const override {
    const int side = use.load_size.value_or(512);
    return side == 0 ? picture : resize_shorter_side(picture, side);
  }
  void take_style(DeviceContext& context, const Image& picture, const PublishedUse&) override {
    NoGradient quiet(context);
    std::vector<float> values(picture.pixels.begin(), picture.pixels.end());
    for (float& value : values) value /= 255;
    Tensor x(context, {1, picture.height, picture.width, picture.channels});
    x.upload(std::span<const float>(values));
    style_ = channel_statistics(encoder_(parts[1]->parameters, x, {}));
  }
  Tensor run(const Tensor& x, const PublishedUse& use) const override {
    const Tensor features = encoder_(parts[1]->parameters, affine(x, 0.5, 0.5), {});
    const ChannelStatistics own = channel_statistics(features);
    Tensor styled = with_statistics(features, own, style_.mean ? style_ : own);  // a plan has seen no style
    styled = blend(features, styled, use.alpha);
    return affine(decoder_(parts[0]->parameters, styled, {}), 2, -1);
  }

 private:
  AdainDecoder decoder_;
  AdainEncoder encoder_;
  ChannelStatistics style_;
};

// ---- pix2pix, cyclegan ----

// Which norm a generator of pytorch-CycleGAN-and-pix2pix was made with: batch norm has gains behind the first
// convolution that has a norm, and instance norm comes with biases.
NormKind norm_of(const WeightsFile& file, const std::string& gains, const std::string& first_bias) {
  if (file.has(gains)) return NormKind::batch;
  return file.has(first_bias) ? NormKind::instance : NormKind::none;
}

class PublishedTranslation : public PublishedNetwork {
 public:
  explicit PublishedTranslation(const WeightsFile& file) {
    Parameters& p = add_part(*this, "the generator");
    int out = 0;
    if (file.has("model.model.0.weight")) {
      UnetOptions o;
      o.in = extent(file, "model.model.0.weight", 4, 1), o.width = extent(file, "model.model.0.weight", 4, 0);
      o.out = out = extent(file, "model.model.3.bias", 1, 0);
      o.norm = norm_of(file, "model.model.1.model.2.weight", "model.model.0.bias");
      o.dropout = true;  // where it has some; PublishedUse decides
      o.downs = 1;
      for (std::string level = "model.model.1.model"; file.has(level + ".1.weight"); level += ".3.model")
        ++o.downs;
      constexpr int fewest = 5, most = 10;
      if (o.downs < fewest || o.downs > most)
        fail(Exit::bad_data, "{}: a U-Net of {} levels; {} to {} are known", file.path().string(), o.downs,
             fewest, most);
      channels_ = o.in;
      parts[0]->what = fmt::format("a U-Net of {} levels", o.downs);
      generator_ = std::make_unique<Unet>(p, o);
    } else {
      ResnetOptions o;
      o.in = extent(file, "model.1.weight", 4, 1), o.width = extent(file, "model.1.weight", 4, 0);
      o.norm = norm_of(file, "model.2.weight", "model.1.bias");
      constexpr int most = 64;
      o.blocks = 0;
      while (o.blocks < most && file.has(fmt::format("model.{}.conv_block.1.weight", 10 + o.blocks)))
        ++o.blocks;
      o.dropout = o.blocks > 0 && !file.has("model.10.conv_block.5.weight");
      o.out = out = extent(file, fmt::format("model.{}.bias", 17 + o.blocks), 1, 0);
      channels_ = o.in;
      parts[0]->what = fmt::format("a generator of {} residual blocks", o.blocks);
      generator_ = std::make_unique<Resnet>(p, o);
    }
    if (out != channels_ || (channels_ != 1 && channels_ != 3))
      fail(Exit::bad_data, "{}: makes {} channels of {}; pictures of 1 or 3 are translated",
           file.path().string(), out, channels_);
  }
  int channels() const override { return channels_; }
  int side_multiple() const override { return generator_->side_multiple(); }
  int least_side() const override { return 1; }
  bool takes_any_size() const override { return false; }
  Image prepare(const Image& picture, const PublishedUse& use) const override {
    const int side = use.load_size.value_or(256);
    return side == 0 ? picture : resize(picture, side, side, Filter::bicubic);
  }
  Tensor run(const Tensor& x, const PublishedUse& use) const override {
    return (*generator_)(parts[0]->parameters, x,
                         {.statistics = use.statistics, .dropout = use.dropout, .seed = use.seed});
  }

 private:
  std::unique_ptr<Generator> generator_;
  int channels_ = 3;
};

std::unique_ptr<PublishedNetwork> declare_translation(const WeightsFile& file, const WeightsFile*,
                                                      const PublishedUse&) {
  return std::make_unique<PublishedTranslation>(file);
}

}  // namespace

// ---- the rows ----

std::span<const PublishedForm> published_forms() {
  static const PublishedForm forms[] = {
      {.name = "animegan2",
       .summary =
           "photos to drawings, AnimeGANv2: paprika, face_paint_512_v1, face_paint_512_v2, celeba_distill",
       .source = "github.com/bryandlee/animegan2-pytorch, folder weights",
       .licence =
           "the port is MIT; the weights of paprika come from github.com/TachibanaYoshino/AnimeGANv2, which allows "
           "use that is not commercial; read both before you publish",
       .sizes =
           "sides are rounded down to a multiple of 4, as with test.py and its defaults; --align-corners is its "
           "--upsample_align and the default of face2paint: pictures keep their size. --x32 is up to you",
       .example = "gan translate face_paint_512_v2.pt photo.jpg --out drawings",
       .mark = "block_a.0.1.weight",
       .recognises =
           [](const WeightsFile& f) { return f.has("block_a.0.1.weight") && f.has("out_layer.0.weight"); },
       .declare = [](const WeightsFile& f, const WeightsFile*, const PublishedUse& use)
           -> std::unique_ptr<PublishedNetwork> { return std::make_unique<PublishedAnimeGan2>(f, use); }},
      {.name = "fast-style",
       .summary =
           "photos in one style each: candy, mosaic, rain_princess, udnie, and what you train with that program",
       .source = "github.com/pytorch/examples, fast_neural_style; download_saved_models.py fetches them",
       .licence = "BSD 3-Clause (the repository)",
       .sizes = "pictures keep their size, rounded up to a multiple of 4",
       .example = "gan translate mosaic.pth holidays/ --out mosaics",
       .mark = "deconv3.conv2d.weight",
       .recognises =
           [](const WeightsFile& f) { return f.has("deconv3.conv2d.weight") && f.has("in1.weight"); },
       .declare = [](const WeightsFile& f, const WeightsFile*, const PublishedUse&)
           -> std::unique_ptr<PublishedNetwork> { return std::make_unique<PublishedStyleNet>(f); }},
      {.name = "adain",
       .summary = "photos in the style of any picture: decoder.pth, with vgg_normalised.pth for --features",
       .source = "github.com/naoto0804/pytorch-AdaIN, release v0.0.0",
       .licence = "MIT (the repository)",
       .sizes =
           "the shorter side of picture and style becomes 512 (--load-size N; 0: as they are), sides of the result "
           "are rounded up to a multiple of 8",
       .example =
           "gan translate decoder.pth photo.jpg --features vgg_normalised.pth --style art.jpg --out styled",
       .mark = "28.weight",
       .recognises =
           [](const WeightsFile& f) {
             return f.has("1.weight") && f.has("28.weight") && !f.has("0.weight") && f.tensors().size() == 18;
           },
       .declare = [](const WeightsFile& f, const WeightsFile* features, const PublishedUse&)
           -> std::unique_ptr<PublishedNetwork> { return std::make_unique<PublishedAdain>(f, *features); },
       .has_style = true},
      {.name = "pix2pix",
       .summary = "U-Nets of pairs: edges2shoes, sat2map, map2sat, facades_label2photo, day2night",
       .source =
           "github.com/junyanz/pytorch-CycleGAN-and-pix2pix; scripts/download_pix2pix_model.sh NAME fetches them",
       .licence = "BSD (the repository); the data sets have terms of their own",
       .sizes =
           "pictures become 256x256 (--load-size N; 0: as they are, mirrored up to the network's multiple). Batch norm "
           "uses each picture's statistics; --norm-mode running is the script's --eval, --dropout its default",
       .example = "gan translate facades_label2photo.pth labels/ --out photos",
       .mark = "model.model.0.weight",
       .recognises = [](const WeightsFile& f) { return f.has("model.model.0.weight"); },
       .declare = declare_translation},
      {.name = "cyclegan",
       .summary =
           "residual generators without pairs: horse2zebra, style_monet, style_vangogh, summer2winter_yosemite ...",
       .source =
           "github.com/junyanz/pytorch-CycleGAN-and-pix2pix; scripts/download_cyclegan_model.sh NAME fetches them",
       .licence = "BSD (the repository); the data sets have terms of their own",
       .sizes = "as pix2pix",
       .example = "gan translate horse2zebra.pth horses/ --out zebras",
       .mark = "model.10.conv_block.1.weight",
       .recognises =
           [](const WeightsFile& f) {
             return f.has("model.1.weight") && f.has("model.10.conv_block.1.weight");
           },
       .declare = declare_translation},
  };
  return forms;
}

const PublishedForm& find_published_form(const std::string& name) {
  std::vector<std::string> names;
  for (const PublishedForm& form : published_forms()) {
    if (name == form.name) return form;
    names.push_back(form.name);
  }
  const std::string nearest = nearest_word(names, name, 2);
  fail(Exit::usage, "--as {}: {}; there are {}", name,
       nearest.empty() ? "not known" : fmt::format("did you mean {}?", nearest), fmt::join(names, ", "));
}

// ---- which one a file is ----

const PublishedForm* recognise_published(const WeightsFile& file) {
  for (const PublishedForm& form : published_forms())
    if (form.recognises(file)) return &form;
  return nullptr;
}

bool is_published_file(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  const std::string ending = std::filesystem::path(path).extension().string();
  if (ending == ".pth" || ending == ".pt" || TorchFile::looks_like_one(InputFile(path))) return true;
  try {
    const auto file = SafetensorsFile::open(path);
    const auto format = file.metadata().find("format");
    return format == file.metadata().end() || !format->second.starts_with("gan-");
  } catch (const Error&) {
    return false;  // whoever opens it as a checkpoint says what is wrong
  }
}

namespace {

constexpr size_t kMostNames = 5;  // in one message

std::string first_names(std::vector<std::string> names) {
  const size_t more = names.size() > kMostNames ? names.size() - kMostNames : 0;
  names.resize(names.size() - more);
  return fmt::format("`{}`{}", fmt::join(names, "`, `"), more ? fmt::format(" and {} more", more) : "");
}

std::string names_in(const WeightsFile& file) {
  std::vector<std::string> names;
  for (const WeightsFile::Entry& entry : file.tensors()) names.push_back(entry.name);
  return first_names(names);
}

bool is_vgg_of_adain(const WeightsFile& file) {
  return file.has("0.weight") && file.has("2.weight") && file.has("29.weight");
}

const PublishedForm& form_of(const WeightsFile& file, const std::string& as) {
  const PublishedForm* found = recognise_published(file);
  const std::string where = file.path().string();
  if (as.empty()) {
    if (found) return *found;
    if (is_vgg_of_adain(file))
      fail(Exit::bad_data, "{}: adain's feature network, which goes with --features; give its decoder first",
           where);
    std::vector<std::string> names;
    for (const PublishedForm& form : published_forms()) names.push_back(form.name);
    fail(Exit::bad_data,
         "{}: its tensors are those of no network that is known here ({}): {}; see `gan help weights`", where,
         fmt::join(names, ", "), names_in(file));
  }
  const PublishedForm& wanted = find_published_form(as);
  const bool same_family = found && found->declare == wanted.declare;  // pix2pix and cyclegan
  if (!wanted.recognises(file) && !same_family && !file.has(wanted.mark))
    fail(Exit::bad_data, "{}: no weights of {}, which have a tensor `{}`; {}", where, as, wanted.mark,
         found ? fmt::format("they look like those of {}", found->name) : "it holds " + names_in(file));
  return wanted;
}

// Counters of PyTorch, and the running statistics that instance norm had in its early versions.
bool is_left_out(const std::string& name) {
  return name.ends_with("num_batches_tracked") || name.ends_with("running_mean") ||
         name.ends_with("running_var");
}

}  // namespace

// ---- the model ----

PublishedModel::PublishedModel(const std::string& path, const std::string& as, const std::string& device,
                               const std::string& features, const std::string& style, const PublishedUse& use)
    : file_(WeightsFile::open(path)), use_(use) {
  form_ = &form_of(*file_, as);
  const auto refuse = [&](const char* option, const std::string& given) {
    if (given.empty() && form_->has_style)
      fail(Exit::usage, "{} needs --features FILE (its feature network) and --style PICTURE; --{} is missing",
           form_->name, option);
    if (!given.empty() && !form_->has_style)
      fail(Exit::usage, "--{} belongs to adain; {} has no such setting", option, form_->name);
  };
  refuse("features", features);
  refuse("style", style);
  if (form_->has_style) {
    features_ = WeightsFile::open(features);
    if (!is_vgg_of_adain(*features_))
      fail(Exit::bad_data,
           "{}: not the normalised VGG that goes with adain, whose tensors are `0.weight`, `2.weight` "
           "... `29.weight`; it holds {}",
           features, names_in(*features_));
  }
  network_ = form_->declare(*file_, features_ ? &*features_ : nullptr, use_);
  context_ = std::make_unique<DeviceContext>(choose_device(device).device);
  load(*file_, *network_->parts[0]);
  if (!form_->has_style) return;
  load(*features_, *network_->parts[1]);
  Image picture = network_->prepare(read_image(style, {.channels = network_->channels()}), use_);
  if (std::min(picture.height, picture.width) < network_->least_side())
    fail(Exit::bad_data, "{}: a style of {} x {} pixels is too small; {} at least", style, picture.width,
         picture.height, network_->least_side());
  network_->take_style(*context_, picture, use_);
}

void PublishedModel::load(const WeightsFile& file, PublishedNetwork::Part& part) {
  const std::string where = file.path().string();
  Parameters& p = part.parameters;
  std::set<std::string> known;
  std::vector<std::string> missing, unused;
  for (const ParameterInfo& info : p.infos()) {
    known.insert(info.name);
    const WeightsFile::Entry* entry = file.find(info.name);
    if (!entry) {
      missing.push_back(info.name);
      continue;
    }
    const Shape want = info.file_shape();
    const std::vector<int64_t> dims(want.dims.begin(), want.dims.begin() + want.rank);
    if (entry->shape != dims)
      fail(Exit::bad_data, "{}: tensor `{}` is {}, {} wants {}", where, info.name, shape_text(entry->shape),
           part.what, shape_text(dims));
  }
  for (const WeightsFile::Entry& entry : file.tensors())
    if (!known.contains(entry.name) && !is_left_out(entry.name)) unused.push_back(entry.name);
  if (part.more_in_file) unused.clear();
  if (!missing.empty() || !unused.empty())
    fail(Exit::bad_data, "{}: not the weights of {}: {}{}{}", where, part.what,
         missing.empty() ? "" : "missing " + first_names(missing),
         missing.empty() || unused.empty() ? "" : "; ",
         unused.empty() ? "" : "too many " + first_names(unused));
  // The file has all that is allocated here.
  p.build_for_use(*context_);
  for (int i = 0; i < int(p.infos().size()); ++i) {
    const ParameterInfo& info = p.infos()[size_t(i)];
    const std::vector<float> values = file.read_f32(info.name);
    if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
      fail(Exit::bad_data, "{}: tensor `{}` holds a number that is not finite", where, info.name);
    p.import_values(i, values, info.buffer ? Tensor() : p.weights());
  }
}

Image PublishedModel::prepare(const Image& picture) const {
  Image prepared = network_->prepare(picture, use_);
  if (std::min(prepared.height, prepared.width) < network_->least_side())
    fail(Exit::bad_data, "a picture of {} x {} pixels is too small for {}, which takes {} at least",
         prepared.width, prepared.height, form_->name, network_->least_side());
  return prepared;
}

Translator PublishedModel::translator() const {
  return {.context = context_.get(),
          .channels = network_->channels(),
          .multiple = network_->side_multiple(),
          .run = [this](const Tensor& x) {
            NoGradient quiet(*context_);
            return network_->run(x, use_);
          }};
}

TranslatorPlan PublishedModel::plan() const {
  return [this](DeviceContext& context) {
    const std::shared_ptr<PublishedNetwork> network =
        form_->declare(*file_, features_ ? &*features_ : nullptr, use_);
    PlannedTranslator planned;
    for (auto& part : network->parts) {
      part->parameters.build_for_use(context);
      planned.weights += size_t(part->parameters.learnt_count());
    }
    planned.translator = {.context = &context,
                          .channels = network->channels(),
                          .multiple = network->side_multiple(),
                          .run =
                              [network = network.get(), use = use_, &context](const Tensor& x) {
                                NoGradient quiet(context);
                                return network->run(x, use);
                              },
                          .owner = network};
    return planned;
  };
}

}  // namespace gan
