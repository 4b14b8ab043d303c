#include "jit/runtime/perf_map.h"

#include <fmt/format.h>
#include <unistd.h>

#include <system_error>

namespace calco::jit {

PerfMap::PerfMap() : file_(std::fopen(fmt::format("/tmp/perf-{}.map", getpid()).c_str(), "w")) {
  if (file_ == nullptr) throw std::system_error(errno, std::generic_category(), "cannot create /tmp/perf-PID.map");
}

PerfMap::~PerfMap() { std::fclose(file_); }

void PerfMap::add(const void* code, size_t bytes, std::string_view name) {
  fmt::print(file_, "{:x} {:x} {}\n", reinterpret_cast<uintptr_t>(code), bytes, name);
}

}  // namespace calco::jit
