// FXSAVE, the XSAVE family, XCR0 and MXCSR (SDM vol. 1, 10.5 and chapter 13).
#include <algorithm>
#include <array>
#include <cstring>

#include "cpu/exec/foreign_components.h"
#include "cpu/exec/memory_block.h"
#include "cpu/exec/x87_state.h"
#include "cpu/system/cpu_model.h"

namespace calco::cpu {
namespace {

using decode::Mnemonic;

// --- Layout ----------------------------------------------------------------------------------------------------------

constexpr unsigned kMxcsrOffset = 24, kRegisterOffset = 32, kXmmOffset = 160, kFxsaveSize = 512;
constexpr unsigned kHeaderOffset = 512, kHeaderSize = 64, kAvxOffset = 576, kAvxSize = 256;

// State components: bits of XCR0, XSTATE_BV, XCOMP_BV (SDM vol. 1, 13.1).
constexpr uint64_t kComponentX87 = 1, kComponentSse = 2, kComponentAvx = 4, kCompacted = uint64_t{1} << 63;

constexpr uint32_t kMxcsrInitial = 0x1F80, kMxcsrWritable = 0xFFFF;

// Where an area lies, and how this processor state is laid out in it.
struct Area {
  uint64_t linear;
  bool stack;
  bool wide_pointers;         // 64-bit FIP and FDP instead of 32 bits and a selector
  unsigned vector_registers;  // 8, or 16 in 64-bit code
};

Area area_of(Cpu& cpu, const Op& op, unsigned size, unsigned alignment, bool write) {
  const uint64_t linear = operand_linear(cpu, op, size, write);
  if ((linear & (alignment - 1)) != 0) cpu.raise(kGeneralProtection, 0);
  return {linear, op.segment == kSs, op.extra != 0, cpu.code_64() ? 16u : 8u};
}

template <typename T>
T load_at(Cpu& cpu, const Area& area, unsigned offset) {
  return load_linear<T>(cpu, cpu.tlb, area.linear + offset, area.stack);
}
template <typename T>
void store_at(Cpu& cpu, const Area& area, unsigned offset, T value) {
  store_linear<T>(cpu, cpu.tlb, area.linear + offset, value, area.stack);
}

// --- Components to memory --------------------------------------------------------------------------------------------

// A pointer of the x87 unit as a quadword of the area.
uint64_t pointer_image(const Area& area, uint64_t offset, uint16_t selector) {
  return area.wide_pointers ? offset : (static_cast<uint32_t>(offset) | static_cast<uint64_t>(selector) << 32);
}

// As on AMD's processors the pointers are saved only for a pending exception, else zeros (APM vol. 2, 11.4.4).
void save_x87(Cpu& cpu, const Area& area) {
  X87State& x87 = cpu.x87;
  const bool pending = (x87.status & x87_status::kErrorSummary) != 0;
  const uint64_t opcode = pending ? x87.opcode : 0;
  const uint64_t words = x87.control | static_cast<uint64_t>(x87_status_word(x87)) << 16 |
                         static_cast<uint64_t>(static_cast<uint8_t>(~x87.empty)) << 32 | opcode << 48;
  store_at<uint64_t>(cpu, area, 0, words);
  store_at<uint64_t>(cpu, area, 8, pending ? pointer_image(area, x87.instruction_pointer, x87.code_selector) : 0);
  store_at<uint64_t>(cpu, area, 16, pending ? pointer_image(area, x87.data_pointer, x87.data_selector) : 0);
  for (unsigned i = 0; i < 8; ++i) {
    const X87Register& value = x87_st(x87, i);
    store_at(cpu, area, kRegisterOffset + 16 * i, Bytes16{value.significand, value.sign_exponent});
  }
}
void save_mxcsr(Cpu& cpu, const Area& area) {
  store_at<uint64_t>(cpu, area, kMxcsrOffset, cpu.mxcsr | static_cast<uint64_t>(kMxcsrWritable) << 32);
}
// The lower (half 0) or upper 16 bytes of the vector registers.
void save_vector_halves(Cpu& cpu, const Area& area, unsigned offset, size_t half) {
  for (unsigned i = 0; i < area.vector_registers; ++i) {
    const auto& qwords = cpu.vectors[i].qwords;
    store_at(cpu, area, offset + 16 * i, Bytes16{qwords[2 * half], qwords[2 * half + 1]});
  }
}

// --- Components that are only moved ----------------------------------------------------------------------------------

template <typename Visitor>
void for_each_foreign(const Cpu& cpu, uint64_t components, Visitor&& visit) {
  if (cpu.foreign_components != nullptr) cpu.foreign_components->for_each(components, visit);
}

// Where a component lies in an area whose XCOMP_BV is `layout` (SDM vol. 1, 13.4.3).
unsigned foreign_offset(const Cpu& cpu, unsigned wanted, uint64_t layout) {
  if ((layout & kCompacted) == 0) return cpu.foreign_components->places[wanted].offset;
  unsigned end = (layout & kComponentAvx) != 0 ? kAvxOffset + kAvxSize : kAvxOffset;
  unsigned begin = end;
  for_each_foreign(cpu, layout & ((uint64_t{2} << wanted) - 1), [&](unsigned, const ForeignComponents::Place& place) {
    begin = place.aligned ? (end + 63) & ~63u : end;
    end = begin + place.size;
  });
  return begin;
}

uint64_t foreign_in_use(const Cpu& cpu) {
  if (cpu.foreign_components == nullptr) return 0;
  uint64_t present;
  std::memcpy(&present, &cpu.foreign_components->area[ForeignComponents::kPresentOffset], sizeof(present));
  return present & cpu.foreign_components->mask;
}

void save_foreign(Cpu& cpu, const Area& area, uint64_t written, uint64_t layout) {
  for_each_foreign(cpu, written, [&](unsigned component, const ForeignComponents::Place& place) {
    const uint64_t target = area.linear + foreign_offset(cpu, component, layout);
    store_block(cpu, target, &cpu.foreign_components->area[place.offset], place.size, area.stack);
  });
}

// --- Components from memory ------------------------------------------------------------------------------------------

// What a restore read; nothing of it counts before everything was read without a fault.
struct Loaded {
  X87State x87;
  uint16_t status_word = 0;
  uint32_t mxcsr = kMxcsrInitial;
  std::array<VectorRegister, 16> vectors;
  std::array<uint8_t, ForeignComponents::kLargestArea> foreign;  // in their places of the standard form
};

// Registers of 64-bit pointers keep 57 bits.
uint64_t canonical(uint64_t pointer) { return static_cast<uint64_t>(static_cast<int64_t>(pointer << 7) >> 7); }

void load_x87(Cpu& cpu, const Area& area, Loaded& loaded) {
  X87State& x87 = loaded.x87;
  const auto words = load_at<uint64_t>(cpu, area, 0);
  const auto instruction = load_at<uint64_t>(cpu, area, 8);
  const auto data = load_at<uint64_t>(cpu, area, 16);
  loaded.status_word = static_cast<uint16_t>(words >> 16);
  x87.control = static_cast<uint16_t>(words);
  x87.top = loaded.status_word >> x87_status::kTopShift & 7;
  x87.empty = static_cast<uint8_t>(~(words >> 32));
  x87.opcode = words >> 48 & 0x7FF;
  x87.instruction_pointer = area.wide_pointers ? canonical(instruction) : static_cast<uint32_t>(instruction);
  x87.data_pointer = area.wide_pointers ? canonical(data) : static_cast<uint32_t>(data);
  x87.code_selector = area.wide_pointers ? 0 : static_cast<uint16_t>(instruction >> 32);
  x87.data_selector = area.wide_pointers ? 0 : static_cast<uint16_t>(data >> 32);
  for (unsigned i = 0; i < 8; ++i) {
    const auto image = load_at<Bytes16>(cpu, area, kRegisterOffset + 16 * i);
    x87_st(x87, i) = X87Register{image.low, static_cast<uint16_t>(image.high), {}};
  }
}
void load_mxcsr(Cpu& cpu, const Area& area, Loaded& loaded) {
  loaded.mxcsr = load_at<uint32_t>(cpu, area, kMxcsrOffset);
  if ((loaded.mxcsr & ~kMxcsrWritable) != 0) cpu.raise(kGeneralProtection, 0);
}
void load_vector_halves(Cpu& cpu, const Area& area, unsigned offset, size_t half, Loaded& loaded) {
  for (unsigned i = 0; i < area.vector_registers; ++i) {
    const auto image = load_at<Bytes16>(cpu, area, offset + 16 * i);
    loaded.vectors[i].qwords[2 * half] = image.low;
    loaded.vectors[i].qwords[2 * half + 1] = image.high;
  }
}

void load_foreign(Cpu& cpu, const Area& area, uint64_t present, uint64_t layout, Loaded& loaded) {
  for_each_foreign(cpu, present, [&](unsigned component, const ForeignComponents::Place& place) {
    load_block(cpu, area.linear + foreign_offset(cpu, component, layout), &loaded.foreign[place.offset], place.size,
               area.stack);
  });
}
// What is absent from the area is initial, and the area of the other engine need not hold it then.
void commit_foreign(Cpu& cpu, uint64_t requested, uint64_t present, const Loaded& loaded) {
  if (cpu.foreign_components == nullptr) return;
  const std::span<uint8_t> area = cpu.foreign_components->area;
  uint64_t in_use;
  std::memcpy(&in_use, &area[ForeignComponents::kPresentOffset], sizeof(in_use));
  const uint64_t mask = cpu.foreign_components->mask;
  in_use = (in_use & ~(requested & mask)) | (present & mask);
  std::memcpy(&area[ForeignComponents::kPresentOffset], &in_use, sizeof(in_use));
  for_each_foreign(cpu, present, [&](unsigned, const ForeignComponents::Place& place) {
    std::memcpy(&area[place.offset], &loaded.foreign[place.offset], place.size);
  });
}

void commit_x87(Cpu& cpu, const Loaded& loaded) {
  const uint16_t status_before = cpu.x87.status;
  cpu.x87 = loaded.x87;
  cpu.x87.status = status_before;
  x87_set_words(cpu, loaded.x87.control, loaded.status_word);
}
void commit_vector_halves(Cpu& cpu, const Area& area, size_t half, const Loaded& loaded) {
  for (unsigned i = 0; i < area.vector_registers; ++i) {
    std::copy_n(&loaded.vectors[i].qwords[2 * half], 2, &cpu.vectors[i].qwords[2 * half]);
  }
}

// --- FXSAVE
// ------------------------------------------------------------------------------------------------------------

// EFER.FFXSR: the kernel leaves XMM registers to itself (APM vol. 2, 3.1.7).
bool without_vectors(const Cpu& cpu) { return (cpu.efer & efer::kFfxsr) != 0 && cpu.code_64() && cpu.cpl == 0; }

void fxsave(Cpu& cpu, const Op& op) {
  check_x87_available(cpu);
  const Area area = area_of(cpu, op, kFxsaveSize, 16, true);
  probe_block(cpu, area.linear, kFxsaveSize, area.stack);
  save_x87(cpu, area);
  save_mxcsr(cpu, area);
  if (!without_vectors(cpu)) save_vector_halves(cpu, area, kXmmOffset, 0);
}
void fxrstor(Cpu& cpu, const Op& op) {
  check_x87_available(cpu);
  const Area area = area_of(cpu, op, kFxsaveSize, 16, false);
  // Page faults anywhere in the area come before reserved bits of MXCSR.
  cpu.mmu().probe_read(area.linear, kFxsaveSize, cpu.mmu().current_protection(), area.stack);
  Loaded loaded;
  load_x87(cpu, area, loaded);
  load_mxcsr(cpu, area, loaded);
  const bool vectors = !without_vectors(cpu);
  if (vectors) load_vector_halves(cpu, area, kXmmOffset, 0, loaded);
  commit_x87(cpu, loaded);
  cpu.mxcsr = loaded.mxcsr;
  if (vectors) commit_vector_halves(cpu, area, 0, loaded);
}

// --- XSAVE
// -------------------------------------------------------------------------------------------------------------

void check_xsave_available(Cpu& cpu) {
  if ((cpu.cr4 & cr4::kOsxsave) == 0) cpu.raise(kInvalidOpcode);
  if ((cpu.cr0 & cr0::kTs) != 0) cpu.raise(kDeviceNotAvailable);
}
void check_privilege(Cpu& cpu) {
  if (cpu.cpl != 0) cpu.raise(kGeneralProtection, 0);
}

uint64_t edx_eax(const Cpu& cpu) { return cpu.registers[kRdx] << 32 | static_cast<uint32_t>(cpu.registers[kRax]); }

bool x87_in_use(const X87State& x87) {
  const auto zero = [](const X87Register& value) { return (value.significand | value.sign_exponent) == 0; };
  return x87.control != kX87ControlInitial || x87_status_word(x87) != 0 || x87.empty != 0xFF ||
         (x87.instruction_pointer | x87.data_pointer | x87.opcode | x87.code_selector | x87.data_selector) != 0 ||
         !std::all_of(x87.physical.begin(), x87.physical.end(), zero);
}
bool vectors_in_use(const Cpu& cpu, size_t half) {
  const auto zero = [half](const VectorRegister& value) {
    return (value.qwords[2 * half] | value.qwords[2 * half + 1]) == 0;
  };
  return !std::all_of(cpu.vectors.begin(), cpu.vectors.begin() + (cpu.code_64() ? 16 : 8), zero);
}
// XINUSE (SDM vol. 1, 13.6): components that are not in their initial configuration. MXCSR has no part in it.
uint64_t components_in_use(const Cpu& cpu) {
  return foreign_in_use(cpu) | (x87_in_use(cpu.x87) ? kComponentX87 : 0) |
         (vectors_in_use(cpu, 0) ? kComponentSse : 0) | (vectors_in_use(cpu, 1) ? kComponentAvx : 0);
}

unsigned area_size(const Cpu& cpu, uint64_t components, uint64_t layout) {
  unsigned size = (components & kComponentAvx) != 0 ? kAvxOffset + kAvxSize : kHeaderOffset + kHeaderSize;
  for_each_foreign(cpu, components, [&](unsigned component, const ForeignComponents::Place& place) {
    size = std::max(size, foreign_offset(cpu, component, layout) + place.size);
  });
  return size;
}

// Standard and compacted form put AVX at the same place, the first after the header. `written`: components to store.
void save_components(Cpu& cpu, const Area& area, uint64_t written, uint64_t layout) {
  save_foreign(cpu, area, written, layout);
  if ((written & kComponentX87) != 0) save_x87(cpu, area);
  if ((written & kComponentSse) != 0) save_vector_halves(cpu, area, kXmmOffset, 0);
  if ((written & kComponentAvx) != 0) save_vector_halves(cpu, area, kAvxOffset, 1);
}

// XSAVE, XSAVEOPT: standard form; what the header says of other components stays.
template <bool kOptimise>
void xsave(Cpu& cpu, const Op& op) {
  check_xsave_available(cpu);
  const uint64_t requested = edx_eax(cpu) & cpu.xcr0;
  const unsigned size = area_size(cpu, requested, 0);
  const Area area = area_of(cpu, op, size, 64, true);
  probe_block(cpu, area.linear, size, area.stack);
  const uint64_t in_use = components_in_use(cpu) & requested;
  const auto old_components = load_at<uint64_t>(cpu, area, kHeaderOffset);
  save_components(cpu, area, kOptimise ? in_use : requested, 0);
  if ((requested & (kComponentSse | kComponentAvx)) != 0) save_mxcsr(cpu, area);
  store_at<uint64_t>(cpu, area, kHeaderOffset, (old_components & ~requested) | in_use);
}

// XSAVEC, XSAVES: compacted form, initial components left out. An MXCSR other than the initial one keeps SSE in.
void save_compacted(Cpu& cpu, const Op& op, uint64_t requested) {
  const uint64_t layout = requested | kCompacted;
  const unsigned size = area_size(cpu, requested, layout);
  const Area area = area_of(cpu, op, size, 64, true);
  probe_block(cpu, area.linear, size, area.stack);
  uint64_t in_use = components_in_use(cpu);
  if (cpu.mxcsr != kMxcsrInitial) in_use |= kComponentSse;
  in_use &= requested;
  save_components(cpu, area, in_use, layout);
  if ((in_use & kComponentSse) != 0) save_mxcsr(cpu, area);
  store_at(cpu, area, kHeaderOffset, Bytes16{in_use, layout});
}
void xsavec(Cpu& cpu, const Op& op) {
  check_xsave_available(cpu);
  save_compacted(cpu, op, edx_eax(cpu) & cpu.xcr0);
}
void xsaves(Cpu& cpu, const Op& op) {
  check_xsave_available(cpu);
  check_privilege(cpu);
  save_compacted(cpu, op, edx_eax(cpu) & (cpu.xcr0 | cpu.xss));
}

struct Header {
  std::array<uint64_t, kHeaderSize / 8> qwords;
  uint64_t components() const { return qwords[0]; }
  uint64_t layout() const { return qwords[1]; }
  bool compacted() const { return (layout() & kCompacted) != 0; }
};

// The reasons for #GP of SDM vol. 1, 13.8 and 13.12.
bool header_is_legal(const Header& header, uint64_t enabled) {
  if (header.compacted()) {
    const auto set = [](uint64_t value) { return value != 0; };
    return (header.layout() & ~(enabled | kCompacted)) == 0 && (header.components() & ~header.layout()) == 0 &&
           std::none_of(header.qwords.begin() + 2, header.qwords.end(), set);
  }
  return (header.components() & ~enabled) == 0 && header.layout() == 0 && header.qwords[2] == 0;
}

void load_components(Cpu& cpu, const Area& area, const Header& header, uint64_t requested, Loaded& loaded) {
  const uint64_t present = requested & header.components();
  // The standard form has MXCSR apart from the SSE component, and shares it with AVX.
  const bool mxcsr =
      header.compacted() ? (present & kComponentSse) != 0 : (requested & (kComponentSse | kComponentAvx)) != 0;
  if ((present & kComponentX87) != 0) load_x87(cpu, area, loaded);
  if (mxcsr) load_mxcsr(cpu, area, loaded);
  if ((present & kComponentSse) != 0) load_vector_halves(cpu, area, kXmmOffset, 0, loaded);
  if ((present & kComponentAvx) != 0) load_vector_halves(cpu, area, kAvxOffset, 1, loaded);
  load_foreign(cpu, area, present, header.layout(), loaded);
}
void commit_components(Cpu& cpu, const Area& area, const Header& header, uint64_t requested, const Loaded& loaded) {
  if ((requested & kComponentX87) != 0) commit_x87(cpu, loaded);
  if ((requested & kComponentSse) != 0) commit_vector_halves(cpu, area, 0, loaded);
  if ((requested & kComponentAvx) != 0) commit_vector_halves(cpu, area, 1, loaded);
  commit_foreign(cpu, requested, requested & header.components(), loaded);
  const uint64_t with_mxcsr = header.compacted() ? kComponentSse : (kComponentSse | kComponentAvx);
  if ((requested & with_mxcsr) != 0) cpu.mxcsr = loaded.mxcsr;
}

// Components that were requested but are not present in the area get their initial configuration.
void restore_components(Cpu& cpu, const Op& op, uint64_t enabled, bool only_compacted) {
  const uint64_t requested = edx_eax(cpu) & enabled;
  const uint64_t own = requested & ~ForeignComponents::kAll;
  const Area area = area_of(cpu, op, area_size(cpu, own, 0), 64, false);
  Header header;
  load_block(cpu, area.linear + kHeaderOffset, header.qwords.data(), kHeaderSize, area.stack);
  // As on the host: in the standard form all that was requested can fault, in the compacted form what is present.
  const unsigned size = area_size(cpu, header.compacted() ? own & header.components() : own, 0);
  cpu.mmu().probe_read(area.linear, size, cpu.mmu().current_protection(), area.stack);
  if (!header_is_legal(header, enabled) || (only_compacted && !header.compacted())) cpu.raise(kGeneralProtection, 0);
  Loaded loaded{};
  load_components(cpu, area, header, requested, loaded);
  commit_components(cpu, area, header, requested, loaded);
}
void xrstor(Cpu& cpu, const Op& op) {
  check_xsave_available(cpu);
  restore_components(cpu, op, cpu.xcr0, false);
}
void xrstors(Cpu& cpu, const Op& op) {
  check_xsave_available(cpu);
  check_privilege(cpu);
  restore_components(cpu, op, cpu.xcr0 | cpu.xss, true);
}

// --- XCR0, MXCSR
// ---------------------------------------------------------------------------------------------------------

void xgetbv(Cpu& cpu, const Op&) {
  if ((cpu.cr4 & cr4::kOsxsave) == 0) cpu.raise(kInvalidOpcode);
  const auto index = static_cast<uint32_t>(cpu.registers[kRcx]);
  const bool has_in_use = cpu.model().has(decode::Feature::Xgetbv1);
  if (index > (has_in_use ? 1u : 0u)) cpu.raise(kGeneralProtection, 0);
  const uint64_t value = index == 0 ? cpu.xcr0 : cpu.xcr0 & components_in_use(cpu);
  cpu.registers[kRax] = static_cast<uint32_t>(value);
  cpu.registers[kRdx] = value >> 32;
}

void xsetbv(Cpu& cpu, const Op&) {
  if ((cpu.cr4 & cr4::kOsxsave) == 0) cpu.raise(kInvalidOpcode);
  check_privilege(cpu);
  const uint64_t value = edx_eax(cpu);
  const bool avx_without_sse = (value & (kComponentSse | kComponentAvx)) == kComponentAvx;
  if (static_cast<uint32_t>(cpu.registers[kRcx]) != 0 || (value & kComponentX87) == 0 ||
      (value & ~cpu.model().supported_xcr0()) != 0 || avx_without_sse) {
    cpu.raise(kGeneralProtection, 0);
  }
  cpu.xcr0 = value;
  cpu.mode_changed();
}

template <bool kVex>
void check_mxcsr_available(Cpu& cpu) {
  kVex ? check_avx_available(cpu) : check_sse_available(cpu);
}
template <bool kVex>
void ldmxcsr(Cpu& cpu, const Op& op) {
  check_mxcsr_available<kVex>(cpu);
  const auto value = load_operand<uint32_t>(cpu, op);
  if ((value & ~kMxcsrWritable) != 0) cpu.raise(kGeneralProtection, 0);
  cpu.mxcsr = value;
}
template <bool kVex>
void stmxcsr(Cpu& cpu, const Op& op) {
  check_mxcsr_available<kVex>(cpu);
  store_operand<uint32_t>(cpu, op, cpu.mxcsr);
}

}  // namespace

Selection select_float_state(const decode::Instruction& instruction, Op& op) {
  op.extra = instruction.operand_size == 8;
  switch (instruction.mnemonic) {
    case Mnemonic::Fxsave:
    case Mnemonic::Fxsave64:
      return select_plain<fxsave>();
    case Mnemonic::Fxrstor:
    case Mnemonic::Fxrstor64:
      return select_plain<fxrstor>();
    case Mnemonic::Xsave:
    case Mnemonic::Xsave64:
      return select_plain<xsave<false>>();
    case Mnemonic::Xsaveopt:
    case Mnemonic::Xsaveopt64:
      return select_plain<xsave<true>>();
    case Mnemonic::Xsavec:
    case Mnemonic::Xsavec64:
      return select_plain<xsavec>();
    case Mnemonic::Xsaves:
    case Mnemonic::Xsaves64:
      return select_plain<xsaves>();
    case Mnemonic::Xrstor:
    case Mnemonic::Xrstor64:
      return select_plain<xrstor>();
    case Mnemonic::Xrstors:
    case Mnemonic::Xrstors64:
      return select_plain<xrstors>();
    case Mnemonic::Xgetbv:
      return select_plain<xgetbv>();
    case Mnemonic::Xsetbv:
      return select_ending<xsetbv>();
    case Mnemonic::Ldmxcsr:
      return select_plain<ldmxcsr<false>>();
    case Mnemonic::Vldmxcsr:
      return select_plain<ldmxcsr<true>>();
    case Mnemonic::Stmxcsr:
      return select_plain<stmxcsr<false>>();
    case Mnemonic::Vstmxcsr:
      return select_plain<stmxcsr<true>>();
    default:
      return {};
  }
}

}  // namespace calco::cpu
