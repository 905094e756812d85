// Decoding, shuffling and dealing out pictures.
#include "engine/data/picture_set.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <mutex>
#include <optional>
#include <set>
#include <system_error>

#include "engine/data/workers.h"
#include "engine/files/stop.h"
#include "engine/files/talk.h"
#include "engine/metrics/metrics.h"
#include "engine/tensor/ops.h"
#include "kernels/shared/philox.h"

namespace gan {

namespace {

// A random order of 0..count-1, a function of (seed, stream, step) alone (Fisher & Yates).
std::vector<int32_t> permutation(int64_t count, uint64_t seed, RandomStream stream, uint32_t step) {
  std::vector<int32_t> order(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) order[size_t(i)] = int32_t(i);
  for (int64_t i = count - 1; i > 0; --i) {
    const Philox4 r = random_bits(seed, uint32_t(stream), step, uint64_t(i));
    const uint64_t bits = uint64_t(r.v[0]) << 32 | r.v[1];
    const int64_t j = int64_t((unsigned __int128)(bits)*uint64_t(i + 1) >> 64);
    std::swap(order[size_t(i)], order[size_t(j)]);
  }
  return order;
}

// What divides the set, and validation's inputs, are drawn by this number; no epoch and no draw has it.
constexpr uint32_t kSplitStep = 0xFFFFFFFFu;

// Where pictures are cut from, in the order of image_batch()'s placements.
struct Place {
  int32_t example, top, left, flip;
};

// The random numbers of the lists, one row each.
struct ListStreams {
  RandomStream order, augment;
};
constexpr ListStreams kStreams[] = {{RandomStream::order, RandomStream::augment},
                                    {RandomStream::order_b, RandomStream::augment_b}};

// Examples that draws are made from, independently of other lists.
struct List {
  std::vector<std::string> pictures;    // names of the kept pictures of each example
  std::vector<ListedExample> examples;  // readable ones
  std::vector<int32_t> train;           // those of them that draws are made from
  ListStreams streams;
  // (examples, pictures, side, side, channels). Given up once it lies on the device, if the device needs it.
  std::vector<uint8_t> resident;
  Tensor pool;         // the same on the device
  int64_t round = -1;  // through `train`, of which `order` is the order
  std::vector<int32_t> order;
};

}  // namespace

namespace {
// The first few of "PATH: REASON", each reason once.
std::string few_of(const std::vector<std::string>& problems) {
  constexpr size_t kFew = 5;
  std::vector<std::string> told;
  std::set<std::string> reasons;
  size_t again = 0;
  for (const std::string& problem : problems) {
    const size_t colon = problem.find(": ");
    if (!reasons.insert(colon == problem.npos ? problem : problem.substr(colon)).second) ++again;
    else if (told.size() < kFew) told.push_back(problem);
  }
  const std::string more =
      again > 0 ? fmt::format("; {} more for the same reason{}", again, told.size() > 1 ? "s" : "") : "";
  return fmt::format("{}{}", fmt::join(told, "; "), more);
}
}  // namespace

struct PictureSet::Impl {
  DataOptions options;
  const DataLayout* layout = nullptr;
  AtEachDraw at_each_draw = nullptr;
  int side = 0;  // of kept pictures
  std::vector<List> lists;
  std::vector<ListedExample> validation;
  bool own_validation = false;  // a part of the source's own
  int64_t bad = 0, nearly_grey = 0;
  int64_t listed = 0;       // examples of all lists, the bad ones too
  int64_t for_testing = 0;  // examples of a part that no training looks at
  PassedOver passed_over;
  bool equal_names_match = true;
  size_t held_out_lists = 2;  // of `lists`
  bool streams = false;
  std::mutex late_mutex;
  std::set<std::pair<size_t, int32_t>> late;  // (list, example): became unreadable during training
  struct Ahead {
    int64_t draw;
    int batch;
    std::future<std::vector<std::vector<uint8_t>>> pixels;
  };
  std::optional<Ahead> ahead;  // the next streamed batch, being decoded; last: it reads the other members

  Impl(const DataOptions& wanted, const ReadingProgress& progress)
      : options(wanted), side(wanted.stored_size()) {
    if (side < options.size)
      fail(Exit::usage, "--load-size {} is smaller than --size {}", options.load_size, options.size);
    list();
    read_everything(progress);
    divide();
  }

  size_t square_bytes() const { return size_t(side) * side * options.channels; }
  size_t example_bytes(const List& list) const { return square_bytes() * list.pictures.size(); }
  int64_t train_count() const {
    size_t longest = 0;
    for (const List& list : lists) longest = std::max(longest, list.train.size());
    return int64_t(longest);
  }

  // ---- at the beginning

  void list() {
    layout = &find_layout(options);
    Listing listing = layout->list(options);
    GAN_CHECK(!listing.train.empty() && listing.train.size() <= std::size(kStreams), "layout {}",
              layout->name);
    at_each_draw = listing.at_each_draw;
    passed_over = std::move(listing.passed_over);
    equal_names_match = listing.equal_names_match;
    held_out_lists = listing.held_out_lists;
    if (!listing.validates_on_test) for_testing = int64_t(listing.test.size());
    validation = std::move(listing.validates_on_test ? listing.test : listing.validation);
    own_validation = !validation.empty();
    if (own_validation && !options.split.empty())
      fail(Exit::usage, "{} has pictures for validation of its own: leave out --split", options.source);
    size_t bytes = 0;
    for (DrawList& found : listing.train) {
      List list;
      list.pictures = std::move(found.pictures);
      list.examples = std::move(found.examples);
      list.streams = kStreams[lists.size()];
      if (list.examples.empty())
        fail(Exit::bad_data, "{}: {} for testing, but none to train on", options.source, layout->counted);
      bytes += list.examples.size() * example_bytes(list);
      lists.push_back(std::move(list));
    }
    streams = double(bytes) > options.cache_gb * double(1 << 30);
  }

  // Everything is read once, also where nothing is kept: what is unreadable must be known before the order is
  // drawn.
  void read_everything(const ReadingProgress& progress) {
    int64_t count = int64_t(validation.size());
    for (const List& list : lists) count += int64_t(list.examples.size());
    int64_t done = 0;
    std::mutex mutex;
    const auto one_done = [&] {
      const std::lock_guard lock(mutex);
      if (progress) progress(++done, count);
    };
    std::vector<std::string> problems;
    bool none_left = false, none_readable = false;
    std::string emptied;
    for (List& list : lists) {
      const int64_t before = int64_t(list.examples.size());
      const size_t bad_before = problems.size();
      if (!streams) list.resident.resize(size_t(before) * example_bytes(list));
      leave_out_unfit(list.examples, &list, problems, one_done);
      if (!streams) list.resident.resize(list.examples.size() * example_bytes(list));
      if (!list.examples.empty() || none_left) continue;
      none_left = true;
      none_readable = problems.size() > bad_before;
      emptied = fmt::format("{} {}", before, layout->counted);
      if (lists.size() > 1) emptied += fmt::format(" {}", list.pictures[0]);
    }
    leave_out_unfit(validation, nullptr, problems, one_done);
    bad = int64_t(problems.size());
    listed = count;

    if (none_left && !none_readable)
      fail(Exit::bad_data, "{}: all of the {} for training are grey or nearly so: no colour to learn",
           options.source, emptied);
    const std::string first_few = few_of(problems);
    if (none_left)
      fail(Exit::bad_data, "{}: none of the {} can be read: {}", options.source, emptied, first_few);
    if (bad > bad_allowed(options.max_bad, count))
      fail(Exit::bad_data,
           "{}: {} of {} {} cannot be read, more than --max-bad {} allows; a larger --max-bad goes on "
           "without them, `gan data check {}{}{}` lists them all: {}",
           options.source, bad, count, layout->counted, options.max_bad, layout->check_option,
           *layout->check_option ? " " : "", options.source, first_few);
    for (const auto& problem : problems) talk("left out: " + problem);
  }

  // Takes out what cannot be read, with the reasons in `problems`, and what is grey in a colour set. `list`:
  // whose examples these are; without one they are for validation and their pixels are not kept.
  void leave_out_unfit(std::vector<ListedExample>& examples, List* list, std::vector<std::string>& problems,
                       const std::function<void()>& one_done) {
    const size_t bytes = list && !streams ? example_bytes(*list) : 0;
    std::vector<std::string> reasons(examples.size());
    std::vector<uint8_t> grey(examples.size());
    parallel_for(int64_t(examples.size()), options.workers, [&](int64_t i) {
      const ListedExample& listed = examples[size_t(i)];
      if (bytes == 0 && listed.drawn >= 0) return one_done();  // nothing to find out
      throw_if_stopped();
      try {
        const Example example = read(listed, side);
        if (bytes > 0) keep(example, *list, &list->resident[size_t(i) * bytes]);
        grey[size_t(i)] = has_no_colour(example);
      } catch (const Error& error) {
        if (error.code() != Exit::bad_data) throw;
        reasons[size_t(i)] = error.what();
      }
      one_done();
    });
    size_t kept = 0;
    for (size_t i = 0; i < examples.size(); ++i) {
      if (!reasons[i].empty()) {
        problems.push_back(std::move(reasons[i]));
        continue;
      }
      if (grey[i]) {
        ++nearly_grey;
        continue;
      }
      if (kept != i) {
        if (bytes > 0) std::copy_n(&list->resident[i * bytes], bytes, &list->resident[kept * bytes]);
        examples[kept] = std::move(examples[i]);
      }
      ++kept;
    }
    examples.resize(kept);
  }

  Example read(const ListedExample& example, int at_side, const std::optional<InputSeed>& seed = {}) const {
    return read_example(*layout, example, options, reading_of(options, at_side, seed));
  }

  // Whether an example is of no use to a model that learns colours.
  bool has_no_colour(const Example& example) const {
    const char* picture = "";
    if (options.examples == Examples::colour) picture = "picture";
    if (options.examples == Examples::coloured) picture = "A";  // of the photos; a style may be grey
    return example.has(picture) && is_nearly_grey(example.at(picture));
  }

  // What is kept of an example, to `into`: example_bytes().
  void keep(const Example& example, const List& list, uint8_t* into) const {
    for (const std::string& name : list.pictures) {
      const Image& picture = example.at(name);
      GAN_CHECK(picture.pixels.size() == square_bytes(), "{}: a picture of another size", example.name);
      into = std::copy(picture.pixels.begin(), picture.pixels.end(), into);
    }
  }

  // Which examples train and which are for validation.
  void divide() {
    double part = 1;
    if (!options.split.empty()) {
      if (options.split.size() != 2 || options.split[0] <= 0 || options.split[1] < 0)
        fail(Exit::usage, "--split wants two parts, for training and validation, as 0.9,0.1");
      part = options.split[0] / (options.split[0] + options.split[1]);
    }
    std::set<std::string> trained, held_out;  // names in the lists before
    std::vector<std::vector<ListedExample>> for_validation;
    for (List& list : lists) {
      const int64_t count = int64_t(list.examples.size());
      int64_t training = std::clamp<int64_t>(std::llround(part * double(count)), 1, count);
      const bool one_in_twenty =
          !own_validation && options.split.empty() && options.examples != Examples::pictures && count > 1;
      if (one_in_twenty) training = count - std::clamp<int64_t>(count / 20, 1, 32);
      if (for_validation.size() >= held_out_lists) training = count;
      std::vector<int32_t> order = in_order(count);
      if (training < count) order = permutation(count, options.seed, list.streams.order, kSplitStep);
      // What is held out of one list is held out of the next, too, where they have it under the same name.
      const auto rank = [&](int32_t i) {
        const std::string& name = list.examples[size_t(i)].name;
        if (held_out.contains(name)) return 2;
        return trained.contains(name) ? 0 : 1;
      };
      if (!for_validation.empty())
        std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return rank(a) < rank(b); });
      std::sort(order.begin(), order.begin() + training);
      std::sort(order.begin() + training, order.end());
      list.train.assign(order.begin(), order.begin() + training);
      std::vector<ListedExample> rest;
      for (int64_t k = 0; k < count; ++k) {
        const ListedExample& example = list.examples[size_t(order[size_t(k)])];
        (k < training ? trained : held_out).insert(example.name);
        if (k >= training) rest.push_back(example);
      }
      for_validation.push_back(std::move(rest));
    }
    if (own_validation) return;
    if (equal_names_match) validation = joined_by_name(for_validation);
    else
      for (const auto& rest : for_validation) validation.insert(validation.end(), rest.begin(), rest.end());
  }

  static std::vector<int32_t> in_order(int64_t count) {
    std::vector<int32_t> order(static_cast<size_t>(count));
    for (int64_t i = 0; i < count; ++i) order[size_t(i)] = int32_t(i);
    return order;
  }

  std::string words() const {
    std::vector<std::string> parts;
    std::string training;
    for (const List& list : lists) {
      training += fmt::format("{}{}", training.empty() ? "" : " and ", list.train.size());
      if (lists.size() > 1) training += fmt::format(" {}", list.pictures[0]);
    }
    parts.push_back(fmt::format("{} {} for training", training, layout->counted));
    if (!validation.empty()) parts.push_back(fmt::format("{} for validation", validation.size()));
    if (for_testing > 0) parts.push_back(fmt::format("{} for testing, left alone", for_testing));
    if (bad > 0) parts.push_back(fmt::format("{} bad", bad));
    if (nearly_grey > 0)
      parts.push_back(fmt::format("{} left out: grey or nearly so, no colour to learn", nearly_grey));
    const std::string others = passed_over.words();
    return fmt::format("{}: {}{}{}", options.source, fmt::join(parts, ", "), others.empty() ? "" : "; ",
                       others);
  }

  // ---- for each draw

  // Which example a list gives at place i of a batch.
  int32_t example_at(List& list, int64_t draw, int batch, int64_t i) {
    const int64_t count = int64_t(list.train.size());
    int64_t round, place;
    if (count == train_count()) {  // its rounds are epochs
      const int64_t draws = count / batch;
      round = draw / draws, place = draw % draws * batch + i;
    } else {
      round = (draw * batch + i) / count, place = (draw * batch + i) % count;
    }
    if (round != list.round) {
      list.round = round;
      list.order = options.shuffle ? permutation(count, options.seed, list.streams.order, uint32_t(round))
                                   : in_order(count);
    }
    return list.train[size_t(list.order[size_t(place)])];
  }

  std::vector<Place> placement(List& list, int64_t draw, int batch) {
    const int32_t slack = side - options.size;
    std::vector<Place> places;
    for (int i = 0; i < batch; ++i) {
      Place p{example_at(list, draw, batch, i), slack / 2, slack / 2, 0};
      if (options.augment) {
        const Philox4 r =
            random_bits(options.seed, uint32_t(list.streams.augment), uint32_t(draw), uint64_t(i));
        p.top = int32_t(uint64_t(r.v[0]) * uint64_t(slack + 1) >> 32);
        p.left = int32_t(uint64_t(r.v[1]) * uint64_t(slack + 1) >> 32);
        p.flip = int32_t(r.v[2] >> 31);
      }
      places.push_back(p);
    }
    return places;
  }

  using Placements = std::vector<std::vector<Place>>;  // of each list
  Placements placements(int64_t draw, int batch) {
    Placements all;
    for (List& list : lists) all.push_back(placement(list, draw, batch));
    return all;
  }

  // The examples at these places, of each list.
  std::vector<std::vector<uint8_t>> decode(const Placements& all) {
    std::vector<std::vector<uint8_t>> pixels;
    for (size_t k = 0; k < lists.size(); ++k) {
      const List& list = lists[k];
      const size_t bytes = example_bytes(list);
      std::vector<uint8_t> own(all[k].size() * bytes);
      parallel_for(int64_t(all[k].size()), options.workers, [&](int64_t i) {
        keep(readable(k, all[k][size_t(i)].example, side), list, &own[size_t(i) * bytes]);
      });
      pixels.push_back(std::move(own));
    }
    return pixels;
  }

  // The example `index` of list `k`. If its file has become unreadable since the beginning, it is left out from now on
  // and the next one that can be read stands for it, as long as --max-bad allows so many.
  Example readable(size_t k, int32_t index, int at_side, const std::optional<InputSeed>& seed = {}) {
    const List& list = lists[k];
    for (size_t tries = 0;; ++tries, index = int32_t(size_t(index + 1) % list.examples.size())) {
      {
        const std::lock_guard lock(late_mutex);
        if (late.contains({k, index})) continue;
      }
      try {
        return read(list.examples[size_t(index)], at_side, seed);
      } catch (const Error& error) {
        if (error.code() != Exit::bad_data) throw;
        leave_out_late(k, index, error.what(), tries + 1 >= list.examples.size());
      }
    }
  }

  void leave_out_late(size_t k, int32_t index, const std::string& problem, bool was_last) {
    const std::lock_guard lock(late_mutex);
    if (!late.insert({k, index}).second) return;  // another thread was first
    const double allowed = options.max_bad > 0 ? std::max(1.0, options.max_bad * double(listed)) : 0;
    if (was_last || double(bad + int64_t(late.size())) > allowed)
      fail(Exit::bad_data,
           "{} (it could be read at the beginning; {} of {} {} cannot be read now, more than "
           "--max-bad {} allows)",
           problem, bad + int64_t(late.size()), listed, layout->counted, options.max_bad);
    talk(fmt::format("left out from now on, it could be read at the beginning: {}", problem));
  }

  // The examples of a streamed batch, in their order in the batch, and the places in them; the next batch is
  // decoded while this one is worked on.
  std::vector<std::vector<uint8_t>> streamed(int64_t draw, int batch, Placements& all) {
    auto pixels = ahead && ahead->draw == draw && ahead->batch == batch ? ahead->pixels.get() : decode(all);
    ahead.reset();
    const auto decode_next = [this, next = placements(draw + 1, batch)] { return decode(next); };
    try {
      ahead = Ahead{draw + 1, batch, std::async(std::launch::async, decode_next)};
    } catch (const std::system_error&) {  // no thread to be had: nothing is decoded ahead
    }
    for (auto& places : all)
      for (size_t i = 0; i < places.size(); ++i) places[i].example = int32_t(i);
    return pixels;
  }

  // Squares of `side_of` pixels as a tensor (squares, side_of, side_of, channels).
  Tensor uploaded(DeviceContext& context, std::vector<uint8_t> pixels, int side_of) const {
    const int64_t squares = int64_t(pixels.size()) / (int64_t(side_of) * side_of * options.channels);
    return Tensor::from_bytes(context, {squares, side_of, side_of, options.channels}, std::move(pixels));
  }

  Tensor cut(DeviceContext& context, const Tensor& from, const std::vector<Place>& places) const {
    Tensor where(context, {int64_t(places.size()), 4}, DType::i32);
    where.upload_bytes(places.data(), places.size() * sizeof(Place));
    return image_batch(from, where, options.size, options.size);
  }

  Batch batch(DeviceContext& context, int64_t draw, int batch) {
    Placements all = placements(draw, batch);
    std::vector<std::vector<uint8_t>> own;
    if (streams) own = streamed(draw, batch, all);
    if (at_each_draw || options.jitter_exposure > 0) return completed(context, draw, all, own);
    Batch result;
    for (size_t k = 0; k < lists.size(); ++k) {
      List& list = lists[k];
      if (!streams && !list.pool) list.pool = uploaded(context, std::move(list.resident), side);
      const Tensor pool = streams ? uploaded(context, std::move(own[k]), side) : list.pool;
      const int32_t kept = int32_t(list.pictures.size());
      for (int32_t picture = 0; picture < kept; ++picture) {
        std::vector<Place> places = all[k];
        for (Place& place : places) place.example = place.example * kept + picture;
        result.pictures.emplace_back(list.pictures[size_t(picture)], cut(context, pool, places));
      }
    }
    return result;
  }

  // Pictures cut on the host, of another exposure, with what is made of them anew. `own`: the examples of a streamed batch.
  Batch completed(DeviceContext& context, int64_t draw, const Placements& all,
                  const std::vector<std::vector<uint8_t>>& own) const {
    const int64_t batch = int64_t(all[0].size());
    std::vector<Example> examples(static_cast<size_t>(batch));
    parallel_for(batch, options.workers, [&](int64_t i) {
      Example& example = examples[size_t(i)];
      for (size_t k = 0; k < lists.size(); ++k) {
        const Place& place = all[k][size_t(i)];
        const uint8_t* from = &(streams ? own[k] : lists[k].resident)[0];
        from += size_t(place.example) * example_bytes(lists[k]);
        for (const std::string& name : lists[k].pictures) {
          example.pictures.emplace_back(name, cut_here(from, place));
          from += square_bytes();
        }
        if (k > 0 || options.jitter_exposure <= 0) continue;
        const Philox4 r =
            random_bits(options.seed, uint32_t(lists[k].streams.augment), uint32_t(draw), uint64_t(i));
        const double stops = options.jitter_exposure * (2 * double(r.v[3]) / 4294967296.0 - 1);
        for (auto& [name, picture] : example.pictures) picture = exposed(picture, stops);
      }
      if (at_each_draw) at_each_draw(example, options, {options.seed, uint32_t(draw), uint64_t(i)});
    });
    Batch result;
    for (size_t k = 0; k < examples[0].pictures.size(); ++k) {
      std::vector<uint8_t> pixels;
      std::vector<Place> whole;
      for (const Example& example : examples) {
        const auto& picture = example.pictures[k].second.pixels;
        whole.push_back({int32_t(whole.size()), 0, 0, 0});
        pixels.insert(pixels.end(), picture.begin(), picture.end());
      }
      result.pictures.emplace_back(examples[0].pictures[k].first,
                                   cut(context, uploaded(context, std::move(pixels), options.size), whole));
    }
    return result;
  }

  Image cut_here(const uint8_t* square, const Place& place) const {
    const int size = options.size, channels = options.channels;
    Image picture(size, size, channels);
    for (int y = 0; y < size; ++y)
      std::copy_n(square + (size_t(place.top + y) * side + place.left) * channels, size_t(size) * channels,
                  &picture.at(y, 0, 0));
    return place.flip ? flip_horizontal(picture) : picture;
  }

  // ---- one at a time

  Example example(int64_t i, bool validates) {
    const InputSeed seed{options.seed, kSplitStep, uint64_t(i)};
    if (validates) return read(validation.at(size_t(i)), options.size, seed);
    GAN_CHECK(i >= 0 && i < train_count(), "example {} of {}", i, train_count());
    Example whole;
    for (size_t k = 0; k < lists.size(); ++k) {
      const List& list = lists[k];
      Example one = readable(k, list.train[size_t(i) % list.train.size()], options.size, seed);
      whole.name += (whole.name.empty() ? "" : ", ") + one.name;
      for (auto& picture : one.pictures) whole.pictures.push_back(std::move(picture));
    }
    return whole;
  }
};

PictureSet::PictureSet(const DataOptions& options, const ReadingProgress& progress)
    : impl_(std::make_unique<Impl>(options, progress)) {}
PictureSet::~PictureSet() = default;
int64_t PictureSet::train_count() const { return impl_->train_count(); }
int64_t PictureSet::validation_count() const { return int64_t(impl_->validation.size()); }
int64_t PictureSet::bad_count() const { return impl_->bad; }
int64_t PictureSet::grey_count() const { return impl_->nearly_grey; }
std::string PictureSet::words() const { return impl_->words(); }
int PictureSet::channels() const { return impl_->options.channels; }
bool PictureSet::streaming() const { return impl_->streams; }

size_t PictureSet::cache_bytes() const {
  size_t bytes = 0;
  for (const List& list : impl_->lists) bytes += list.examples.size() * impl_->example_bytes(list);
  return impl_->streams ? 0 : bytes;
}

int64_t PictureSet::names_hash() const {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto add = [&](const ListedExample& example) {
    for (const char c : example.name + '\n') hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  };
  for (const List& list : impl_->lists)
    for (const int32_t i : list.train) add(list.examples[size_t(i)]);
  for (const ListedExample& example : impl_->validation) add(example);
  return int64_t(hash >> 1) | 1;
}

int64_t PictureSet::draws_per_epoch(int batch) const { return train_count() / batch; }

Batch PictureSet::batch(DeviceContext& context, int64_t draw, int batch) {
  GAN_CHECK(batch >= 1 && batch <= train_count(), "a batch of {} from {} examples", batch, train_count());
  return impl_->batch(context, draw, batch);
}

Example PictureSet::example(int64_t i, bool validation) { return impl_->example(i, validation); }

bool is_nearly_grey(const Image& picture) {
  return picture.channels == 1 || opponent_colours(picture).variance < 3 * 3;
}

}  // namespace gan
