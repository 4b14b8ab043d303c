// What perf needs to name translated code: Linux, tools/perf/Documentation/jit-interface.txt.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string_view>

namespace calco::jit {

// Writes /tmp/perf-PID.map, a line for each piece of host code. Code that is thrown away stays in it; perf takes the
// last line for an address.
//
// Threads: none of its own; the owner locks.
class PerfMap {
 public:
  // Throws std::system_error where the file cannot be made.
  PerfMap();
  PerfMap(const PerfMap&) = delete;
  PerfMap& operator=(const PerfMap&) = delete;
  ~PerfMap();

  void add(const void* code, size_t bytes, std::string_view name);

 private:
  std::FILE* file_;
};

}  // namespace calco::jit
