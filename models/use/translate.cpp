// Tiles: where they lie, how they blend, and the walk over them.
#include "models/use/translate.h"

#include <algorithm>
#include <cmath>

#include "models/tasks/zoo.h"

namespace gan {

namespace {

// Index `i` of a line of `length` pixels that is mirrored at its ends for ever, without repeating the end
// itself.
int mirrored(int i, int length) {
  if (length == 1) return 0;
  const int period = 2 * (length - 1);
  const int within = ((i % period) + period) % period;
  return within < length ? within : period - within;
}

// Side of a picture of a style that a plan takes: that of the largest that `gan translate` gives.
constexpr int kPlannedStyle = 512;

int rounded_up(int length, int multiple) { return (length + multiple - 1) / multiple * multiple; }

}  // namespace

float TileAxis::weight(int i, int at) const {
  const auto rising = [&](int left, int right) {  // from 0 to 1 on the way from tile `left` to tile `right`
    const float middle = 0.5f * float(starts[size_t(right)] + starts[size_t(left)] + size);
    return std::clamp((float(at) + 0.5f - middle) / float(std::max(ramp, 1)) + 0.5f, 0.0f, 1.0f);
  };
  const float before = i > 0 ? rising(i - 1, i) : 1;
  const float after = i + 1 < int(starts.size()) ? rising(i, i + 1) : 0;
  return before - after;  // neighbouring ramps do not meet, so one of the two is 0 or 1
}

TileAxis tile_axis(int length, int multiple, const TileOptions& options) {
  GAN_CHECK(length >= 1 && multiple >= 1 && options.tile % multiple == 0 && options.tile >= 1 &&
                options.overlap >= 0 && options.overlap <= options.tile / 4,
            "tiles of {} with an overlap of {} for {} pixels and a network of multiple {}", options.tile,
            options.overlap, length, multiple);
  TileAxis axis{.length = length, .size = 0, .starts = {}, .ramp = options.overlap / 2};
  const int rounded = rounded_up(length, multiple);
  if (rounded <= options.tile) {
    axis.size = rounded;
    axis.starts = {-((rounded - length) / 2)};
    return axis;
  }
  axis.size = options.tile;
  if (length <= options.tile) {  // its multiple is larger than the tile, which is one too
    axis.starts = {-((options.tile - length) / 2)};
    return axis;
  }
  const int stride = options.tile - options.overlap, gap = length - options.tile;
  const int steps = (gap + stride - 1) / stride;
  for (int i = 0; i <= steps; ++i) axis.starts.push_back(int(int64_t(gap) * i / steps));
  return axis;
}

Tensor tensor_of(DeviceContext& context, const Image& picture) {
  std::vector<float> values(picture.pixels.size());
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(picture.pixels[i]) / 127.5f - 1;
  Tensor tensor(context, {1, picture.height, picture.width, picture.channels});
  tensor.upload(std::span<const float>(values));
  return tensor;
}

Image translate_whole(const Translator& translator, const Image& picture) {
  GAN_CHECK(picture.channels == translator.channels, "a picture of {} channels for a network of {}",
            picture.channels, translator.channels);
  const Tensor output = translator.run(tensor_of(*translator.context, picture));
  GAN_CHECK(output.shape().rank == 4 && output.dim(0) == 1 && output.dim(3) == translator.channels,
            "the network made {}", to_string(output.shape()));
  Image result(int(output.dim(1)), int(output.dim(2)), translator.channels);
  const std::vector<float> made = output.host_f32();
  for (size_t i = 0; i < made.size(); ++i) result.pixels[i] = byte_of(made[i]);
  return result;
}

Image translate_picture(const Translator& translator, const Image& picture, const TileOptions& options) {
  const int channels = translator.channels;
  GAN_CHECK(picture.channels == channels, "a picture of {} channels for a network of {}", picture.channels,
            channels);
  const TileAxis rows = tile_axis(picture.height, translator.multiple, options);
  const TileAxis columns = tile_axis(picture.width, translator.multiple, options);
  Image result(picture.height, picture.width, channels);
  const size_t row = size_t(picture.width) * size_t(channels);
  std::vector<float> band(row * size_t(rows.size));  // weighted sums of the rows from this row of tiles on
  std::vector<uint8_t> cut(size_t(rows.size) * size_t(columns.size) * size_t(channels));
  std::vector<float> values(cut.size());
  const Shape shape{1, rows.size, columns.size, channels};

  for (int i = 0; i < int(rows.starts.size()); ++i) {
    const int top = rows.starts[size_t(i)];
    for (int j = 0; j < int(columns.starts.size()); ++j) {
      const int left = columns.starts[size_t(j)];
      for (int y = 0; y < rows.size; ++y) {
        float* to = &values[size_t(y) * size_t(columns.size) * size_t(channels)];
        const int from = mirrored(top + y, picture.height);
        for (int x = 0; x < columns.size; ++x)
          for (int c = 0, source = mirrored(left + x, picture.width); c < channels; ++c)
            *to++ = float(picture.at(from, source, c)) / 127.5f - 1;
      }
      Tensor input(*translator.context, shape);
      input.upload(std::span<const float>(values));
      const Tensor output = translator.run(input);
      GAN_CHECK(output.shape() == shape, "the network made {} of {}", to_string(output.shape()),
                to_string(shape));
      const std::vector<float> made = output.host_f32();
      for (int y = std::max(0, -top); y < std::min(rows.size, picture.height - top); ++y) {
        const float down = rows.weight(i, top + y);
        if (down == 0) continue;
        for (int x = std::max(0, -left); x < std::min(columns.size, picture.width - left); ++x) {
          const float weight = down * columns.weight(j, left + x);
          const float* from = &made[(size_t(y) * size_t(columns.size) + size_t(x)) * size_t(channels)];
          float* to = &band[size_t(y) * row + size_t(left + x) * size_t(channels)];
          for (int c = 0; c < channels; ++c) to[c] += weight * from[c];
        }
      }
    }
    // Rows above the next row of tiles are finished.
    const int next = i + 1 < int(rows.starts.size()) ? rows.starts[size_t(i) + 1] : picture.height;
    for (int y = std::max(0, top); y < next; ++y)
      for (size_t k = 0; k < row; ++k)
        result.pixels[size_t(y) * row + k] = byte_of(band[size_t(y - top) * row + k]);
    if (next == picture.height) break;
    const auto finished = std::ptrdiff_t(size_t(next - top) * row);
    std::copy(band.begin() + finished, band.end(), band.begin());
    std::fill(band.end() - finished, band.end(), 0.0f);
  }
  return result;
}

// ------------------------------------------------------------------------------------------- models

Translator translator_of(Model& model, DeviceContext& context, const Use& use) {
  const UseSpec spec = model.use();
  model.check_makes_pictures();
  if (spec.pictures.empty())
    fail(Exit::usage, "a {} makes pictures from noise and translates none: see `gan sample`",
         model.config.model);
  return {.context = &context,
          .channels = model.config.channels,
          .multiple = model.side_multiple(),
          .run = [&model, use, name = spec.pictures[0]](const Tensor& picture) {
            Use one = use;
            one.pictures[name] = picture;
            return model.make(one);
          }};
}

Image seen_by(Model& model, DeviceContext& context, const Image& picture) {
  const Translator look{
      .context = &context, .channels = picture.channels, .multiple = 1, .run = [&](const Tensor& p) {
        return model.seen(p);
      }};
  return translate_picture(look, picture, {.tile = std::max(picture.height, picture.width), .overlap = 0});
}

TranslatorPlan plan_of(const Config& config) {
  return [config](DeviceContext& context) {
    const std::shared_ptr<Model> model = build_model_for_use(context, config);
    Use use;
    if (const int side = kPlannedStyle; model->use().styles)
      use.styles = {{.picture = Tensor(context, {1, side, side, config.channels})}};
    PlannedTranslator planned{translator_of(*model, context, use)};
    planned.translator.owner = model;
    for (const auto& network : model->networks)
      if (network->used) planned.weights += size_t(network->parameters.learnt_count());
    return planned;
  };
}

size_t translation_bytes(const TranslatorPlan& plan, Device device, int height, int width,
                         const TileOptions& options) {
  DeviceContext context(device, DeviceContext::Mode::plan);
  const auto [translator, count] = plan(context);
  const int multiple = translator.multiple;
  const int tile_height = std::min(rounded_up(height, multiple), options.tile);
  const int tile_width = std::min(rounded_up(width, multiple), options.tile);
  translator.run(Tensor(context, {1, tile_height, tile_width, translator.channels}));
  // On cpu the generator's weights have re-laid-out copies, some of them several times as large (Winograd's
  // convolution): together about one and a half times the weights. Small networks on large pictures need more room
  // to work in than that: for copies with mirrored borders.
  const size_t weights = count * size_of(context.real());
  constexpr size_t compiled = size_t(40) << 20;  // oneDNN's code for the sizes of a tile
  const size_t kept =
      device == Device::cpu ? std::max(weights + weights / 2, context.planned_kept_bytes()) : 0;
  const size_t libraries = kept + program_bytes + compiled;
  const size_t channels = size_t(translator.channels), tile = size_t(tile_height) * channels;
  return context.pool().reserved_bytes() + libraries + 2 * size_t(height) * size_t(width) * channels +
         tile * size_t(width) * sizeof(float) + 3 * tile * size_t(tile_width) * sizeof(float);
}

size_t translation_bytes(const Config& config, Device device, int height, int width,
                         const TileOptions& options) {
  return translation_bytes(plan_of(config), device, height, width, options);
}

TileOptions fit_tiles(const TranslatorPlan& plan, Device device, int height, int width, int overlap,
                      size_t bytes) {
  DeviceContext context(device, DeviceContext::Mode::plan);
  const int multiple = plan(context).translator.multiple;
  const auto options = [&](int steps) {
    const int tile = steps * multiple;
    return TileOptions{tile, std::min(overlap, tile / 4)};
  };
  const auto fits = [&](int steps) {
    return translation_bytes(plan, device, height, width, options(steps)) <= bytes;
  };
  int high = rounded_up(std::max(height, width), multiple) / multiple, low = 1;  // in multiples
  if (fits(high)) return options(high);
  while (low + 1 < high) (fits((low + high) / 2) ? low : high) = (low + high) / 2;
  return options(low);
}

TileOptions fit_tiles(const Config& config, Device device, int height, int width, int overlap, size_t bytes) {
  return fit_tiles(plan_of(config), device, height, width, overlap, bytes);
}

}  // namespace gan
