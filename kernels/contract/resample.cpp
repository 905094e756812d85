// Sizes of pooling and resizing: by name, in words, and what is wrong with them.
#include "kernels/contract/resample.h"

#include <algorithm>

namespace gan {

const char* ResampleSize::wrong() const {
  if (n < 1 || h < 1 || w < 1 || c < 1 || oh < 1 || ow < 1) return "sizes must be at least 1";
  if (std::max({h, w, oh, ow}) > 16384) return "more than 16384 pixels a side";
  if (x_count() >= INT32_MAX || y_count() >= INT32_MAX) return "more than 2^31 elements; use a smaller batch";
  return nullptr;
}

std::string to_string(const ResampleSize& s) {
  return fmt::format("x ({},{},{},{}) -> y ({},{},{},{})", s.n, s.h, s.w, s.c, s.n, s.oh, s.ow, s.c);
}

void PoolWindow::sizes(Sizes& s, ResampleSize& size) {
  s.size("kernel", kh, 2, 2);
  s.size("stride", sh, 2, 2);
  s.size("pad", ph, 0, 0, 0);
  kw = kh, sw = sh, pw = ph;
  if (sh < 1) return;  // a message about it lists these sizes
  size.oh = out_size(size.h, kh, sh, ph);
  size.ow = out_size(size.w, kw, sw, pw);
}

namespace {
bool is_pooled_size(int in, int out, int kernel, int stride, int pad) {
  return kernel >= 1 && kernel <= 16384 && stride >= 1 && stride <= 16384 && pad >= 0 && 2 * pad <= kernel &&
         kernel <= in + 2 * pad &&
         (out == PoolWindow::out_size(in, kernel, stride, pad) ||
          out == PoolWindow::out_size(in, kernel, stride, pad, true));
}
}  // namespace

const char* PoolWindow::wrong(const ResampleSize& size) const {
  if (const char* why = size.wrong()) return why;
  return is_pooled_size(size.h, size.oh, kh, sh, ph) && is_pooled_size(size.w, size.ow, kw, sw, pw)
             ? nullptr
             : "the window is larger than the picture, or the output size does not follow";
}

void check(const ResampleSize& size, const PoolWindow& p) {
  if (const char* why = p.wrong(size))
    fail(Exit::failure, "{} by windows of {}x{} stride {}x{} padding {}x{}: {}", to_string(size), p.kh, p.kw,
         p.sh, p.sw, p.ph, p.pw, why);
}

void ResampleRule::sizes(Sizes& s, ResampleSize& size) {
  size.sizes(s);
  int word = 3 - int(kind);  // from the simplest one
  s.choice("kind", word, {"nearest", "bilinear", "adaptive_average", "average_pool"});
  kind = ResampleKind(3 - word);
  if (kind == ResampleKind::average_pool) return window.sizes(s, size);
  s.size("oh", size.oh, 2 * size.h, 2 * size.h);
  s.size("ow", size.ow, 2 * size.w, 2 * size.w);
}

void check(const ResampleSize& size, const ResampleRule& rule) {
  if (rule.kind == ResampleKind::average_pool) return check(size, rule.window);
  if (const char* why = size.wrong()) fail(Exit::failure, "{}: {}", to_string(size), why);
}

}  // namespace gan
