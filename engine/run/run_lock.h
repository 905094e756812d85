// One writer for each run folder: who trains in it holds its lock, and everybody else who wants to write there is
// refused with the owner's name. Readers need no lock; they see whole files at any time.
#pragma once
#include <string>

#include "engine/files/atomic_file.h"

namespace gan {

// The lock is a file in the run that names the owner's process and machine and is locked by the system (flock), which
// lets go when the process dies, however it dies. Where the file system has no locks, the words in the file count:
// a process of this machine that is no more holds nothing.
class RunLock {
 public:
  static constexpr const char* kName = ".lock";

  // Takes the lock of a folder. Exit::usage naming the owner when somebody has it, with `what` (as "--out runs/x") for
  // the beginning of the message; Exit::io when the folder cannot be written.
  RunLock(const Folder& run, const std::string& what);
  ~RunLock();  // removes the file
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

  // Whether somebody before had left a lock of this kind: the folder is a run, or was to become one.
  bool was_there() const { return was_there_; }

  // The refusal of the constructor alone: takes and writes nothing.
  static void check_free(const Folder& run, const std::string& what);
  static bool is_there(const Folder& run);

 private:
  Folder run_;
  int descriptor_ = -1;
  bool was_there_ = false;
};

}  // namespace gan
