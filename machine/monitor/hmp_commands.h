// The commands of the human monitor.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "machine/monitor/guest_control.h"
#include "machine/monitor/memory_dump.h"

namespace calco::machine {

// One user's view: which processor is the current one.
//
// Threads: as GuestControl.
class HmpCommands {
 public:
  // `guest` outlives it.
  explicit HmpCommands(GuestControl& guest, unsigned processor = 0) : guest_(guest), processor_(processor) {}

  // Calls `answer` once with what the command prints, lines ended by \n; a mistake is one line. Never throws
  // MonitorError. A command that takes its time answers later, on the same thread, and the object is not needed any
  // more.
  using Answer = std::function<void(const std::string& text)>;
  void execute(std::string_view line, Answer answer);

 private:
  // A command's words: "x/4xw $rip + 8" has the format "4xw", the rest "$rip + 8", and three words.
  struct Arguments {
    std::string format;
    std::string rest;
    std::vector<std::string> words;
  };
  struct Command {
    std::string_view name;
    std::string_view short_name;
    std::string_view parameters;
    std::string_view help;
    size_t fewest;  // words
    size_t most;
    bool takes_format;
    std::string (HmpCommands::*run)(const Arguments& arguments);
  };
  struct Topic {
    std::string_view name;
    std::string_view parameter;  // empty: it has none
    std::string_view help;
    std::string (HmpCommands::*show)(const std::string& argument);
  };
  static std::span<const Command> commands();
  static std::span<const Topic> topics();
  static const Command& find(std::string_view name);
  static const Topic& find_topic(std::string_view name);
  unsigned processor_index(const std::string& word) const;
  static Arguments split(std::string_view text, bool takes_format);
  static std::string describe(const Command& command);
  static std::string describe(const Topic& topic);
  static std::string list_topics();
  std::string run(std::string_view line);

  std::string help(const Arguments& arguments);
  std::string info(const Arguments& arguments);
  std::string examine_linear(const Arguments& arguments);
  std::string examine_physical(const Arguments& arguments);
  std::string examine(const Arguments& arguments, AddressKind kind);
  std::string print(const Arguments& arguments);
  std::string stop(const Arguments& arguments);
  std::string resume(const Arguments& arguments);
  std::string system_reset(const Arguments& arguments);
  std::string system_powerdown(const Arguments& arguments);
  std::string quit(const Arguments& arguments);
  std::string send_key(const Arguments& arguments);
  std::string nmi(const Arguments& arguments);
  std::string log(const Arguments& arguments);
  std::string accelerator(const Arguments& arguments);
  std::string select_processor(const Arguments& arguments);
  std::string dump_guest_memory(const Arguments& arguments);

  std::string show_status(const std::string& argument);
  std::string show_registers(const std::string& argument);
  std::string show_processors(const std::string& argument);
  std::string show_mappings(const std::string& argument);
  std::string show_tlb(const std::string& argument);
  std::string show_memory_map(const std::string& argument);
  std::string show_accelerator(const std::string& argument);
  std::string show_kvm(const std::string& argument);
  std::string show_translator(const std::string& argument);
  std::string show_interrupts(const std::string& argument);
  std::string show_pic(const std::string& argument);
  std::string show_local_apic(const std::string& argument);
  std::string show_character_devices(const std::string& argument);
  std::string show_name(const std::string& argument);
  std::string show_version(const std::string& argument);
  std::string show_dump(const std::string& argument);

  GuestControl& guest_;
  unsigned processor_;
  Answer answer_;  // while a command runs; empty where it answers later
};

}  // namespace calco::machine
