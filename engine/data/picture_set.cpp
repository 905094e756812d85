// Finding, decoding and dealing out pictures.
#include "engine/data/picture_set.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/data/comics.h"
#include "engine/metrics.h"
#include "engine/ops.h"
#include "kernels/philox.h"

namespace gan {

namespace fs = std::filesystem;

std::array<uint8_t, 3> parse_colour(const std::string& text) {
  if (text == "white") return {255, 255, 255};
  if (text == "black") return {0, 0, 0};
  std::array<uint8_t, 3> colour{};
  const std::string digits = text.starts_with('#') ? text.substr(1) : text;
  const bool hexadecimal =
      digits.size() == 6 && digits.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
  if (!hexadecimal) fail(Exit::usage, "`{}` is no colour: white, black or RRGGBB, for example ffcc00", text);
  for (int i = 0; i < 3; ++i) colour[i] = uint8_t(std::stoi(digits.substr(size_t(2 * i), 2), nullptr, 16));
  return colour;
}

std::vector<fs::path> list_pictures(const fs::path& folder) {
  std::error_code error;
  const auto status = fs::status(folder, error);
  if (!fs::exists(status)) fail(Exit::bad_data, "{}: no such folder", folder.string());
  if (!fs::is_directory(status))
    fail(Exit::bad_data, "{}: not a folder; give the folder that holds the pictures", folder.string());
  std::vector<fs::path> files;
  size_t others = 0;
  auto walk = fs::recursive_directory_iterator(folder, error);
  for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    std::error_code ignored;
    if (walk->is_directory(ignored)) continue;
    if (looks_like_image(walk->path())) files.push_back(walk->path());
    else ++others;
  }
  if (error) fail(Exit::bad_data, "{}: cannot be listed: {}", folder.string(), error.message());
  if (files.empty())
    fail(Exit::bad_data, "{}: no pictures here (.jpg .jpeg .png .bmp .pbm .pgm .ppm .pnm){}", folder.string(),
         others ? fmt::format(", only {} other files", others) : ", the folder is empty");
  std::sort(files.begin(), files.end(), [&](const fs::path& a, const fs::path& b) {
    return a.lexically_relative(folder).native() < b.lexically_relative(folder).native();
  });
  return files;
}

namespace {
int thread_count(int workers) {
  return workers > 0 ? workers : std::max(1, int(std::thread::hardware_concurrency()));
}
}  // namespace

void parallel_for(int64_t count, int workers, const std::function<void(int64_t)>& f) {
  std::atomic<int64_t> next{0};
  std::exception_ptr problem;
  std::mutex mutex;
  auto work = [&] {
    for (int64_t i; (i = next++) < count;) {
      try {
        f(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!problem) problem = std::current_exception();
        next = count;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int t = 1; t < std::min<int64_t>(thread_count(workers), count); ++t) threads.emplace_back(work);
  work();
  for (auto& thread : threads) thread.join();
  if (problem) std::rethrow_exception(problem);
}

namespace {

// A random order of 0..count-1, a function of (seed, step) alone (Fisher & Yates).
std::vector<int32_t> permutation(int64_t count, uint64_t seed, uint32_t step) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) order[size_t(i)] = int32_t(i);
  for (int64_t i = count - 1; i > 0; --i) {
    const Philox4 r = random_bits(seed, uint32_t(RandomStream::order), step, uint64_t(i));
    const uint64_t bits = uint64_t(r.v[0]) << 32 | r.v[1];
    const int64_t j = int64_t((unsigned __int128)(bits)*uint64_t(i + 1) >> 64);
    std::swap(order[size_t(i)], order[size_t(j)]);
  }
  return order;
}

// What divides the set, and validation's inputs, are drawn by this number; no epoch and no draw has it.
constexpr uint32_t kSplitStep = 0xFFFFFFFFu;

// A single picture at `side`, 0: its own size. Single pictures are resized as torchvision does it, pairs as
// the authors of pix2pix do.
Image read_picture(const PictureFile& file, const DataOptions& options, int side) {
  if (!file.problem.empty()) fail(Exit::bad_data, "{}", file.problem);
  Image image = read_image(file.file, {.channels = options.channels, .matte = options.matte});
  if (side == 0) return image;
  return fit_square(image, side, options.examples == Examples::pairs ? Filter::bicubic : Filter::bilinear);
}

Image face(int64_t number, ComicsStyle style, int side, int channels) {
  Image face(side, side, 3);
  face.pixels = draw_comics_face(uint64_t(number), style, side);
  if (channels == 3) return face;
  Image grey(side, side, 1);
  for (size_t i = 0; i < grey.pixels.size(); ++i) {
    const uint8_t* p = &face.pixels[3 * i];
    grey.pixels[i] = luma(p[0], p[1], p[2]);
  }
  return grey;
}

PicturePair faces_example(int64_t number, const DataOptions& options, int side, const InputSeed& seed) {
  const bool aligned = options.examples == Examples::pairs && options.make_input == InputKind::none;
  PicturePair pair;
  pair.target = face(number, ComicsStyle::comic, side, options.channels);
  pair.input = aligned ? face(number, ComicsStyle::photo, side, options.channels)
                       : make_input(pair.target, options.make_input, seed);
  if (options.b_to_a && aligned) std::swap(pair.input, pair.target);
  return pair;
}

}  // namespace

struct PictureSet::Impl {
  DataOptions options;
  int side = 0;                            // of stored pictures: load size
  std::vector<PictureFile> files;          // readable ones; empty for builtin pictures
  int64_t of_train_folder = -1;            // how many of them lie in the part for training; -1: no such parts
  std::vector<int32_t> train, validation;  // indices of pictures
  int64_t bad = 0, nearly_grey = 0;
  bool streams = false;
  // (pictures, side, side, channels), of pairs (pictures, 2, side, side, channels) with the input first, but
  // only the target where inputs are drawn anew. Given up once it lies on the device, if the device needs it.
  std::vector<uint8_t> resident;
  Tensor pool;  // the same on the device
  int64_t epoch = -1;
  std::vector<int32_t> order;  // of this epoch: positions in `train`
  struct Ahead {
    int64_t draw;
    int batch;
    std::future<std::vector<uint8_t>> pixels;
  };
  std::optional<Ahead> ahead;  // the next streamed batch, being decoded

  // Large faces take long to draw and much memory: fewer of them.
  int64_t builtin_count() const {
    if (options.builtin_count > 0) return options.builtin_count;
    return side <= 64 ? 4096 : side <= 128 ? 2048 : 1024;
  }
  bool paired() const { return options.examples == Examples::pairs; }
  bool draws_inputs() const { return paired() && is_drawn_anew(options.make_input); }
  // Squares that are kept of an example.
  int planes() const { return paired() && !draws_inputs() ? 2 : 1; }
  size_t square_bytes() const { return size_t(side) * side * options.channels; }
  size_t picture_bytes() const { return square_bytes() * size_t(planes()); }

  // A single picture, or a made pair's target.
  Image load(int64_t picture, int at_side) const {
    if (files.empty()) return face(picture, ComicsStyle::comic, at_side, options.channels);
    return read_picture(files[size_t(picture)], options, at_side);
  }

  PicturePair load_pair(int64_t picture, int at_side, const InputSeed& seed = {}) const {
    if (!files.empty()) return read_example(files[size_t(picture)], options, at_side, seed);
    return faces_example(picture, options, at_side, seed);
  }

  // What is kept of an example, to `into`: picture_bytes().
  void load_bytes(int64_t picture, uint8_t* into) const {
    if (planes() == 1) {
      const Image image = load(picture, side);
      std::copy(image.pixels.begin(), image.pixels.end(), into);
    } else {
      const PicturePair pair = load_pair(picture, side);
      std::copy(pair.input.pixels.begin(), pair.input.pixels.end(), into);
      std::copy(pair.target.pixels.begin(), pair.target.pixels.end(), into + square_bytes());
    }
  }

  // The files of the set: of pairs and colour sets training first, then validation.
  void list() {
    if (options.examples == Examples::pictures) {
      for (auto& file : list_pictures(options.source)) files.push_back({{}, file, {}, {}});
      return;
    }
    PictureListing listing = paired() && options.make_input == InputKind::none ? list_pairs(options.source)
                                                                               : list_singles(options.source);
    if (listing.has_parts && !listing.validation.empty()) {
      if (!options.split.empty())
        fail(Exit::usage, "{} has pictures for validation of its own: leave out --split", options.source);
      of_train_folder = int64_t(listing.train.size());
    }
    files = std::move(listing.train);
    files.insert(files.end(), listing.validation.begin(), listing.validation.end());
  }

  void find_and_decode() {
    int64_t count = builtin_count();
    if (options.source == "builtin:comics") {
      if (side < 32 || side > 256)
        fail(Exit::usage, "builtin:comics draws pictures of 32 to 256 pixels, not {}", side);
    } else {
      if (options.source.starts_with("builtin:"))
        fail(Exit::usage, "`{}`: the embedded data set is builtin:comics", options.source);
      list();
      count = int64_t(files.size());
    }
    streams = double(count) * double(picture_bytes()) > options.cache_gb * double(1 << 30);
    // Streaming looks at every file once too: what is unreadable must be known before the order is drawn.
    if (!streams) resident.resize(size_t(count) * picture_bytes());
    std::vector<std::string> problems(static_cast<size_t>(count));
    std::vector<uint8_t> grey(static_cast<size_t>(count));
    if (!streams || !files.empty())
      parallel_for(count, options.workers, [&](int64_t i) {
        try {
          std::vector<uint8_t> scratch(streams ? picture_bytes() : 0);
          uint8_t* into = streams ? scratch.data() : &resident[size_t(i) * picture_bytes()];
          load_bytes(i, into);
          if (options.examples == Examples::colour) {
            Image picture(side, side, options.channels);
            std::copy_n(into, picture_bytes(), picture.pixels.data());
            grey[size_t(i)] = is_nearly_grey(picture);
          }
        } catch (const Error& error) {
          if (error.code() != Exit::bad_data) throw;
          problems[size_t(i)] = error.what();
        }
      });
    remove_unfit(problems, grey);
  }

  // Takes out what cannot be read and what is grey in a colour set.
  void remove_unfit(const std::vector<std::string>& problems, const std::vector<uint8_t>& grey) {
    const int64_t count = int64_t(problems.size());
    int64_t kept = 0, kept_for_training = 0;
    std::string first_few;
    for (int64_t i = 0; i < count; ++i) {
      if (!problems[size_t(i)].empty()) {
        if (++bad <= 5) first_few += (bad == 1 ? " " : "; ") + problems[size_t(i)];
        continue;
      }
      if (grey[size_t(i)]) {
        ++nearly_grey;
        continue;
      }
      if (kept != i) {
        if (!streams)
          std::copy_n(&resident[size_t(i) * picture_bytes()], picture_bytes(),
                      &resident[size_t(kept) * picture_bytes()]);
        files[size_t(kept)] = files[size_t(i)];
      }
      kept_for_training += of_train_folder < 0 || i < of_train_folder;
      ++kept;
    }
    if (bad + nearly_grey == 0) return;
    if (kept_for_training == 0 && bad == 0)
      fail(Exit::bad_data,
           "{}: all of the {} pictures for training are grey or nearly so: no colour to learn",
           options.source, of_train_folder < 0 ? count : of_train_folder);
    const bool pairs = paired() && options.make_input == InputKind::none;
    const char* what = pairs ? "pairs" : "pictures";
    if (kept_for_training == 0)
      fail(Exit::bad_data, "{}: none of the {} {} can be read:{}", options.source, count, what, first_few);
    if (double(bad) > options.max_bad * double(count))
      fail(Exit::bad_data,
           "{}: {} of {} {} cannot be read, more than --max-bad {} allows; a larger --max-bad goes on "
           "without them, `gan data check {}{}` lists them all:{}",
           options.source, bad, count, what, options.max_bad, pairs ? "--pairs " : "", options.source,
           first_few);
    for (const auto& problem : problems)
      if (!problem.empty()) fmt::print(stderr, "left out: {}\n", problem);
    files.resize(size_t(kept));
    if (of_train_folder >= 0) of_train_folder = kept_for_training;
    if (!streams) resident.resize(size_t(kept) * picture_bytes());
  }

  void divide() {
    const int64_t count = files.empty() ? builtin_count() : int64_t(files.size());
    double part = 1;
    if (!options.split.empty()) {
      if (options.split.size() != 2 || options.split[0] <= 0 || options.split[1] < 0)
        fail(Exit::usage, "--split wants two parts, for training and validation, as 0.9,0.1");
      part = options.split[0] / (options.split[0] + options.split[1]);
    }
    int64_t training = std::clamp<int64_t>(std::llround(part * double(count)), 1, count);
    if (of_train_folder >= 0) training = of_train_folder;
    else if (options.split.empty() && options.examples != Examples::pictures && count > 1)
      training = count - std::clamp<int64_t>(count / 20, 1, 32);
    std::vector<int32_t> order(static_cast<size_t>(count));
    if (training < count && of_train_folder < 0) order = permutation(count, options.seed, kSplitStep);
    else
      for (int64_t i = 0; i < count; ++i) order[size_t(i)] = int32_t(i);
    train.assign(order.begin(), order.begin() + training);
    validation.assign(order.begin() + training, order.end());
    std::sort(train.begin(), train.end());
    std::sort(validation.begin(), validation.end());
  }

  // (batch, 4): picture, top, left, flip
  std::vector<int32_t> placement(int64_t draw, int batch) {
    const int64_t draws = int64_t(train.size()) / batch, in_epoch = draw / draws;
    if (in_epoch != epoch) {
      epoch = in_epoch;
      if (options.shuffle) {
        order = permutation(int64_t(train.size()), options.seed, uint32_t(epoch));
      } else {
        order.resize(train.size());
        for (size_t i = 0; i < order.size(); ++i) order[i] = int32_t(i);
      }
    }
    const int slack = side - options.size;
    std::vector<int32_t> places(size_t(batch) * 4);
    for (int i = 0; i < batch; ++i) {
      int32_t* p = &places[size_t(i) * 4];
      p[0] = train[size_t(order[size_t((draw % draws) * batch + i)])];
      p[1] = p[2] = slack / 2;
      p[3] = 0;
      if (!options.augment) continue;
      const Philox4 r =
          random_bits(options.seed, uint32_t(RandomStream::augment), uint32_t(draw), uint64_t(i));
      p[1] = int32_t(uint64_t(r.v[0]) * uint64_t(slack + 1) >> 32);
      p[2] = int32_t(uint64_t(r.v[1]) * uint64_t(slack + 1) >> 32);
      p[3] = int32_t(r.v[2] >> 31);
    }
    return places;
  }

  std::vector<uint8_t> decode_batch(const std::vector<int32_t>& places) const {
    const int64_t batch = int64_t(places.size()) / 4;
    std::vector<uint8_t> pixels(size_t(batch) * picture_bytes());
    parallel_for(batch, options.workers,
                 [&](int64_t i) { load_bytes(places[size_t(i) * 4], &pixels[size_t(i) * picture_bytes()]); });
    return pixels;
  }

  // The examples of a streamed batch, in their order in the batch; the next one is decoded while this one is
  // worked on.
  std::vector<uint8_t> streamed(int64_t draw, int batch, std::vector<int32_t>& places) {
    std::vector<uint8_t> pixels =
        ahead && ahead->draw == draw && ahead->batch == batch ? ahead->pixels.get() : decode_batch(places);
    ahead.reset();
    auto next = placement(draw + 1, batch);
    ahead =
        Ahead{draw + 1, batch,
              std::async(std::launch::async, [this, next = std::move(next)] { return decode_batch(next); })};
    for (int i = 0; i < batch; ++i) places[size_t(i) * 4] = i;
    return pixels;
  }

  // The examples that `places` (changed to fit) are places in, on the device: (examples * planes, side, side,
  // channels).
  Tensor pool_of(DeviceContext& context, int64_t draw, int batch, std::vector<int32_t>& places) {
    const auto uploaded = [&](std::vector<uint8_t> pixels) {
      const int64_t squares = int64_t(pixels.size() / square_bytes());
      return Tensor::from_bytes(context, {squares, side, side, options.channels}, std::move(pixels));
    };
    if (streams) return uploaded(streamed(draw, batch, places));
    if (!pool) pool = uploaded(std::move(resident));
    return pool;
  }

  Tensor cut(DeviceContext& context, const Tensor& from, const std::vector<int32_t>& places) const {
    Tensor where(context, {int64_t(places.size() / 4), 4}, DType::i32);
    where.upload_bytes(places.data(), places.size() * sizeof(int32_t));
    return image_batch(from, where, options.size, options.size);
  }

  // Targets cut on the host, inputs made of what was cut.
  PairBatch drawn_inputs(DeviceContext& context, int64_t draw, int batch, std::vector<int32_t> places) {
    std::vector<uint8_t> own;
    if (streams) own = streamed(draw, batch, places);
    const std::vector<uint8_t>& from = streams ? own : resident;
    const int size = options.size, channels = options.channels;
    const size_t each = size_t(size) * size * channels;
    std::vector<uint8_t> inputs(each * size_t(batch)), targets(each * size_t(batch));
    parallel_for(batch, options.workers, [&](int64_t i) {
      const int32_t* p = &places[size_t(i) * 4];
      Image target(size, size, channels);
      for (int y = 0; y < size; ++y)
        std::copy_n(&from[size_t(p[0]) * square_bytes() + (size_t(p[1] + y) * side + p[2]) * channels],
                    size_t(size) * channels, &target.at(y, 0, 0));
      if (p[3]) target = flip_horizontal(target);
      const Image input =
          gan::make_input(target, options.make_input, {options.seed, uint32_t(draw), uint64_t(i)});
      std::copy(input.pixels.begin(), input.pixels.end(), &inputs[size_t(i) * each]);
      std::copy(target.pixels.begin(), target.pixels.end(), &targets[size_t(i) * each]);
    });
    std::vector<int32_t> whole(size_t(batch) * 4);
    for (int i = 0; i < batch; ++i) whole[size_t(i) * 4] = i;
    const Shape shape{batch, size, size, channels};
    return {cut(context, Tensor::from_bytes(context, shape, std::move(inputs)), whole),
            cut(context, Tensor::from_bytes(context, shape, std::move(targets)), whole)};
  }
};

PictureSet::PictureSet(const DataOptions& options) : impl_(std::make_unique<Impl>()) {
  Impl& d = *impl_;
  d.options = options;
  d.side = options.load_size > 0 ? options.load_size : options.size;
  if (d.side < options.size)
    fail(Exit::usage, "--load-size {} is smaller than --size {}", options.load_size, options.size);
  d.find_and_decode();
  d.divide();
}

PictureSet::~PictureSet() = default;
int64_t PictureSet::train_count() const { return int64_t(impl_->train.size()); }
int64_t PictureSet::validation_count() const { return int64_t(impl_->validation.size()); }
int64_t PictureSet::bad_count() const { return impl_->bad; }
int64_t PictureSet::grey_count() const { return impl_->nearly_grey; }
int PictureSet::channels() const { return impl_->options.channels; }
bool PictureSet::streaming() const { return impl_->streams; }

size_t PictureSet::cache_bytes() const {
  return impl_->streams ? 0 : (impl_->train.size() + impl_->validation.size()) * impl_->picture_bytes();
}

int64_t PictureSet::draws_per_epoch(int batch) const { return train_count() / batch; }

Tensor PictureSet::batch(DeviceContext& context, int64_t draw, int batch) {
  Impl& d = *impl_;
  GAN_CHECK(batch >= 1 && batch <= train_count(), "a batch of {} from {} pictures", batch, train_count());
  GAN_CHECK(!d.paired(), "a set of pairs gives pair_batch()");
  std::vector<int32_t> places = d.placement(draw, batch);
  const Tensor pool = d.pool_of(context, draw, batch, places);
  return d.cut(context, pool, places);
}

PictureSet::PairBatch PictureSet::pair_batch(DeviceContext& context, int64_t draw, int batch) {
  Impl& d = *impl_;
  GAN_CHECK(batch >= 1 && batch <= train_count(), "a batch of {} from {} pairs", batch, train_count());
  GAN_CHECK(d.paired(), "a set of single pictures gives batch()");
  std::vector<int32_t> places = d.placement(draw, batch);
  if (d.draws_inputs()) return d.drawn_inputs(context, draw, batch, std::move(places));
  const Tensor pool = d.pool_of(context, draw, batch, places);
  for (size_t i = 0; i < places.size(); i += 4) places[i] *= 2;  // inputs; targets lie behind them
  const Tensor input = d.cut(context, pool, places);
  for (size_t i = 0; i < places.size(); i += 4) ++places[i];
  return {input, d.cut(context, pool, places)};
}

std::vector<Image> PictureSet::pictures(int count, bool validation) {
  const auto& from = validation ? impl_->validation : impl_->train;
  std::vector<Image> images;
  for (int i = 0; i < std::min<int>(count, int(from.size())); ++i)
    images.push_back(
        center_crop(impl_->load(from[size_t(i)], impl_->side), impl_->options.size, impl_->options.size));
  return images;
}

PicturePair PictureSet::pair(int64_t i, bool validation) {
  const Impl& d = *impl_;
  const int32_t picture = (validation ? d.validation : d.train).at(size_t(i));
  return d.load_pair(picture, d.options.size, {d.options.seed, kSplitStep, uint64_t(i)});
}

bool is_nearly_grey(const Image& picture) {
  return picture.channels == 1 || opponent_colours(picture).variance < 3 * 3;
}

Image fit_square(const Image& image, int side, Filter filter) {
  const int shorter = std::min(image.height, image.width), longer = std::max(image.height, image.width);
  if (image.height == side && image.width == side) return image;
  // Of a picture as narrow as a thread only the middle: scaled whole it would fill the memory.
  if (longer / 8 > shorter)
    return fit_square(
        center_crop(image, std::min(image.height, 8 * shorter), std::min(image.width, 8 * shorter)), side,
        filter);
  return center_crop(resize_shorter_side(image, side, filter), side, side);
}

PicturePair read_example(const PictureFile& file, const DataOptions& options, int side,
                         const InputSeed& seed) {
  PicturePair pair;
  if (options.examples == Examples::pairs && options.make_input == InputKind::none) {
    pair = read_pair(file, options.b_to_a, {.channels = options.channels, .matte = options.matte});
    if (side > 0) pair.input = fit_square(pair.input, side, Filter::bicubic);
    if (side > 0) pair.target = fit_square(pair.target, side, Filter::bicubic);
  } else {
    pair.target = read_picture(file, options, side);
    pair.input = gan::make_input(pair.target, options.make_input, seed, side > 0 ? side : options.size);
  }
  return pair;
}

PicturePair comics_example(int64_t number, const DataOptions& options, const InputSeed& seed) {
  return faces_example(number, options, options.size, seed);
}

namespace {

// Runs `look` for every report and keeps what it throws.
void report_problems(std::vector<PictureReport>& reports, int workers,
                     const std::function<void(size_t)>& look) {
  parallel_for(int64_t(reports.size()), workers, [&](int64_t i) {
    PictureReport& report = reports[size_t(i)];
    try {
      look(size_t(i));
    } catch (const Error& error) {
      report.problem = error.what();
      // Errors name the file; a report does so itself.
      if (const std::string name = report.file.string() + ": "; report.problem.starts_with(name))
        report.problem.erase(0, name.size());
    }
  });
}

}  // namespace

std::vector<PictureReport> check_pictures(const fs::path& folder, int workers) {
  std::vector<PictureReport> reports;
  for (auto& file : list_pictures(folder)) reports.push_back({std::move(file), "", {}});
  report_problems(reports, workers, [&](size_t i) {
    reports[i].info = probe_image(reports[i].file);
    read_image(reports[i].file);
  });
  return reports;
}

std::vector<PictureReport> check_pairs(const fs::path& folder, int workers) {
  const PictureListing listing = list_pairs(folder);
  std::vector<PictureFile> pairs;
  for (const auto* part : {&listing.train, &listing.validation, &listing.test})
    pairs.insert(pairs.end(), part->begin(), part->end());
  std::vector<PictureReport> reports;
  for (const auto& pair : pairs) reports.push_back({pair.file, "", {}});
  report_problems(reports, workers, [&](size_t i) { read_pair(pairs[i], false, {}); });
  return reports;
}

}  // namespace gan
