#include "cpu/system/register_dump.h"

#include <fmt/format.h>

#include <array>
#include <iterator>
#include <string_view>

namespace calco::cpu {

namespace {

void append_general(std::string& text, const Cpu& cpu) {
  constexpr std::array<std::pair<std::string_view, Register>, 16> kOrder = {{{"RAX", kRax},
                                                                             {"RBX", kRbx},
                                                                             {"RCX", kRcx},
                                                                             {"RDX", kRdx},
                                                                             {"RSI", kRsi},
                                                                             {"RDI", kRdi},
                                                                             {"RBP", kRbp},
                                                                             {"RSP", kRsp},
                                                                             {"R8 ", kR8},
                                                                             {"R9 ", kR9},
                                                                             {"R10", kR10},
                                                                             {"R11", kR11},
                                                                             {"R12", kR12},
                                                                             {"R13", kR13},
                                                                             {"R14", kR14},
                                                                             {"R15", kR15}}};
  for (size_t i = 0; i < kOrder.size(); ++i) {
    text += fmt::format("{}={:016x}{}", kOrder[i].first, cpu.registers[kOrder[i].second], i % 4 == 3 ? '\n' : ' ');
  }
}

void append_segment(std::string& text, std::string_view name, const Segment& segment) {
  text += fmt::format("{:<4}={:04x} {:016x} {:08x} {:04x}\n", name, segment.selector, segment.base, segment.limit,
                      segment.attributes);
}

void append_table(std::string& text, std::string_view name, const DescriptorTable& table) {
  text += fmt::format("{:<4}=     {:016x} {:08x}\n", name, table.base, table.limit);
}

}  // namespace

std::string describe_registers(const Cpu& cpu) {
  std::string text;
  append_general(text, cpu);
  text += fmt::format("RIP={:016x} RFL={:08x} CPL={} SMM={} HLT={}\n", cpu.registers[kRip], rflags_value(cpu), cpu.cpl,
                      cpu.in_smm ? 1 : 0, cpu.activity == Activity::Halted ? 1 : 0);
  constexpr std::array<std::string_view, 6> kNames = {"ES", "CS", "SS", "DS", "FS", "GS"};
  for (size_t i = 0; i < kNames.size(); ++i) append_segment(text, kNames[i], cpu.segments[i]);
  append_segment(text, "LDT", cpu.ldtr);
  append_segment(text, "TR", cpu.tr);
  append_table(text, "GDT", cpu.gdtr);
  append_table(text, "IDT", cpu.idtr);
  text += fmt::format("CR0={:08x} CR2={:016x} CR3={:016x} CR4={:08x}\n", cpu.cr0, cpu.cr2, cpu.cr3, cpu.cr4);
  text += fmt::format("DR0={:016x} DR1={:016x} DR2={:016x} DR3={:016x}\n", cpu.dr[0], cpu.dr[1], cpu.dr[2], cpu.dr[3]);
  text += fmt::format("DR6={:016x} DR7={:016x} EFER={:016x}\n", cpu.dr[6], cpu.dr[7], cpu.efer);
  return text;
}

}  // namespace calco::cpu
