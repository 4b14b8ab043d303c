// A host file that is written from beginning to end, however long its reader takes.
#pragma once

#include <cstddef>
#include <string>

#include "devices/host/file_descriptor.h"

namespace calco::machine {

// A regular file goes away again unless it is finished; a pipe or a device stays. Whoever writes may be told from
// another thread to give up, also while nobody has opened the other end of a pipe yet, or nobody reads there.
//
// Threads: cancel() from any; the rest from one at a time.
class OutputFile {
 public:
  // Creates or empties it. What the host refuses throws MonitorError, as in the other functions.
  explicit OutputFile(std::string path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  void write(const void* data, size_t size);
  void finish();
  // write() throws from now on.
  void cancel();

 private:
  // False where it is a pipe without a reader.
  bool open();
  void wait_until_writable();
  [[noreturn]] void fail(const char* what) const;

  const std::string path_;
  const devices::FileDescriptor cancelled_;  // an eventfd
  devices::FileDescriptor file_;
};

}  // namespace calco::machine
