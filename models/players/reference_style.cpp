// Encoder, statistics, decoder.
#include "models/players/reference_style.h"

namespace gan {

namespace {

// Each level of a photo with the statistics of a style's.
Features with_style(const Features& photo, const Features& style) {
  Features styled;
  for (size_t k = 0; k < photo.size(); ++k) styled.push_back(adain(photo[k], style[k]));
  return styled;
}

}  // namespace

void ReferenceStyle::declare(const Config& config) {
  const std::string kind = feature_kind(config.get<FeatureSettings>().features);
  const std::vector<std::string> taps = usual_taps(kind).style;
  encoder_.held_as = kind;
  levels_ = taps.size();
  recolours_ = config.get<StyleSettings>().style_base == "recoloured";
  features_ = std::make_unique<FeatureNetwork>(encoder_.parameters, kind, taps);
  pictures_ = std::make_unique<StyleDecoder>(
      decoder_.parameters, StyleDecoderOptions{.channels = features_->channels(),
                                               .width = config.get<ConvSettings>().ngf,
                                               .levels = config.get<StyleSettings>().style_levels,
                                               .changes = recolours_});
}

ReferenceStyle::Attempt ReferenceStyle::attempt(const Tensor& photo, const Tensor& style,
                                                const Pass& pass) const {
  Attempt made{.photo = photo, .of_photo = see(photo), .of_style = see(style), .wanted = {}, .picture = {}};
  made.wanted = with_style(made.of_photo, made.of_style);
  made.picture = (*pictures_)(decoder_.parameters, made.wanted, base(photo, style), pass);
  return made;
}

Tensor ReferenceStyle::loss(Step& step, const Attempt& made, const Config& config) const {
  const auto& w = config.get<StyleLossSettings>();
  const Features of_made = see(made.picture);
  Tensor sum;
  const auto count = [&](const char* name, const Tensor& part) {
    step.report(name, part);
    sum = sum ? add(sum, part) : part;
  };
  count("loss_content",
        content_loss({of_made.back()}, {made.wanted.back()}, PixelLossKind::l2, w.lambda_content));
  count("loss_style", statistics_loss(of_made, made.of_style, w.lambda_style));
  if (const double same = config.get<StyleSettings>().lambda_same; same > 0) {
    const Tensor again = (*pictures_)(decoder_.parameters, made.of_photo, made.photo, step.pass());
    count("loss_same", pixel_loss(again, made.photo.detach(), PixelLossKind::l1, same).loss);
  }
  if (w.lambda_tv > 0) count("loss_tv", smoothness_loss(made.picture, w.lambda_tv));
  return sum;
}

UseSpec ReferenceStyle::use() {
  return {.pictures = {"picture"},
          .controls = {{.name = "alpha",
                        .help = "how much of the style: 0 none, 1 all",
                        .value = 1,
                        .low = 0,
                        .high = 1}},
          .styles = true,
          .whole = true};
}

Tensor ReferenceStyle::styled(const Tensor& photo, const std::vector<Use::Style>& styles,
                              double alpha) const {
  GAN_CHECK(!styles.empty(), "a mix of no styles");
  NoGradient quiet(photo.context());
  UseAverage averaged(decoder_.parameters);
  // Levels of features, and the picture that is changed, are mixed alike.
  Features own = see(photo);
  if (recolours_) own.push_back(photo);
  Features mixed;
  double sum = 0;
  for (const Use::Style& style : styles) sum += style.weight;
  for (const Use::Style& style : styles) {
    Features styled = see(style.picture);
    if (recolours_) styled.push_back(style.picture);
    styled = with_style(own, styled);
    for (size_t k = 0; k < own.size(); ++k) {
      const Tensor part = affine(blend(own[k], styled[k], alpha), style.weight / sum);
      if (mixed.size() <= k) mixed.push_back(part);
      else mixed[k] = add(mixed[k], part);
    }
  }
  Tensor base;
  if (recolours_) base = mixed.back(), mixed.pop_back();
  return (*pictures_)(decoder_.parameters, mixed, base, {});
}

void ReferenceStyle::describe(const Tensor& photo, const std::string& network,
                              const LayerObserver& tell) const {
  const Pass pass{.tell = tell};
  if (network == decoder_.name) (*pictures_)(decoder_.parameters, see(photo), photo, pass);
  if (network == encoder_.name) (*features_)(encoder_.parameters, photo, pass);
}

void check_reference_style(const Config& c) {
  if (c.channels != 3)
    fail(Exit::usage, "{} learns from colour pictures: --channels 3, not {}", c.model, c.channels);
  const auto& w = c.get<StyleLossSettings>();
  if (w.lambda_style <= 0 || w.lambda_content <= 0)
    fail(Exit::usage, "{} needs a weight for both: --lambda-content {} --lambda-style {}", c.model,
         w.lambda_content, w.lambda_style);
  if (c.size < 32) fail(Exit::usage, "{} looks at pictures of 32 pixels at least, not {}", c.model, c.size);
  constexpr int multiple = 8;  // features are seen at four levels, each half as large as the one before
  if (c.size % multiple != 0)
    fail(Exit::usage, "{} takes pictures whose side is a multiple of {}, not {}; the nearest is --size {}",
         c.model, multiple, c.size, (c.size + multiple / 2) / multiple * multiple);
}

}  // namespace gan
