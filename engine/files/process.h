// Another program that runs beside this one, with one of its standard streams in our hands. No shell is involved: the
// program gets its words as they are.
#pragma once
#include <sys/types.h>

#include <string>
#include <thread>
#include <vector>

namespace gan {

// Where the program `name` lies on the PATH; empty when it does not.
std::string find_program(const std::string& name);

class Process {
 public:
  enum class Stream { its_output, its_input };  // which of its streams is ours: to read, or to write
  // Starts command[0], found on the PATH, with the words after it. Its other stream is /dev/null. It is no member of
  // our process group, so Ctrl-C reaches us alone and we end it in order. Exit::failure when it cannot be started.
  Process(const std::vector<std::string>& command, Stream stream);
  // Ends a program that still runs.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  int descriptor() const { return descriptor_; }  // of our end; stays this object's
  // Closes our end, which tells a program that reads that this was all.
  void close_stream();
  // Closes our end and waits until it has ended: its exit code, or 128 + n after signal n.
  int wait();
  // The last lines that it wrote to standard error, as one line; complete after wait().
  std::string last_words() const;

 private:
  void keep_last_words(int descriptor);

  pid_t child_ = -1;
  int descriptor_ = -1, code_ = -1;
  std::string words_;  // the end of its standard error; only the listener's until it is joined
  std::thread listener_;
};

}  // namespace gan
