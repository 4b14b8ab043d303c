// The log behind `-d items -D file`.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string_view>
#include <utility>

namespace calco {

// What can be logged; names on the command line are QEMU's where QEMU has the item.
enum class LogItem : uint32_t {
  InAsm = 1u << 0,          // in_asm: guest code as it is first decoded
  Interrupts = 1u << 1,     // int: exceptions and interrupts as they are delivered
  GuestErrors = 1u << 2,    // guest_errors: the guest did what no sane driver does
  Exec = 1u << 3,           // exec: every block as it is entered
  Unimplemented = 1u << 4,  // unimp: the guest used what Calco lacks
  Cpu = 1u << 5,            // cpu: registers before every block
  Accel = 1u << 6,          // accel: choice of the engine that runs guest code
  Reset = 1u << 7,          // cpu_reset: registers at every reset
  Op = 1u << 8,             // op: the translators' intermediate representation of each block
  OpOpt = 1u << 9,          // op_opt: the same after the optimization passes
  OutAsm = 1u << 10,        // out_asm: host code of each translation
  Llvm = 1u << 11,          // llvm: what the optimizing tier gives to LLVM, and gets
  Jit = 1u << 12,           // jit: statistics of translation at exit
  Cosim = 1u << 13,         // cosim: translated code is compared with the interpreter while the guest runs
};

// Threads: enabled() is a relaxed load; print() writes whole lines under a lock of its own (a leaf).
class Log {
 public:
  Log() = default;
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log();

  bool enabled(LogItem item) const {
    return (items_.load(std::memory_order_relaxed) & static_cast<uint32_t>(item)) != 0;
  }
  void enable(uint32_t items) { items_.store(items, std::memory_order_relaxed); }
  uint32_t items() const { return items_.load(std::memory_order_relaxed); }

  // Sends further lines to `path`; false (and errno) where it cannot be created. Standard error until then.
  bool open(const char* path);

  template <typename... Arguments>
  void print(LogItem item, fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    if (enabled(item)) write(fmt::format(format, std::forward<Arguments>(arguments)...));
  }

  // The item called `name` on the command line, or 0.
  static uint32_t item_from_name(std::string_view name);

 private:
  void write(std::string_view line);

  std::atomic<uint32_t> items_ = 0;
  std::mutex mutex_;
  std::FILE* file_ = nullptr;
};

}  // namespace calco
