// Films: a source of frames and a sink for them, one frame in memory at a time.
//
// Without another program: streams and files of YUV4MPEG2 (y4m) and of PPM or PGM pictures one after another. Every
// other kind goes through `ffmpeg`, which is looked for on the PATH when it is needed; it decodes to and encodes from
// such a stream.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "engine/picture/image.h"

namespace gan {

// What a film is, beside its frames.
struct VideoFormat {
  enum class Stream { y4m, ppm };
  Stream stream = Stream::y4m;  // in what form its frames come or go
  int width = 0, height = 0;
  int64_t rate = 25, rate_scale = 1;  // frames per second: rate / rate_scale
  std::string chroma = "420jpeg";     // y4m: 420jpeg, 420mpeg2, 420paldv, 420, 422, 444, mono
  bool full_range = false;            // y4m: luma is 0..255, else 16..235
  std::string other_words;            // y4m: of interlacing and of the pixel's shape, as the source has them
  std::string matrix;                 // how ffmpeg's sources mix colours: "bt709", ...; empty: not known
  bool sound = false;                 // whether the source is of a kind that can have sound
  int64_t frames = 0;                 // 0: not known
};

class FrameSource {
 public:
  virtual ~FrameSource() = default;
  const VideoFormat& format() const { return format_; }
  // The next frame, in colour; false after the last. Exit::bad_data naming the frame where the film is cut off,
  // damaged, or changes its size. Throws Stopped when a signal comes while it waits (StopSignals).
  virtual bool read(Image& frame) = 0;

 protected:
  VideoFormat format_;
};

// `name`: a file, or - for standard input, which is y4m or PPM. Exit::bad_data when it is no film; Exit::failure when
// it takes ffmpeg and there is none, saying what goes without.
std::unique_ptr<FrameSource> open_frames(const std::string& name);

class FrameSink {
 public:
  virtual ~FrameSink() = default;
  // Colour frames of the format's size. Exit::io when it cannot be written; what was written before plays.
  // std::system_error with broken_pipe when the reader of standard output has gone.
  virtual void write(const Image& frame) = 0;
  // To be called at the end, also after a failure elsewhere: only then the film is complete. Exit::io.
  virtual void finish() = 0;
};

// `name`: what check_sink_name() accepts. `format`: of the frames that will come; where the kind of file allows it, rate
// and range stay. `sound_from`: a film whose sound is copied where the kind of file has sound; empty: none.
std::unique_ptr<FrameSink> create_frames(const std::string& name, const VideoFormat& format,
                                         const std::string& sound_from);
// Exit::usage for what is neither - nor NAME.y4m nor has another ending for ffmpeg to go by; Exit::failure when that
// takes ffmpeg and there is none.
void check_sink_name(const std::string& name);

}  // namespace gan
