// Names of guest functions, from a file on the host.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace calco::jit {

// Sorted by address. A plain value.
class GuestSymbols {
 public:
  // The contents of an ELF file (functions of its .symtab), or of a System.map or /proc/kallsyms ("ADDRESS TYPE NAME"
  // lines, of which code is t, T, w and W). Throws std::runtime_error where it is neither, or has no functions.
  static GuestSymbols parse(std::string_view contents);
  // Throws std::runtime_error, too, where the file cannot be read.
  static GuestSymbols read(const std::string& path);

  // "name" or "name+0x12"; empty where no function is at `address`.
  std::string name(uint64_t address) const;
  size_t size() const { return functions_.size(); }

 private:
  struct Function {
    uint64_t address = 0;
    uint64_t size = 0;  // bytes; 0: to the next
    std::string name;
  };
  static GuestSymbols of(std::vector<Function> functions);
  static std::vector<Function> parse_elf(std::string_view contents);
  static std::vector<Function> parse_lines(std::string_view contents);

  std::vector<Function> functions_;
};

}  // namespace calco::jit
