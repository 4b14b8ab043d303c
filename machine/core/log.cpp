#include "machine/core/log.h"

#include <array>

namespace calco {

Log::~Log() {
  if (file_ != nullptr) std::fclose(file_);
}

bool Log::open(const char* path) {
  std::FILE* file = std::fopen(path, "w");
  if (file == nullptr) return false;
  std::lock_guard lock(mutex_);
  if (file_ != nullptr) std::fclose(file_);
  file_ = file;
  return true;
}

uint32_t Log::item_from_name(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, LogItem>, 14> kNames = {{
      {"in_asm", LogItem::InAsm},
      {"int", LogItem::Interrupts},
      {"guest_errors", LogItem::GuestErrors},
      {"exec", LogItem::Exec},
      {"unimp", LogItem::Unimplemented},
      {"cpu", LogItem::Cpu},
      {"accel", LogItem::Accel},
      {"cpu_reset", LogItem::Reset},
      {"op", LogItem::Op},
      {"op_opt", LogItem::OpOpt},
      {"out_asm", LogItem::OutAsm},
      {"llvm", LogItem::Llvm},
      {"jit", LogItem::Jit},
      {"cosim", LogItem::Cosim},
  }};
  for (const auto& [known, item] : kNames) {
    if (known == name) return static_cast<uint32_t>(item);
  }
  return 0;
}

void Log::write(std::string_view line) {
  std::lock_guard lock(mutex_);
  std::FILE* file = file_ != nullptr ? file_ : stderr;
  std::fwrite(line.data(), 1, line.size(), file);
  std::fputc('\n', file);
  std::fflush(file);
}

}  // namespace calco
