// y4m and PPM streams on open descriptors: what files, standard streams and ffmpeg's pipes share.
#pragma once
#include <memory>
#include <vector>

#include "engine/picture/video.h"
#include "kernels/contract/check.h"

namespace gan {

class StreamSource : public FrameSource {
 public:
  // Reads the header. `name`: in messages. The descriptor is closed in the end if `owned`.
  StreamSource(int descriptor, bool owned, const std::string& name);
  ~StreamSource() override;
  bool read(Image& frame) override;
  int64_t frames_read() const { return count_; }
  VideoFormat& format_to_change() { return format_; }

 private:
  int next_byte();  // -1 at the end
  size_t read_some(uint8_t* to, size_t bytes);
  std::string read_line();
  int64_t read_number();
  void read_y4m_header(const std::string& line);
  void read_ppm_header(int kind);
  void to_colours(Image& frame) const;
  template <class... A>
  [[noreturn]] void refuse(fmt::format_string<A...> text, A&&... values) const;

  int descriptor_;
  bool owned_;
  std::string name_;
  std::vector<uint8_t> buffer_, planes_;
  size_t at_ = 0, filled_ = 0;
  int64_t count_ = 0;
  int channels_ = 3;          // of a PPM stream
  bool header_read_ = false;  // of the next PPM picture
};

// Whether a stream that begins so is one of ours.
bool begins_a_stream(const std::vector<uint8_t>& bytes);

class StreamSink : public FrameSink {
 public:
  // A file that fails in the middle of a frame is cut back to the frames that are whole.
  StreamSink(int descriptor, bool owned, const std::string& name, const VideoFormat& format);
  ~StreamSink() override;
  void write(const Image& frame) override;
  void finish() override;

 private:
  void put(const uint8_t* bytes, size_t count);

  int descriptor_;
  bool owned_;
  std::string name_;
  VideoFormat format_;
  std::vector<uint8_t> bytes_;
  int64_t written_ = 0;  // bytes of whole frames, with the header
};

}  // namespace gan
