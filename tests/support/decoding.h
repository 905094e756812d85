// Pictures given as the bytes of their files: read, or refused for a reason.
#pragma once
#include <doctest/doctest.h>

#include <span>
#include <string>
#include <string_view>

#include "engine/picture/image.h"
#include "kernels/contract/check.h"

namespace gan::tests {

// The reason for which a file is refused, "" if it is read.
inline std::string refusal(const std::string& file) {
  try {
    decode_image(std::as_bytes(std::span(file)), "the file");
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == Exit::bad_data);
    return error.what();
  }
}
inline bool refused(const std::string& file, std::string_view reason) {
  const std::string message = refusal(file);
  INFO("refused with: ", message);
  CHECK(message.find(reason) != std::string::npos);
  return message.find(reason) != std::string::npos;
}
inline Image decoded(const std::string& file, const DecodeOptions& options = {}) {
  return decode_image(std::as_bytes(std::span(file)), "the file", options);
}

}  // namespace gan::tests
