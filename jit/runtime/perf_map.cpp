#include "jit/runtime/perf_map.h"

#include <fmt/format.h>
#include <unistd.h>

#include <system_error>
#include <utility>

namespace calco::jit {

namespace {

std::FILE* create(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) throw std::system_error(errno, std::generic_category(), "cannot create " + path);
  // perf may look while the guest runs, and the program may end by a signal.
  std::setvbuf(file, nullptr, _IOLBF, BUFSIZ);
  return file;
}

}  // namespace

PerfMap::PerfMap(std::shared_ptr<const GuestSymbols> symbols)
    : symbols_(std::move(symbols)), file_(create(fmt::format("/tmp/perf-{}.map", getpid()))) {}

PerfMap::~PerfMap() { std::fclose(file_); }

void PerfMap::add_translation(const void* code, size_t bytes, uint64_t guest, std::string_view tier) {
  const std::string name = symbols_ != nullptr ? symbols_->name(guest) : std::string();
  add(code, bytes, name.empty() ? fmt::format("guest {:#x} {}", guest, tier) : fmt::format("{} {}", name, tier));
}

void PerfMap::add(const void* code, size_t bytes, std::string_view name) {
  fmt::print(file_, "{:x} {:x} {}\n", reinterpret_cast<uintptr_t>(code), bytes, name);
}

}  // namespace calco::jit
