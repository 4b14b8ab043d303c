#include "tests/oracle/interpreter_cpu.h"

#include <cstring>
#include <stdexcept>

#include "cpu/system/descriptors.h"
#include "jit/llvm/library.h"
#include "jit/runtime/jit.h"
#include "tests/oracle/evaluating_translator.h"
#include "tests/oracle/segments.h"

namespace calco::oracle {

using namespace cpu;

namespace {

constexpr uint64_t kPresent = 1, kWritable = 2, kUser = 4, kAccessed = 0x20, kDirty = 0x40,
                   kNoExecute = uint64_t{1} << 63;

// Linux' table: kernel code and data, user segments, and one whose limit is the number of the CPU.
struct TableEntry {
  unsigned selector;
  uint64_t value;
};
constexpr TableEntry kSegments[] = {{0x08, 0x00CF9B000000FFFF}, {0x10, 0x00AF9B000000FFFF}, {0x18, 0x00CF93000000FFFF},
                                    {0x20, 0x00CFFB000000FFFF}, {0x28, 0x00CFF3000000FFFF}, {0x30, 0x00AFFB000000FFFF},
                                    {0x78, 0x0040F50000000000}};
constexpr unsigned kKernelCode = 0x10, kTaskSegment = 0x40, kLocalTable = 0x50;
constexpr uint16_t kTableLimit = 0x7F;

Segment user_segment(uint16_t selector) {
  if ((selector & 0xFFFC) == 0) return null_segment(selector);
  uint64_t value = 0;
  for (const TableEntry& entry : kSegments) value = entry.selector == (selector & 0xFFFC) ? entry.value : value;
  for (const LocalSegment& local : kLocalSegments) value = local.selector == selector ? descriptor_of(local) : value;
  return make_segment(selector, {static_cast<uint32_t>(value), static_cast<uint32_t>(value >> 32)});
}

constexpr SegmentRegister kDataSegments[] = {kDs, kEs, kFs, kGs};

}  // namespace

std::unique_ptr<Translator> InterpreterCpu::make_translator(LlvmLevel level) {
  switch (tier_) {
    case Tier::Interpreter:
      return nullptr;
    case Tier::Ir:
    case Tier::OptimizedIr:
      return std::make_unique<EvaluatingTranslator>(tier_ == Tier::OptimizedIr);
    case Tier::Baseline:
    case Tier::Llvm:
    case Tier::Regions:
      break;
  }
  const bool llvm = tier_ != Tier::Baseline;
  if (llvm) {
    // Otherwise the baseline would be compared under its name.
    const std::string refusal = jit::llvm_library_refusal(jit::llvm_library_path());
    if (!refusal.empty()) throw std::runtime_error("there is no LLVM tier: " + refusal);
  }
  jit::JitOptions options{.threshold = 1, .passes = {.verify = true}, .llvm = llvm, .regions = {}};
  options.regions.threshold = static_cast<int32_t>(1 + rehearsals());
  options.regions.llvm.optimise = level == LlvmLevel::Full;
  options.regions.llvm.fast_code = level == LlvmLevel::Quick;
  options.regions.wait = true;
  auto translator = std::make_unique<jit::Jit>(options, fixture_.group, *fixture_.cpu, fixture_.log);
  fixture_.group.set_code_listener(
      [jit = translator.get()](uint64_t offset, uint64_t size) { jit->code_changes(offset, size); });
  return translator;
}

InterpreterCpu::InterpreterCpu(Tier tier, LlvmLevel level) : tier_(tier) {
  translator_ = make_translator(level);
  fixture_.cpu->set_translator(translator_.get());
  map_pages(kCode, kPhysicalCode, kCodePages, kUser | kWritable);
  map_pages(kData, kPhysicalData, kWritablePages, kUser | kWritable | kNoExecute);
  map_pages(kReadOnly, kPhysicalData + kWritablePages * kPage, kDataPages - kWritablePages, kUser | kNoExecute);
  map_page(kExit, kPhysicalExit, kUser);
  for (uint64_t page = kPhysicalGdt; page < kPhysicalExit; page += kPage) map_page(kKernel + page, page, kWritable);
  write_descriptors();
  const std::vector<uint8_t> breakpoints(kPage, 0xCC), halts(kPage, 0xF4);
  fixture_.load_code(breakpoints, kPhysicalExit);
  fixture_.load_code(halts, kPhysicalHandlers);
  prepare_state();
}

template <typename T>
T InterpreterCpu::stored(uint64_t physical) const {
  T value;
  std::memcpy(&value, host(physical), sizeof(T));
  return value;
}

void InterpreterCpu::map_page(uint64_t linear, uint64_t physical, uint64_t flags) {
  uint64_t table = kPhysicalTables;
  for (const unsigned shift : {39u, 30u, 21u}) {
    const uint64_t entry = table + (linear >> shift & 0x1FF) * 8;
    if (stored<uint64_t>(entry) == 0) {
      fixture_.map.write_value<uint64_t>(entry, next_table_ | kPresent | kWritable | kUser | kAccessed);
      next_table_ += kPage;
    }
    table = stored<uint64_t>(entry) & 0xFFFFFF000;
  }
  fixture_.map.write_value<uint64_t>(table + (linear >> 12 & 0x1FF) * 8,
                                     physical | flags | kPresent | kAccessed | kDirty);
}

void InterpreterCpu::map_pages(uint64_t linear, uint64_t physical, uint64_t count, uint64_t flags) {
  for (uint64_t page = 0; page < count; ++page) map_page(linear + page * kPage, physical + page * kPage, flags);
}

// SDM vol. 3, 3.4.5, 6.14.1 and 7.7.
void InterpreterCpu::write_descriptors() {
  for (const TableEntry& entry : kSegments) {
    fixture_.map.write_value<uint64_t>(kPhysicalGdt + entry.selector, entry.value);
  }
  constexpr uint64_t kTss = kKernel + kPhysicalTss, kTssLimit = 0x67, kBusyTss = 0x8B;
  fixture_.map.write_value<uint64_t>(kPhysicalGdt + kTaskSegment,
                                     kTssLimit | (kTss & 0xFFFFFF) << 16 | kBusyTss << 40 | (kTss >> 24 & 0xFF) << 56);
  fixture_.map.write_value<uint64_t>(kPhysicalGdt + kTaskSegment + 8, kTss >> 32);
  for (const LocalSegment& segment : kLocalSegments) {
    fixture_.map.write_value<uint64_t>(kPhysicalLdt + (segment.selector & 0xFFF8), descriptor_of(segment));
  }
  fixture_.map.write_value<uint64_t>(kPhysicalTss + 4, kKernel + kPhysicalKernelStack);  // RSP0
  fixture_.map.write_value<uint16_t>(kPhysicalTss + 0x66, kTssLimit + 1);                // no I/O permission bitmap
  for (uint64_t vector = 0; vector < 32; ++vector) {
    const uint64_t handler = kKernel + kPhysicalHandlers + vector;
    const uint64_t privilege = vector == kBreakpoint || vector == kOverflow ? 3 : 0;
    fixture_.map.write_value<uint64_t>(kPhysicalIdt + vector * 16, (handler & 0xFFFF) | kKernelCode << 16 |
                                                                       (0x8E00 | privilege << 13) << 32 |
                                                                       (handler >> 16 & 0xFFFF) << 48);
    fixture_.map.write_value<uint64_t>(kPhysicalIdt + vector * 16 + 8, handler >> 32);
  }
}

void InterpreterCpu::prepare_state() {
  Cpu& cpu = *fixture_.cpu;
  cpu.cr0 = cr0::kPe | cr0::kMp | cr0::kEt | cr0::kNe | cr0::kWp | cr0::kAm | cr0::kPg;
  cpu.cr4 = cr4::kPae | cr4::kPse | cr4::kPge | cr4::kOsfxsr | cr4::kOsxmmexcpt | cr4::kFsgsbase | cr4::kUmip |
            cr4::kSmep | cr4::kSmap;
  if (fixture_.model.has(decode::Feature::Avx)) {
    constexpr uint64_t kX87SseAvx = 7;
    cpu.cr4 |= cr4::kOsxsave;
    cpu.xcr0 = kX87SseAvx;
  }
  cpu.cr3 = kPhysicalTables;
  cpu.efer = efer::kSce | efer::kLme | efer::kLma | efer::kNxe;
  cpu.gdtr = {kKernel + kPhysicalGdt, kTableLimit, {}};
  cpu.idtr = {kKernel + kPhysicalIdt, 32 * 16 - 1, {}};
  cpu.tr.selector = kTaskSegment;
  cpu.tr.attributes = Segment::kP | 0xB;
  cpu.tr.base = kKernel + kPhysicalTss;
  cpu.tr.limit = 0x67;
  cpu.ldtr.selector = kLocalTable;
  cpu.ldtr.attributes = Segment::kP | system_type::kLdt;
  cpu.ldtr.base = kKernel + kPhysicalLdt;
  cpu.ldtr.limit = static_cast<uint32_t>(std::size(kLocalSegments) * 8 + 7);
  cpu.cpl = 3;
  cpu.mmu().flush_all();
  ready_ = cpu;
}

void InterpreterCpu::write_code(uint64_t address, std::span<const uint8_t> bytes) {
  fixture_.load_code(bytes, address - kCode + kPhysicalCode);
}

void InterpreterCpu::load(const MachineImage& image) {
  Cpu& cpu = *fixture_.cpu;
  static_cast<CpuState&>(cpu) = ready_;
  for (unsigned number = 0; number < 16; ++number) cpu.registers[number] = image.registers[number];
  cpu.registers[kRsp] = image.rsp;
  cpu.registers[kRip] = image.rip;
  set_rflags_value(cpu, image.rflags);
  cpu.segments[kCs] = user_segment(static_cast<uint16_t>(image.code_selector));
  cpu.segments[kSs] = user_segment(static_cast<uint16_t>(image.stack_selector));
  for (size_t i = 0; i < std::size(kDataSegments); ++i) {
    cpu.segments[kDataSegments[i]] = user_segment(image.data_selectors[i]);
  }
  if (image.data_selectors[2] == 0) {
    cpu.segments[kFs].base = image.fs_base;
    cpu.segments[kGs].base = image.gs_base;
  }
  const FxsaveArea& fx = image.fx;
  cpu.x87.control = fx.control;
  cpu.x87.top = fx.status >> 11 & 7;
  cpu.x87.status = fx.status & ~(7u << 11);
  cpu.x87.empty = static_cast<uint8_t>(~fx.valid);
  cpu.x87.opcode = fx.opcode;
  cpu.x87.instruction_pointer = fx.instruction_pointer;
  cpu.x87.data_pointer = fx.data_pointer;
  for (unsigned i = 0; i < 8; ++i) {
    cpu.x87.physical[(cpu.x87.top + i) & 7] = {fx.st[i].significand, fx.st[i].sign_exponent, {}};
  }
  cpu.mxcsr = fx.mxcsr;
  for (unsigned i = 0; i < 16; ++i) {
    std::memcpy(&cpu.vectors[i].qwords[0], &fx.xmm[i], 16);
    std::memcpy(&cpu.vectors[i].qwords[2], &image.ymm_high[i], 16);
  }
  cpu.trace = {};
  cpu.mode_changed();
}

void InterpreterCpu::save_x87(FxsaveArea& fx) const {
  const X87State& x87 = fixture_.cpu->x87;
  fx.control = x87.control;
  fx.status = static_cast<uint16_t>(x87.status | x87.top << 11);
  fx.valid = static_cast<uint8_t>(~x87.empty);
  fx.opcode = x87.opcode;
  fx.instruction_pointer = x87.instruction_pointer;
  fx.data_pointer = x87.data_pointer;
  for (unsigned i = 0; i < 8; ++i) {
    const X87Register& st = x87.physical[(x87.top + i) & 7];
    fx.st[i] = {st.significand, st.sign_exponent, {}};
  }
}

void InterpreterCpu::save(Outcome& outcome) const {
  const Cpu& cpu = *fixture_.cpu;
  MachineImage& image = outcome.image;
  image = {};
  for (unsigned number = 0; number < 16; ++number) image.registers[number] = cpu.registers[number];
  image.fs_base = cpu.segments[kFs].base;
  image.gs_base = cpu.segments[kGs].base;
  for (size_t i = 0; i < std::size(kDataSegments); ++i) {
    image.data_selectors[i] = cpu.segments[kDataSegments[i]].selector;
  }
  save_x87(image.fx);
  image.fx.mxcsr = cpu.mxcsr;
  for (unsigned i = 0; i < 16; ++i) {
    std::memcpy(&image.fx.xmm[i], &cpu.vectors[i].qwords[0], 16);
    std::memcpy(&image.ymm_high[i], &cpu.vectors[i].qwords[2], 16);
  }

  Ending& ending = outcome.ending;
  const uint64_t handler = cpu.registers[kRip] - 1 - kKernel - kPhysicalHandlers;
  if (cpu.activity != Activity::Halted || handler >= 32) {
    ending = {Ending::kLost, 0, cpu.registers[kRip]};
    return;
  }
  uint64_t frame = cpu.registers[kRsp] - kKernel;
  const bool has_error = frame == kPhysicalKernelStack - 48;
  ending = {static_cast<unsigned>(handler), 0, handler == kPageFault ? cpu.cr2 : 0};
  if (has_error) {
    ending.error_code = static_cast<uint32_t>(stored<uint64_t>(frame));
    frame += 8;
  }
  image.rip = stored<uint64_t>(frame);
  image.code_selector = stored<uint64_t>(frame + 8);
  image.rflags = stored<uint64_t>(frame + 16);
  image.rsp = stored<uint64_t>(frame + 24);
  image.registers[kRsp] = image.rsp;
  image.stack_selector = stored<uint64_t>(frame + 32);
  if (ending.vector == kBreakpoint && image.rip == kExit + 1) {
    ending.vector = Ending::kThrough;
    image.rip = kExit;
  }
}

void InterpreterCpu::run(const MachineImage& initial, Outcome& outcome) {
  load(initial);
  fixture_.cpu->run();
  save(outcome);
}

}  // namespace calco::oracle
