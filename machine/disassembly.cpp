#include "machine/disassembly.h"

#include <capstone/capstone.h>
#include <fmt/format.h>

#include <iterator>
#include <memory>

namespace calco::machine {
namespace {

cs_mode mode_of(decode::CodeSize code_size) {
  switch (code_size) {
    case decode::CodeSize::Bits16:
      return CS_MODE_16;
    case decode::CodeSize::Bits32:
      return CS_MODE_32;
    case decode::CodeSize::Bits64:
      return CS_MODE_64;
  }
  return CS_MODE_64;
}

void append_line(std::string& text, uint64_t address, const uint8_t* bytes, size_t size, std::string_view words) {
  std::string hexadecimal;
  for (size_t i = 0; i < size; ++i) fmt::format_to(std::back_inserter(hexadecimal), "{:02x} ", bytes[i]);
  fmt::format_to(std::back_inserter(text), "{:#018x}:  {:<45} {}\n", address, hexadecimal, words);
}

}  // namespace

std::string disassemble(const uint8_t* bytes, size_t size, decode::CodeSize code_size, uint64_t address) {
  csh handle = 0;
  if (cs_open(CS_ARCH_X86, mode_of(code_size), &handle) != CS_ERR_OK) return {};
  cs_insn* instructions = nullptr;
  const size_t count = cs_disasm(handle, bytes, size, address, 0, &instructions);
  std::string text;
  size_t done = 0;
  for (size_t i = 0; i < count; ++i) {
    const cs_insn& instruction = instructions[i];
    append_line(text, instruction.address, instruction.bytes, instruction.size,
                fmt::format("{} {}", instruction.mnemonic, instruction.op_str));
    done += instruction.size;
  }
  if (done < size) append_line(text, address + done, bytes + done, size - done, "(bad)");
  if (instructions != nullptr) cs_free(instructions, count);
  cs_close(&handle);
  return text;
}

}  // namespace calco::machine
