// Sizes of convolutions: by name, in words, and what is wrong with them.
#include "kernels/contract/conv.h"

namespace gan {

void Conv2d::sizes(Sizes& s) {
  s.size("n", n, 1, 16);
  s.size("h", h, 16, 32);
  s.size("w", w, 16, 32);
  s.size("c", c, 16, 64);
  s.size("k", k, 16, 128);
  s.size("kernel", kh, 4, 4);
  s.size("stride", sh, 2, 2);
  s.size("pad", ph, 1, 1, 0);
  s.size("dilation", dh, 1, 1);
  s.size("groups", groups, 1, 1);
  s.choice("padding", padding, {"zero", "reflect"});
  kw = kh, sw = sh, pw = ph, dw = dh;
  if (sh < 1) return;  // a message about it lists these sizes
  oh = out_size(h, kh, sh, ph, dh);
  ow = out_size(w, kw, sw, pw, dw);
}

const char* Conv2d::wrong() const {
  if (n < 1 || h < 1 || w < 1 || c < 1 || k < 1) return "pictures and channels must be at least 1";
  if (kh < 1 || kw < 1 || sh < 1 || sw < 1 || dh < 1 || dw < 1)
    return "kernel, stride and dilation must be at least 1";
  if (ph < 0 || pw < 0) return "padding must not be negative";
  if (h + 2 * ph < dh * (kh - 1) + 1 || w + 2 * pw < dw * (kw - 1) + 1)
    return "the kernel is larger than the picture with its padding";
  if (oh != out_size(h, kh, sh, ph, dh) || ow != out_size(w, kw, sw, pw, dw))
    return "the output size does not follow from the others";
  if (groups != 1 && groups != c) return "groups must be 1 or the channel count";
  if (k % groups != 0) return "output channels must be a multiple of the groups";
  if (padding == Padding::reflect && (ph >= h || pw >= w))
    return "reflect padding must be smaller than the picture";
  if (x_count() >= INT32_MAX || y_count() >= INT32_MAX || w_count() >= INT32_MAX)
    return "more than 2^31 elements; use a smaller batch";
  return nullptr;
}

void check(const Conv2d& size) {
  if (const char* why = size.wrong()) fail(Exit::failure, "convolution of {}: {}", to_string(size), why);
}

std::string to_string(const Conv2d& s) {
  return fmt::format(
      "x ({},{},{},{}) -> y ({},{},{},{}), kernel {}x{} stride {}x{} pad {}x{}{} dilation {}x{} groups {}",
      s.n, s.h, s.w, s.c, s.n, s.oh, s.ow, s.k, s.kh, s.kw, s.sh, s.sw, s.ph, s.pw,
      s.padding == Padding::reflect ? " reflect" : "", s.dh, s.dw, s.groups);
}

}  // namespace gan
