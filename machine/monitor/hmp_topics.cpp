// The monitor's `info` topics.
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "cpu/system/register_dump.h"
#include "machine/monitor/hmp_commands.h"
#include "machine/monitor/monitor_error.h"
#include "machine/monitor/page_tables.h"
#include "machine/options/option_values.h"

namespace calco::machine {
namespace {

constexpr size_t kMostLines = 100'000;
constexpr std::string_view kCutShort = "(the rest is left out)\n";
constexpr std::string_view kPagingIsOff = "paging is off\n";

bool paging(const cpu::Cpu& cpu) { return (cpu.cr0 & cpu::cr0::kPg) != 0; }

std::string_view activity(const cpu::Cpu& cpu) {
  switch (cpu.activity) {
    case cpu::Activity::Running:
      return "";
    case cpu::Activity::Halted:
      return " (halted)";
    case cpu::Activity::WaitForStartUp:
      return " (waits for start-up)";
    case cpu::Activity::Shutdown:
      return " (shut down)";
  }
  return "";
}

// QEMU's letters for the bits of an entry.
std::string entry_bits(const PageMapping& page) {
  constexpr std::pair<unsigned, char> kBits[] = {{63, 'X'}, {8, 'G'}, {7, 'P'}, {6, 'D'}, {5, 'A'},
                                                 {4, 'C'},  {3, 'T'}, {2, 'U'}, {1, 'W'}};
  std::string text;
  for (const auto& [bit, letter] : kBits) {
    // Bit 7 of a 4 KiB page's entry is a memory type bit.
    const bool set = (page.entry >> bit & 1) != 0 && (bit != 7 || page.size != kPageSize);
    text += set ? letter : '-';
  }
  return text;
}

// Pages that follow each other with the same rights, as one line.
class RangeList {
 public:
  void add(const PageMapping& page) {
    if (end_ == page.linear && open_ && user_ == page.user && writable_ == page.writable) {
      end_ += page.size;
      return;
    }
    close();
    open_ = true;
    begin_ = page.linear;
    end_ = page.linear + page.size;
    user_ = page.user;
    writable_ = page.writable;
  }
  std::string take() {
    close();
    return std::move(text_);
  }

 private:
  void close() {
    if (!open_ || ++lines_ > kMostLines) return;
    text_ += fmt::format("{:016x}-{:016x} {:016x} {}r{}\n", begin_, end_, end_ - begin_, user_ ? 'u' : '-',
                         writable_ ? 'w' : '-');
    if (lines_ == kMostLines) text_ += kCutShort;
  }

  std::string text_;
  size_t lines_ = 0;
  bool open_ = false;
  uint64_t begin_ = 0, end_ = 0;
  bool user_ = false, writable_ = false;
};

}  // namespace

std::string HmpCommands::show_status(const std::string&) {
  if (guest_.running()) return "VM status: running\n";
  const std::string_view status = guest_.status();
  return status == "paused" ? "VM status: paused\n" : fmt::format("VM status: paused ({})\n", status);
}

std::string HmpCommands::show_registers(const std::string& argument) {
  const bool all = argument == "-a";
  const unsigned first = all ? 0 : argument.empty() ? processor_ : processor_index(argument);
  const unsigned end = all ? guest_.processor_count() : first + 1;
  return guest_.read_board([first, end](PcBoard& board) {
    std::string text;
    for (unsigned index = first; index < end; ++index) {
      text += fmt::format("CPU#{}\n{}", index, cpu::describe_registers(*board.processors[index]));
    }
    return text;
  });
}

std::string HmpCommands::show_processors(const std::string&) {
  return guest_.read_board([this](PcBoard& board) {
    std::string text;
    for (unsigned index = 0; index < board.processors.size(); ++index) {
      const cpu::Cpu& cpu = *board.processors[index];
      text += fmt::format("{} CPU #{}: pc={:#x}{} thread_id={}\n", index == processor_ ? '*' : ' ', index,
                          cpu.segments[cpu::kCs].base + cpu.registers[cpu::kRip], activity(cpu),
                          guest_.machine().host_thread_id(index));
    }
    return text;
  });
}

std::string HmpCommands::show_mappings(const std::string&) {
  return guest_.read_processor(processor_, [](cpu::Cpu& cpu) {
    if (!paging(cpu)) return std::string(kPagingIsOff);
    RangeList ranges;
    const bool complete = for_each_mapping(cpu, [&ranges](const PageMapping& page) { ranges.add(page); });
    std::string text = ranges.take();
    if (!complete) text += kCutShort;
    return text;
  });
}

std::string HmpCommands::show_tlb(const std::string&) {
  return guest_.read_processor(processor_, [](cpu::Cpu& cpu) {
    if (!paging(cpu)) return std::string(kPagingIsOff);
    std::string text;
    size_t lines = 0;
    const bool complete = for_each_mapping(cpu, [&](const PageMapping& page) {
      if (++lines > kMostLines) return;
      text += fmt::format("{:016x}: {:016x} {}\n", page.linear, page.physical, entry_bits(page));
    });
    if (!complete || lines > kMostLines) text += kCutShort;
    return text;
  });
}

// What is shown is flat anyway; -f is what QEMU's users say for it.
std::string HmpCommands::show_memory_map(const std::string& argument) {
  if (!argument.empty() && argument != "-f") throw MonitorError("usage: info mtree [-f]");
  return guest_.read_board([](PcBoard& board) { return board.map.describe(); });
}

std::string HmpCommands::show_accelerator(const std::string&) {
  return guest_.read_board([this](PcBoard& board) {
    const Machine& machine = guest_.machine();
    std::string text =
        fmt::format("{}: {}\n{}", machine.engine().name(), machine.engine_reason(), machine.engine().describe());
    for (unsigned index = 0; index < board.processors.size(); ++index) {
      const cpu::Cpu& cpu = *board.processors[index];
      text += fmt::format("CPU #{}: {} instructions interpreted in {} blocks\n", index, cpu.instructions_retired,
                          cpu.blocks_entered);
    }
    return text;
  });
}

std::string HmpCommands::show_kvm(const std::string&) {
  const bool enabled = guest_.machine().engine().name() == "kvm";
  return fmt::format("kvm support: {}\n", enabled ? "enabled" : "disabled");
}

std::string HmpCommands::show_translator(const std::string&) { return guest_.translation_report(); }

std::string HmpCommands::show_interrupts(const std::string&) {
  return guest_.read_board([](PcBoard& board) {
    std::string text;
    const auto& raised = board.pic->raised();
    for (size_t irq = 0; irq < raised.size(); ++irq) {
      if (raised[irq] != 0) text += fmt::format("{:2}: {}\n", irq, raised[irq]);
    }
    return "IRQ statistics of the ISA lines:\n" + text;
  });
}

std::string HmpCommands::show_pic(const std::string&) {
  return guest_.read_board([](PcBoard& board) {
    return board.pic->master().describe() + board.pic->slave().describe() + board.io_apic->describe();
  });
}

std::string HmpCommands::show_local_apic(const std::string& argument) {
  const std::optional<uint64_t> id = parse_number(argument);
  if (!argument.empty() && !id) throw MonitorError("usage: info lapic [apic-id]");
  return guest_.read_board([&](PcBoard& board) {
    if (!id) return board.local_apics[processor_]->describe();
    const auto found = std::ranges::find_if(board.local_apics, [&id](const auto& apic) { return apic->id() == *id; });
    if (found == board.local_apics.end()) throw MonitorError(fmt::format("there is no local APIC with id {}", *id));
    return (*found)->describe();
  });
}

std::string HmpCommands::show_character_devices(const std::string&) {
  std::string text;
  for (const CharacterDevices::Entry& entry : guest_.character_devices()) {
    text += fmt::format("{}: filename={}\n", entry.label, entry.description);
  }
  return text;
}

std::string HmpCommands::show_dump(const std::string&) {
  const DumpState state = guest_.dump_state();
  std::string text = fmt::format("Status: {}\n", state.name());
  if (state.status == DumpState::Status::Active) {
    text += fmt::format("Finished: {:.2f} %\n",
                        100.0 * static_cast<double>(state.completed) / static_cast<double>(state.total));
  }
  return text;
}

std::string HmpCommands::show_name(const std::string&) {
  const std::string& name = guest_.machine().config().name;
  return name.empty() ? std::string() : name + '\n';
}

std::string HmpCommands::show_version(const std::string&) { return CALCO_VERSION "\n"; }

}  // namespace calco::machine
