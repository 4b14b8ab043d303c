// What perf needs to name translated code: Linux, tools/perf/Documentation/jit-interface.txt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string_view>

#include "jit/runtime/guest_symbols.h"

namespace calco::jit {

// Writes /tmp/perf-PID.map, a line for each piece of host code. Code that is thrown away stays in it; perf takes the
// last line for an address.
//
// Threads: none of its own; the owner locks.
class PerfMap {
 public:
  // `symbols` may be null. Throws std::system_error where the file cannot be made.
  explicit PerfMap(std::shared_ptr<const GuestSymbols> symbols);
  PerfMap(const PerfMap&) = delete;
  PerfMap& operator=(const PerfMap&) = delete;
  ~PerfMap();

  // Code that `tier` made for the guest's at linear address `guest`.
  void add_translation(const void* code, size_t bytes, uint64_t guest, std::string_view tier);
  void add(const void* code, size_t bytes, std::string_view name);

 private:
  const std::shared_ptr<const GuestSymbols> symbols_;
  std::FILE* file_;
};

}  // namespace calco::jit
