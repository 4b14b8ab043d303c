#include "machine/monitor/memory_dump.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "machine/disassembly.h"
#include "machine/monitor/monitor_error.h"

namespace calco::machine {
namespace {

using cpu::Cpu;

constexpr unsigned kBytesOfALine = 16;
constexpr uint64_t kLongestInstruction = 15;

class MemoryReader {
 public:
  MemoryReader(Cpu& cpu, AddressKind kind)
      : cpu_(cpu), kind_(kind), view_(cpu.environment().memory_map.view(cpu.in_smm)) {}

  // Up to `size` bytes: fewer where memory ends.
  std::vector<uint8_t> read(uint64_t address, uint64_t size) const {
    std::vector<uint8_t> bytes;
    while (bytes.size() < size) {
      const uint64_t at = address + bytes.size();
      uint64_t physical = at;
      if (kind_ == AddressKind::Linear) {
        const cpu::Translation translation = cpu_.mmu().probe(at);
        if (translation.fault) break;
        physical = translation.physical;
      }
      const MemoryRange* range = view_.find(physical);
      if (range == nullptr || range->host == nullptr) break;
      const uint64_t in_page = kPageSize - at % kPageSize;
      const uint64_t in_range = range->last - physical + 1;
      const uint64_t length = std::min({in_page, in_range, size - bytes.size()});
      const uint8_t* host = range->host + (physical - range->first);
      bytes.insert(bytes.end(), host, host + length);
    }
    return bytes;
  }

 private:
  Cpu& cpu_;
  AddressKind kind_;
  const FlatView& view_;
};

std::string no_memory(uint64_t address) { return fmt::format("Cannot access memory at address {:#x}\n", address); }

decode::CodeSize code_size(const Cpu& cpu) {
  if (cpu.code_64()) return decode::CodeSize::Bits64;
  return cpu.segments[cpu::kCs].big() ? decode::CodeSize::Bits32 : decode::CodeSize::Bits16;
}

// The first `count` lines of `text`.
std::string first_lines(const std::string& text, uint64_t count) {
  size_t end = 0;
  for (uint64_t line = 0; line < count && end < text.size(); ++line) end = text.find('\n', end) + 1;
  return text.substr(0, end);
}

std::string dump_instructions(const Cpu& cpu, const MemoryReader& reader, uint64_t address, uint64_t count) {
  const uint64_t most = count * kLongestInstruction;
  const std::vector<uint8_t> bytes = reader.read(address, most);
  std::string text = first_lines(disassemble(bytes.data(), bytes.size(), code_size(cpu), address), count);
  if (static_cast<uint64_t>(std::ranges::count(text, '\n')) < count && bytes.size() < most) {
    text += no_memory(address + bytes.size());
  }
  return text;
}

bool set_format(DumpFormat& format, char letter) {
  switch (letter) {
    case 'x':
    case 'd':
    case 'u':
    case 'o':
    case 'c':
    case 'i':
      format.format = letter;
      return true;
    case 'b':
      format.size = 1;
      return true;
    case 'h':
      format.size = 2;
      return true;
    case 'w':
      format.size = 4;
      return true;
    case 'g':
      format.size = 8;
      return true;
    default:
      return false;
  }
}

std::string character(uint8_t byte) {
  if (byte == '\'' || byte == '\\') return fmt::format("'\\{:c}'", static_cast<char>(byte));
  if (byte >= ' ' && byte < 0x7F) return fmt::format("'{:c}'", static_cast<char>(byte));
  return fmt::format("'\\x{:02x}'", byte);
}

int64_t sign_extended(uint64_t value, unsigned size) {
  const unsigned unused = 64 - size * 8;
  return static_cast<int64_t>(value << unused) >> unused;
}

}  // namespace

DumpFormat DumpFormat::parse(std::string_view text) {
  DumpFormat format;
  size_t position = 0;
  uint64_t count = 0;
  for (; position < text.size() && text[position] >= '0' && text[position] <= '9'; ++position) {
    count = std::min(count * 10 + static_cast<uint64_t>(text[position] - '0'), kMostUnits + 1);
  }
  if (position != 0) format.count = count;
  if (format.count == 0 || format.count > kMostUnits) {
    throw MonitorError(fmt::format("format '/{}': the count must be 1 to {}", text, kMostUnits));
  }
  for (; position < text.size(); ++position) {
    if (!set_format(format, text[position])) {
      throw MonitorError(
          fmt::format("format '/{}': '{}' is none of the formats xduoci and sizes bhwg", text, text[position]));
    }
  }
  return format;
}

std::string format_unit(uint64_t value, const DumpFormat& format) {
  const uint64_t unit = format.size == 8 ? value : value & ((uint64_t{1} << (format.size * 8)) - 1);
  switch (format.format) {
    case 'd':
      return fmt::format("{}", sign_extended(unit, format.size));
    case 'u':
      return fmt::format("{}", unit);
    case 'o':
      return fmt::format("{:#o}", unit);
    case 'c':
      return character(static_cast<uint8_t>(unit));
    default:
      return fmt::format("0x{:0{}x}", unit, format.size * 2);
  }
}

std::string dump_memory(Cpu& cpu, AddressKind kind, uint64_t address, const DumpFormat& asked) {
  const MemoryReader reader(cpu, kind);
  if (asked.format == 'i') return dump_instructions(cpu, reader, address, asked.count);
  DumpFormat format = asked;
  if (format.format == 'c') format.size = 1;
  const std::vector<uint8_t> bytes = reader.read(address, format.count * format.size);
  const size_t whole = bytes.size() - bytes.size() % format.size;
  std::string text;
  for (size_t i = 0; i < whole; i += format.size) {
    if (i % kBytesOfALine == 0) text += fmt::format("{}{:016x}:", i == 0 ? "" : "\n", address + i);
    uint64_t value = 0;
    std::memcpy(&value, bytes.data() + i, format.size);
    text += ' ' + format_unit(value, format);
  }
  if (whole != 0) text += '\n';
  if (whole < format.count * format.size) text += no_memory(address + bytes.size());
  return text;
}

}  // namespace calco::machine
