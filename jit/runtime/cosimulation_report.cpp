// What a disagreement between translated code and the interpreter looks like.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cpu/system/cpu_model.h"
#include "jit/frontend/frontend.h"
#include "jit/ir/printer.h"
#include "jit/runtime/jit.h"
#include "jit/runtime/look_behind.h"

namespace calco::jit {

using cpu::CpuState;

namespace {

constexpr std::array<std::string_view, 18> kRegisterNames = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                             "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                             "r12", "r13", "r14", "r15", "",    "rip"};
constexpr std::array<std::string_view, 6> kSegmentNames = {"es", "cs", "ss", "ds", "fs", "gs"};

// Rows of three columns: before, interpreted, translated.
class Table {
 public:
  explicit Table(const Disagreement& what)
      : before_(what.before), interpreted_(what.interpreted.state), translated_(what.translated.state) {
    text_ = fmt::format("  {:<12}{:>32}{:>34}{:>34}\n", "", "before", "interpreted", "translated");
  }

  // A row; `format` makes text of a state.
  template <typename Format>
  void add(std::string_view name, Format&& format) {
    const std::string left = format(interpreted_), right = format(translated_);
    text_ +=
        fmt::format("{} {:<12}{:>32}{:>34}{:>34}\n", left == right ? ' ' : '*', name, format(before_), left, right);
  }
  // The same, where it differs.
  template <typename Format>
  void add_if_different(std::string_view name, Format&& format) {
    if (format(interpreted_) != format(translated_)) add(name, format);
  }

  std::string text() const { return text_; }

 private:
  const CpuState& before_;
  const CpuState& interpreted_;
  const CpuState& translated_;
  std::string text_;
};

std::string number(uint64_t value) { return fmt::format("{:016x}", value); }

void add_x87(Table& table) {
  table.add_if_different("x87 words", [](const CpuState& state) {
    return fmt::format("{:04x} {:04x} top {} empty {:02x}", state.x87.control, state.x87.status, state.x87.top,
                       state.x87.empty);
  });
  table.add_if_different("x87 last", [](const CpuState& state) {
    return fmt::format("{:03x} {:x} {:x}", state.x87.opcode, state.x87.instruction_pointer, state.x87.data_pointer);
  });
  for (size_t i = 0; i < 8; ++i) {
    table.add_if_different(fmt::format("R{} (x87)", i), [i](const CpuState& state) {
      return fmt::format("{:04x} {:016x}", state.x87.physical[i].sign_exponent, state.x87.physical[i].significand);
    });
  }
}

std::string describe_states(const Disagreement& what) {
  Table table(what);
  for (size_t i = 0; i < kRegisterNames.size(); ++i) {
    if (i != cpu::kZero)
      table.add(kRegisterNames[i], [i](const CpuState& state) { return number(state.registers[i]); });
  }
  table.add("rflags", [](const CpuState& state) { return number(cpu::rflags_value(state)); });
  table.add("mxcsr", [](const CpuState& state) { return fmt::format("{:08x}", state.mxcsr); });
  table.add_if_different("cr2", [](const CpuState& state) { return number(state.cr2); });
  for (size_t i = 0; i < kSegmentNames.size(); ++i) {
    table.add_if_different(kSegmentNames[i], [i](const CpuState& state) {
      return fmt::format("{:04x} {:04x} {:016x}", state.segments[i].selector, state.segments[i].attributes,
                         state.segments[i].base);
    });
  }
  for (size_t i = 0; i < what.before.vectors.size(); ++i) {
    for (size_t half = 0; half < 2; ++half) {
      table.add_if_different(fmt::format("ymm{}.{}", i, half), [i, half](const CpuState& state) {
        return number(state.vectors[i].qwords[half * 2 + 1]) + number(state.vectors[i].qwords[half * 2]);
      });
    }
  }
  add_x87(table);
  // Whatever has no name above.
  const auto word = [](const CpuState& state, size_t offset) {
    uint64_t value;
    std::memcpy(&value, reinterpret_cast<const char*>(&state) + offset, sizeof(value));
    return value;
  };
  for (size_t offset = offsetof(CpuState, system_flags); offset + 8 <= kComparedState; offset += 8) {
    table.add_if_different(fmt::format("state+{:x}", offset),
                           [&](const CpuState& state) { return number(word(state, offset)); });
  }
  return table.text();
}

std::string end_of(const cpu::PieceEnd& end) {
  if (end.kind != cpu::PieceEnd::Kind::Fault) return "no fault";
  const unsigned vector = end.vector;
  return end.has_error_code ? fmt::format("fault {}, error code {:x}", vector, end.error_code)
                            : fmt::format("fault {}", vector);
}

std::string describe_stores(std::string_view who, const PieceResult& result, const GuestMemory& memory) {
  std::string text;
  const uint8_t* bytes = result.bytes.data();
  constexpr size_t kMaximumStores = 64;
  const auto stores = result.journal.stores();
  for (const cpu::StoreJournal::Store& store : stores.first(std::min(stores.size(), kMaximumStores))) {
    text += fmt::format("  {:<12}{:#x}: {:02x}\n", who, memory.offset_of(store.host),
                        fmt::join(bytes, bytes + store.size, " "));
    bytes += store.size;
  }
  return text;
}

}  // namespace

std::string describe_disagreement(const Disagreement& what, const GuestMemory& memory) {
  return fmt::format(
      "translated code executed {} and the interpreter disagree after {} instructions\n"
      "interpreted: {}; translated: {}\n{}"
      "stores, by memory offset, with what is there at the end:\n{}{}",
      what.way, what.instructions, end_of(what.interpreted.end), end_of(what.translated.end), describe_states(what),
      describe_stores("interpreted", what.interpreted, memory), describe_stores("translated", what.translated, memory));
}

// --- Code ------------------------------------------------------------------------------------------------------------

// The guest's code, what becomes of it, and what the host has of it.
std::string Jit::describe_code(cpu::Cpu& cpu, const Translation& translation) {
  const GuestMemory& memory = cpu.environment().memory_map.memory();
  const uint8_t* bytes = memory.data() + translation.memory_offset;
  const size_t in_page = kPageSize - translation.memory_offset % kPageSize;
  const uint64_t rip = (cpu.registers[cpu::kRip] & kPageMask) + translation.memory_offset % kPageSize;
  const auto list = [&cpu](const uint8_t* code, size_t size, uint64_t address) {
    const auto& disassemble = cpu.environment().disassemble;
    return disassemble ? disassemble(code, size, decode::CodeSize::Bits64, address)
                       : fmt::format("{:02x}\n", fmt::join(code, code + size, " "));
  };
  std::string text = fmt::format("guest code at memory offset {:#x}:\n{}", translation.memory_offset,
                                 list(bytes, std::min<size_t>(translation.byte_length, in_page), rip));
  ir::Block block;
  const CodeSource source{{bytes, in_page},
                          translation.memory_offset,
                          translation.mode_key,
                          cpu.model().features(),
                          std::max<unsigned>(1, translation.guest_instructions),
                          /*next_page=*/nullptr,
                          options_.frontend};
  if (jit::translate(source, block)) {
    std::vector<CodeRange> ranges;
    const uint8_t* page = bytes - translation.memory_offset % kPageSize;
    if (options_.exit_flags) look_behind(block, {page, kPageSize}, cpu.model().features(), ranges);
    text += fmt::format("IR:\n{}", ir::print(block));
    opt::Scratch scratch;
    opt::optimize(block, options_.passes, scratch);
    text += fmt::format("IR after optimization:\n{}", ir::print(block));
  }
  text += fmt::format("host code, {} bytes:\n{}", translation.host_bytes,
                      list(static_cast<const uint8_t*>(translation.entry), translation.host_bytes,
                           reinterpret_cast<uint64_t>(translation.entry)));
  return text;
}

std::string Jit::describe(cpu::Cpu& cpu, const Disagreement& what) {
  std::lock_guard lock(mutex_);
  std::string text = describe_disagreement(what, cpu.environment().memory_map.memory());
  const RegionCode* region = nullptr;
  for (const RegionCode* code : what.translation.regions) {
    if (code->entry == &what.translation && code->code != nullptr) region = code;
  }
  if (region == nullptr) return text + describe_code(cpu, what.translation);
  text += fmt::format("a region of {} blocks:\n", region->members.size());
  for (const Translation* member : region->members) text += describe_code(cpu, *member);
  const auto bytes = region->code->bytes();
  const auto& disassemble = cpu.environment().disassemble;
  if (!disassemble) return text;
  return text + fmt::format("the region's host code:\n{}",
                            disassemble(bytes.data(), bytes.size(), decode::CodeSize::Bits64, 0));
}

}  // namespace calco::jit
