// Cases of losses.
#include "tests/cases/case_parts.h"

namespace gan::tests {

namespace {

constexpr GanLoss gan_losses[] = {GanLoss::vanilla, GanLoss::minimax, GanLoss::lsgan, GanLoss::hinge,
                                  GanLoss::wasserstein};
const char* name_of(GanLoss kind) {
  constexpr const char* names[] = {"vanilla", "minimax", "lsgan", "hinge", "wasserstein"};
  return names[int(kind)];
}

// Logits so sure of themselves that e^x leaves float32's range of 1 +- ulp.
Generator sure_logits() { return constant({80, -80, 30, -30, 0, 0.5, -0.5, 17}); }

}  // namespace

template <>
const std::vector<Case<DiscriminatorLoss>>& cases() {
  static const auto table = [] {
    std::vector<Case<DiscriminatorLoss>> t;
    const auto add = [&](const std::string& name, const DiscriminatorLoss& args, const Generator& logits,
                         bool d_real, bool d_fake, Acc acc) {
      Case<DiscriminatorLoss> c(
          fmt::format("{} {} {}+{}{}{}{}", name_of(args.kind), name, args.real_count, args.fake_count,
                      d_real ? " d_real" : "", d_fake ? " d_fake" : "", name_of(acc)),
          args);
      c.fill("real", logits).fill("fake", logits);
      if (d_real) c.with("d_real");
      if (d_fake) c.with("d_fake");
      if (acc == Acc::set) c.with("loss");
      c.accumulate(acc);
      t.push_back(std::move(c));
    };
    const std::pair<int64_t, int64_t> sizes[] = {{1, 1}, {31, 31}, {1025, 257}, {3, 64}, {10007, 10007}};
    for (GanLoss kind : gan_losses) {
      for (auto [real, fake] : sizes) {
        DiscriminatorLoss args{.kind = kind, .real_count = real, .fake_count = fake};
        add("normal", args, normals(3), true, true, Acc::set);
        args.real_label = 0.9;
        args.fake_label = 0.1;
        args.scale = 0.5;
        add("smooth half", args, normals(2), true, true, Acc::set);
      }
      const DiscriminatorLoss args{.kind = kind, .real_count = 8, .fake_count = 16};
      add("sure", args, sure_logits(), true, true, Acc::set);
      add("normal", args, normals(), true, true, Acc::add);
      add("normal", args, normals(), false, true, Acc::set);
      add("normal", args, normals(), true, false, Acc::set);
      add("normal", args, normals(), false, false, Acc::set);
    }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<GeneratorLoss>>& cases() {
  static const auto table = [] {
    std::vector<Case<GeneratorLoss>> t;
    const auto add = [&](const std::string& name, const GeneratorLoss& args, const Generator& logits,
                         bool d_fake, Acc acc) {
      Case<GeneratorLoss> c(fmt::format("{} {} {}{}{}", name_of(args.kind), name, args.count,
                                        d_fake ? " d_fake" : "", name_of(acc)),
                            args);
      c.fill("fake", logits);
      if (d_fake) c.with("d_fake");
      if (acc == Acc::set) c.with("loss");
      c.accumulate(acc);
      t.push_back(std::move(c));
    };
    for (GanLoss kind : gan_losses) {
      for (int64_t count : {1, 31, 64, 1025, 10007})
        add("normal", {.kind = kind, .count = count, .scale = 2.5}, normals(3), true, Acc::set);
      add("sure", {.kind = kind, .count = 8}, sure_logits(), true, Acc::set);
      add("normal", {.kind = kind, .count = 33}, normals(), true, Acc::add);
      add("normal", {.kind = kind, .count = 33}, normals(), false, Acc::set);
    }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<PixelLoss>>& cases() {
  static const auto table = [] {
    std::vector<Case<PixelLoss>> t;
    const auto add = [&](PixelLossKind kind, int64_t count, bool da, bool db, Acc acc,
                         const Generator& values) {
      const char* names[] = {"l1", "l2", "huber"};
      Case<PixelLoss> c(
          fmt::format("{} {}{}{}{}", names[int(kind)], count, da ? " da" : "", db ? " db" : "", name_of(acc)),
          {.kind = kind, .count = count, .scale = 10});
      c.fill("a", values).fill("b", values);
      if (da) c.with("da");
      if (db) c.with("db");
      if (acc == Acc::set) c.with("loss");
      c.accumulate(acc);
      t.push_back(std::move(c));
    };
    for (PixelLossKind kind : {PixelLossKind::l1, PixelLossKind::l2, PixelLossKind::huber}) {
      for (int64_t count : counts) add(kind, count, true, true, Acc::set, uniform(-1, 1));
      add(kind, 35, true, true, Acc::add, uniform(-1, 1));
      add(kind, 33, true, false, Acc::set, uniform(-1, 1));
      add(kind, 34, false, true, Acc::set, uniform(-1, 1));
      add(kind, 36, false, false, Acc::set, uniform(-1, 1));
      add(kind, 64, true, true, Acc::set, integers(-1, 2));  // with equal pairs: the gradient there is 0
      add(kind, 65, true, true, Acc::set, uniform(-3, 3));   // on both sides of huber's corner
    }
    return t;
  }();
  return table;
}

}  // namespace gan::tests
