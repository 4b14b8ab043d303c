#include "machine/monitor/core_dump.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "machine/monitor/monitor_error.h"
#include "machine/monitor/page_tables.h"

namespace calco::machine {
namespace {

// A run of guest RAM and where it lies in the file.
struct RamRun {
  uint64_t physical;
  std::span<const uint8_t> bytes;
  uint64_t file_offset = 0;
};

// Neighbours in the address space and on the host make one run.
std::vector<RamRun> ram_runs(const MemoryMap& map, CoreRange wanted) {
  std::vector<RamRun> runs;
  for (const MemoryRange& range : map.view().ranges()) {
    const uint64_t first = std::max(range.first, wanted.first);
    const uint64_t last = std::min(range.last, wanted.last);
    if (range.host == nullptr || !range.writable || first > last) continue;
    const std::span<const uint8_t> bytes{range.host + (first - range.first), last - first + 1};
    if (!runs.empty() && runs.back().physical + runs.back().bytes.size() == first &&
        runs.back().bytes.data() + runs.back().bytes.size() == bytes.data()) {
      runs.back().bytes = {runs.back().bytes.data(), runs.back().bytes.size() + bytes.size()};
    } else {
      runs.push_back({first, bytes});
    }
  }
  if (runs.empty()) throw MonitorError("there is no RAM at these addresses");
  return runs;
}

// The kernel's NT_PRSTATUS on x86-64 (struct elf_prstatus, <linux/elfcore.h>), whatever the host is.
struct [[gnu::packed]] ProcessStatus {
  std::array<uint32_t, 8> signals{};
  uint32_t identifier = 0, parent = 0, group = 0, session = 0;
  std::array<uint64_t, 8> times{};
  std::array<uint64_t, 27> registers{};  // struct user_regs_struct (<sys/user.h>)
  uint32_t has_float_registers = 0, padding = 0;
};

// Processors appear as threads numbered from 1.
ProcessStatus processor_status(const cpu::Cpu& cpu, unsigned index) {
  ProcessStatus status;
  status.identifier = index + 1;
  status.registers = {cpu.registers[cpu::kR15],
                      cpu.registers[cpu::kR14],
                      cpu.registers[cpu::kR13],
                      cpu.registers[cpu::kR12],
                      cpu.registers[cpu::kRbp],
                      cpu.registers[cpu::kRbx],
                      cpu.registers[cpu::kR11],
                      cpu.registers[cpu::kR10],
                      cpu.registers[cpu::kR9],
                      cpu.registers[cpu::kR8],
                      cpu.registers[cpu::kRax],
                      cpu.registers[cpu::kRcx],
                      cpu.registers[cpu::kRdx],
                      cpu.registers[cpu::kRsi],
                      cpu.registers[cpu::kRdi],
                      0,  // orig_rax: of no system call
                      cpu.registers[cpu::kRip],
                      cpu.segments[cpu::kCs].selector,
                      cpu::rflags_value(cpu),
                      cpu.registers[cpu::kRsp],
                      cpu.segments[cpu::kSs].selector,
                      cpu.segments[cpu::kFs].base,
                      cpu.segments[cpu::kGs].base,
                      cpu.segments[cpu::kDs].selector,
                      cpu.segments[cpu::kEs].selector,
                      cpu.segments[cpu::kFs].selector,
                      cpu.segments[cpu::kGs].selector};
  return status;
}

// As it lies in the file, where the contents need no alignment beyond 4.
struct [[gnu::packed]] Note {
  Elf64_Nhdr header{.n_namesz = 5, .n_descsz = sizeof(ProcessStatus), .n_type = NT_PRSTATUS};
  char name[8] = "CORE";
  ProcessStatus status{};
};
static_assert(sizeof(ProcessStatus) == 336);
static_assert(sizeof(Note) == sizeof(Elf64_Nhdr) + 8 + sizeof(ProcessStatus));

Elf64_Phdr load_segment(uint64_t linear, uint64_t physical, uint64_t size, uint64_t file_offset) {
  return {.p_type = PT_LOAD,
          .p_flags = PF_R | PF_W | PF_X,
          .p_offset = file_offset,
          .p_vaddr = linear,
          .p_paddr = physical,
          .p_filesz = size,
          .p_memsz = size,
          .p_align = 0};
}

// The parts of mapped pages that are RAM; runs that continue each other are joined.
class LinearSegments {
 public:
  explicit LinearSegments(const std::vector<RamRun>& runs) : runs_(runs) {}

  void add(const PageMapping& page) {
    for (const RamRun& run : runs_) {
      const uint64_t first = std::max(page.physical, run.physical);
      const uint64_t end = std::min(page.physical + page.size, run.physical + run.bytes.size());
      if (first < end) add_part(page.linear + (first - page.physical), first, end - first, run);
    }
  }
  std::vector<Elf64_Phdr> take() { return std::move(segments_); }

 private:
  void add_part(uint64_t linear, uint64_t physical, uint64_t size, const RamRun& run) {
    const uint64_t file_offset = run.file_offset + (physical - run.physical);
    if (!segments_.empty()) {
      Elf64_Phdr& last = segments_.back();
      if (last.p_vaddr + last.p_memsz == linear && last.p_offset + last.p_filesz == file_offset) {
        last.p_filesz += size;
        last.p_memsz += size;
        return;
      }
    }
    segments_.push_back(load_segment(linear, physical, size, file_offset));
  }

  const std::vector<RamRun>& runs_;
  std::vector<Elf64_Phdr> segments_;
};

std::vector<Elf64_Phdr> load_segments(PcBoard& board, const std::vector<RamRun>& runs, CoreAddresses addresses) {
  if (addresses == CoreAddresses::Linear && (board.processors[0]->cr0 & cpu::cr0::kPg) != 0) {
    LinearSegments segments(runs);
    const bool complete =
        for_each_mapping(*board.processors[0], [&segments](const PageMapping& page) { segments.add(page); });
    if (!complete) throw MonitorError("the guest's page tables map too much; dump without paging");
    return segments.take();
  }
  std::vector<Elf64_Phdr> segments;
  for (const RamRun& run : runs) {
    segments.push_back(load_segment(run.physical, run.physical, run.bytes.size(), run.file_offset));
  }
  return segments;
}

Elf64_Ehdr file_header(size_t segments) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_CORE;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(Elf64_Ehdr);
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<Elf64_Half>(segments);
  return header;
}

}  // namespace

// All but the RAM itself.
struct CoreContents {
  Elf64_Ehdr header{};
  std::vector<Elf64_Phdr> segments;  // the notes' first
  std::vector<Note> notes;
  std::vector<RamRun> runs;
};

namespace {

CoreContents describe(PcBoard& board, CoreAddresses addresses, CoreRange range) {
  std::lock_guard lock(board.services.device_lock);
  CoreContents core;
  for (unsigned index = 0; index < board.processors.size(); ++index) {
    core.notes.push_back({.status = processor_status(*board.processors[index], index)});
  }
  // The runs' places count from the end of the headers, whose number is known afterwards.
  core.runs = ram_runs(board.map, range);
  uint64_t offset = 0;
  for (RamRun& run : core.runs) {
    run.file_offset = offset;
    offset += run.bytes.size();
  }
  core.segments = load_segments(board, core.runs, addresses);
  if (core.segments.size() + 1 >= PN_XNUM) throw MonitorError("too many runs of mapped pages; dump without paging");

  core.header = file_header(core.segments.size() + 1);
  const size_t notes_size = core.notes.size() * sizeof(Note);
  const uint64_t notes_offset = sizeof(core.header) + core.header.e_phnum * sizeof(Elf64_Phdr);
  for (Elf64_Phdr& segment : core.segments) segment.p_offset += notes_offset + notes_size;
  Elf64_Phdr note_segment{};
  note_segment.p_type = PT_NOTE;
  note_segment.p_offset = notes_offset;
  note_segment.p_filesz = notes_size;
  note_segment.p_align = 4;
  core.segments.insert(core.segments.begin(), note_segment);
  return core;
}

}  // namespace

CoreDump::CoreDump(PcBoard& board, const CoreRequest& request, std::function<void()> done)
    : board_(board),
      contents_(std::make_unique<CoreContents>(describe(board, request.addresses, request.range))),
      file_(request.path) {
  for (const RamRun& run : contents_->runs) total_ += run.bytes.size();
  thread_ = std::thread([this, done = std::move(done)] {
    try {
      write();
    } catch (const MonitorError& error) {
      error_ = error.what();
    }
    done();
  });
}

CoreDump::~CoreDump() {
  file_.cancel();
  thread_.join();
}

// RAM by pieces, each as devices have left it at one moment.
void CoreDump::write() {
  constexpr size_t kPiece = 1 << 20;  // bytes
  file_.write(&contents_->header, sizeof(contents_->header));
  file_.write(contents_->segments.data(), contents_->segments.size() * sizeof(Elf64_Phdr));
  file_.write(contents_->notes.data(), contents_->notes.size() * sizeof(Note));
  std::vector<uint8_t> piece;
  for (const RamRun& run : contents_->runs) {
    for (size_t done = 0; done < run.bytes.size(); done += piece.size()) {
      const auto next = run.bytes.subspan(done, std::min(kPiece, run.bytes.size() - done));
      {
        std::lock_guard lock(board_.services.device_lock);
        piece.assign(next.begin(), next.end());
      }
      file_.write(piece.data(), piece.size());
      completed_ += piece.size();
    }
  }
  file_.finish();
}

}  // namespace calco::machine
