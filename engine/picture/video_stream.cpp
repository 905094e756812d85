// Reading and writing y4m and PPM, and the way between their planes and colours.
#include "engine/picture/video_stream.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <sstream>
#include <system_error>

#include "engine/files/stop.h"
#include "kernels/contract/check.h"

namespace gan {

namespace {

constexpr size_t kBuffer = 1 << 16;

// How a y4m stream stores chroma.
struct Planes {
  int width, height;  // of each of the two chroma planes; 0: none
  int across, down;   // pixels that share a value
};

Planes planes_of(const VideoFormat& format) {
  const std::string& c = format.chroma;
  if (c == "mono") return {0, 0, 1, 1};
  if (c == "444") return {format.width, format.height, 1, 1};
  if (c == "422") return {(format.width + 1) / 2, format.height, 2, 1};
  return {(format.width + 1) / 2, (format.height + 1) / 2, 2, 2};
}

size_t y4m_bytes(const VideoFormat& format) {
  const Planes chroma = planes_of(format);
  return size_t(format.width) * size_t(format.height) + 2 * size_t(chroma.width) * size_t(chroma.height);
}

// BT.601, which is what readers take a y4m stream for: luma = 0.299 R + 0.587 G + 0.114 B, chroma the differences of
// blue and red to it.
struct Range {
  float black, luma, chroma;  // where luma begins, and the scales of both
};
Range range_of(const VideoFormat& format) {
  if (format.full_range) return {0, 1, 1};
  return {16, 219.0f / 255, 224.0f / 255};
}

uint8_t to_byte(float value) { return uint8_t(std::clamp(value + 0.5f, 0.0f, 255.0f)); }

}  // namespace

bool begins_a_stream(const std::vector<uint8_t>& bytes) {
  const std::string begin(bytes.begin(), bytes.end());
  const bool ppm =
      begin.size() > 2 && (begin.starts_with("P6") || begin.starts_with("P5")) && std::isspace(bytes[2]);
  return ppm || begin.starts_with("YUV4MPEG2 ");
}

// ------------------------------------------------------------------------------------------- reading

template <class... A>
void StreamSource::refuse(fmt::format_string<A...> text, A&&... values) const {
  fail(Exit::bad_data, "{}: {}", name_, fmt::format(text, std::forward<A>(values)...));
}

StreamSource::StreamSource(int descriptor, bool owned, const std::string& name)
    : descriptor_(descriptor), owned_(owned), name_(name), buffer_(kBuffer) {
  try {
    const int first = next_byte(), second = next_byte();
    if (first < 0) refuse("no frames: the stream is empty");
    if (first == 'P' && (second == '6' || second == '5')) {
      read_ppm_header(second);
      header_read_ = true;
    } else {
      const std::string line = std::string{char(first), char(second)} + read_line();
      if (!line.starts_with("YUV4MPEG2 "))
        refuse("neither a YUV4MPEG2 stream nor PPM pictures, which are what a stream can be");
      read_y4m_header(line.substr(10));
    }
    const int64_t pixels = int64_t{format_.width} * format_.height;
    if (format_.width < 1 || format_.height < 1 || format_.width > PictureLimits::side ||
        format_.height > PictureLimits::side || pixels > PictureLimits::pixels)
      refuse("claims frames of {} x {} pixels", format_.width, format_.height);
    // A file's length tells how many frames there are.
    struct stat status {};
    if (format_.stream == VideoFormat::Stream::y4m && ::fstat(descriptor_, &status) == 0 &&
        S_ISREG(status.st_mode))
      format_.frames = status.st_size / int64_t(y4m_bytes(format_) + 6);
  } catch (...) {
    if (owned_) ::close(descriptor_);
    throw;
  }
}

StreamSource::~StreamSource() {
  if (owned_) ::close(descriptor_);
}

size_t StreamSource::read_some(uint8_t* to, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    if (at_ < filled_) {
      const size_t part = std::min(bytes - done, filled_ - at_);
      std::memcpy(to + done, &buffer_[at_], part);
      at_ += part, done += part;
      continue;
    }
    const ssize_t got = ::read(descriptor_, buffer_.data(), buffer_.size());
    if (got < 0 && errno == EINTR) {
      throw_if_stopped();
      continue;
    }
    if (got < 0) fail(Exit::io, "{} cannot be read: {}", name_, std::strerror(errno));
    if (got == 0) break;
    at_ = 0, filled_ = size_t(got);
  }
  return done;
}

int StreamSource::next_byte() {
  uint8_t byte;
  return read_some(&byte, 1) == 1 ? byte : -1;
}

std::string StreamSource::read_line() {
  std::string line;
  for (int c = next_byte(); c >= 0 && c != '\n'; c = next_byte()) {
    if (line.size() > 1000) refuse("a header without an end");
    line += char(c);
  }
  return line;
}

void StreamSource::read_y4m_header(const std::string& line) {
  format_.chroma = "420jpeg";
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    const std::string value = word.substr(1);
    const auto number = [&](const std::string& text) -> int64_t {
      if (text.empty() || text.size() > 9 || text.find_first_not_of("0123456789") != text.npos)
        refuse("the header's {} is no number", word);
      return std::stoll(text);
    };
    switch (word[0]) {
      case 'W': format_.width = int(number(value)); break;
      case 'H': format_.height = int(number(value)); break;
      case 'F': {
        const size_t colon = value.find(':');
        if (colon == value.npos) refuse("the header's {} is no frame rate", word);
        format_.rate = number(value.substr(0, colon)), format_.rate_scale = number(value.substr(colon + 1));
        if (format_.rate < 1 || format_.rate_scale < 1)
          format_.rate = 25, format_.rate_scale = 1;  // "not known"
        break;
      }
      case 'C': format_.chroma = value; break;
      case 'X':
        if (value == "COLORRANGE=FULL") format_.full_range = true;
        break;
      default: format_.other_words += " " + word;
    }
  }
  for (const char* known : {"420jpeg", "420mpeg2", "420paldv", "420", "422", "444", "mono"})
    if (format_.chroma == known) return;
  refuse(
      "chroma of the kind \"{}\"; 420, 422, 444 and mono of 8 bits are read: ffmpeg -pix_fmt yuv420p makes that",
      format_.chroma);
}

int64_t StreamSource::read_number() {
  int c = next_byte();
  while (c == '#' || std::isspace(c)) {
    if (c == '#') read_line();
    c = next_byte();
  }
  int64_t value = 0;
  int digits = 0;
  for (; c >= '0' && c <= '9' && digits < 9; c = next_byte(), ++digits) value = value * 10 + c - '0';
  if (digits == 0 || !std::isspace(c)) refuse("picture {} has no header of a PPM", count_ + 1);
  return value;
}

// After the two letters.
void StreamSource::read_ppm_header(int kind) {
  const int64_t width = read_number(), height = read_number(), largest = read_number();
  if (largest != 255)
    refuse("picture {} has samples of 0 to {}; those of 0 to 255 are read", count_ + 1, largest);
  const bool first = count_ == 0 && format_.width == 0;
  if (!first && (width != format_.width || height != format_.height))
    refuse("picture {} has {} x {} pixels, those before have {} x {}: a film has one size", count_ + 1, width,
           height, format_.width, format_.height);
  format_.stream = VideoFormat::Stream::ppm;
  format_.width = int(width), format_.height = int(height);
  format_.full_range = true;
  channels_ = kind == '6' ? 3 : 1;
}

bool StreamSource::read(Image& frame) {
  const bool ppm = format_.stream == VideoFormat::Stream::ppm;
  if (ppm && !header_read_) {
    const int first = next_byte();
    if (first < 0) return false;
    const int second = next_byte();
    if (first != 'P' || (second != '6' && second != '5')) refuse("after picture {} comes no PPM", count_);
    read_ppm_header(second);
  }
  header_read_ = false;
  if (!ppm) {
    const int first = next_byte();
    if (first < 0) return false;
    const std::string line = char(first) + read_line();
    if (!line.starts_with("FRAME")) refuse("damaged: frame {} does not begin as one", count_ + 1);
  }
  const size_t pixels = size_t(format_.width) * size_t(format_.height);
  planes_.resize(ppm ? pixels * size_t(channels_) : y4m_bytes(format_));
  if (read_some(planes_.data(), planes_.size()) != planes_.size()) refuse("cut off in frame {}", count_ + 1);
  if (frame.height != format_.height || frame.width != format_.width || frame.channels != 3)
    frame = Image(format_.height, format_.width, 3);
  if (!ppm) to_colours(frame);
  else if (channels_ == 3) std::copy(planes_.begin(), planes_.end(), frame.pixels.begin());
  else
    for (size_t i = 0; i < pixels; ++i) std::fill_n(&frame.pixels[3 * i], 3, planes_[i]);
  ++count_;
  return true;
}

void StreamSource::to_colours(Image& frame) const {
  const Planes chroma = planes_of(format_);
  const Range range = range_of(format_);
  const uint8_t* luma = planes_.data();
  const uint8_t* blue = luma + size_t(format_.width) * size_t(format_.height);
  const uint8_t* red = blue + size_t(chroma.width) * size_t(chroma.height);
  for (int y = 0; y < format_.height; ++y)
    for (int x = 0; x < format_.width; ++x) {
      const float l = (float(*luma++) - range.black) / range.luma;
      uint8_t* to = &frame.at(y, x, 0);
      if (chroma.width == 0) {
        std::fill_n(to, 3, to_byte(l));
        continue;
      }
      const size_t at = size_t(y / chroma.down) * size_t(chroma.width) + size_t(x / chroma.across);
      const float u = (float(blue[at]) - 128) / range.chroma, v = (float(red[at]) - 128) / range.chroma;
      to[0] = to_byte(l + 1.402f * v);
      to[1] = to_byte(l - 0.344136f * u - 0.714136f * v);
      to[2] = to_byte(l + 1.772f * u);
    }
}

// ------------------------------------------------------------------------------------------- writing

StreamSink::StreamSink(int descriptor, bool owned, const std::string& name, const VideoFormat& format)
    : descriptor_(descriptor), owned_(owned), name_(name), format_(format) {
  if (format_.stream == VideoFormat::Stream::ppm) return;
  const std::string header = fmt::format(
      "YUV4MPEG2 W{} H{} F{}:{}{} C{} XCOLORRANGE={}\n", format_.width, format_.height, format_.rate,
      format_.rate_scale, format_.other_words, format_.chroma, format_.full_range ? "FULL" : "LIMITED");
  try {
    put(reinterpret_cast<const uint8_t*>(header.data()), header.size());
  } catch (...) {
    if (owned_) ::close(descriptor_);
    throw;
  }
}

StreamSink::~StreamSink() {
  if (owned_ && descriptor_ >= 0) ::close(descriptor_);
}

void StreamSink::put(const uint8_t* bytes, size_t count) {
  for (size_t done = 0; done < count;) {
    const ssize_t put = ::write(descriptor_, bytes + done, count - done);
    if (put < 0 && errno == EINTR) continue;  // a frame is written whole, whatever signal came
    if (put < 0) {
      const int error = errno;
      struct stat status {};
      if (::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode) &&
          ::ftruncate(descriptor_, written_) != 0)
        fail(Exit::io, "{} cannot be written ({}), nor cut back to its last whole frame", name_,
             std::strerror(error));
      if (error == EPIPE) throw std::system_error(error, std::generic_category(), name_);
      fail(Exit::io, "{} cannot be written: {}; what is there plays", name_, std::strerror(error));
    }
    done += size_t(put);
  }
  written_ += int64_t(count);
}

void StreamSink::write(const Image& frame) {
  GAN_CHECK(frame.width == format_.width && frame.height == format_.height && frame.channels == 3,
            "a frame of {} x {} for a film of {} x {}", frame.width, frame.height, format_.width,
            format_.height);
  std::string header = "FRAME\n";
  if (format_.stream == VideoFormat::Stream::ppm)
    header = fmt::format("P6\n{} {}\n255\n", frame.width, frame.height);
  bytes_.assign(header.begin(), header.end());
  if (format_.stream == VideoFormat::Stream::ppm) {
    bytes_.insert(bytes_.end(), frame.pixels.begin(), frame.pixels.end());
    return put(bytes_.data(), bytes_.size());
  }
  const Planes chroma = planes_of(format_);
  const Range range = range_of(format_);
  const size_t pixels = size_t(frame.width) * size_t(frame.height),
               share = size_t(chroma.width) * size_t(chroma.height);
  bytes_.resize(header.size() + pixels + 2 * share);
  uint8_t* luma = &bytes_[header.size()];
  const auto luma_of = [](const float* c) { return 0.299f * c[0] + 0.587f * c[1] + 0.114f * c[2]; };
  for (size_t i = 0; i < pixels; ++i) {
    const float c[] = {float(frame.pixels[3 * i]), float(frame.pixels[3 * i + 1]),
                       float(frame.pixels[3 * i + 2])};
    luma[i] = to_byte(range.black + range.luma * luma_of(c));
  }
  uint8_t *blue = luma + pixels, *red = blue + share;
  for (int y = 0; y < chroma.height; ++y)
    for (int x = 0; x < chroma.width; ++x) {
      float sum[3] = {}, count = 0;  // of the pixels that share a value
      for (int py = y * chroma.down; py < std::min((y + 1) * chroma.down, frame.height); ++py)
        for (int px = x * chroma.across; px < std::min((x + 1) * chroma.across, frame.width); ++px, ++count)
          for (int k = 0; k < 3; ++k) sum[k] += float(frame.at(py, px, k));
      for (float& value : sum) value /= count;
      const float l = luma_of(sum);
      *blue++ = to_byte(128 + range.chroma * (sum[2] - l) / 1.772f);
      *red++ = to_byte(128 + range.chroma * (sum[0] - l) / 1.402f);
    }
  put(bytes_.data(), bytes_.size());
}

void StreamSink::finish() {
  if (!owned_ || descriptor_ < 0) return;
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail(Exit::io, "{} cannot be written: {}", name_, std::strerror(errno));
}

}  // namespace gan
