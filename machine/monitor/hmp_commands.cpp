#include "machine/monitor/hmp_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "machine/core/log.h"
#include "machine/monitor/expression.h"
#include "machine/monitor/monitor_error.h"
#include "machine/options/option_values.h"

namespace calco::machine {
namespace {

constexpr size_t kAny = std::numeric_limits<size_t>::max();

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Words between spaces; double quotes hold one together.
std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  bool in_word = false;
  bool quoted = false;
  for (const char letter : text) {
    const bool space = !quoted && (letter == ' ' || letter == '\t');
    if (!space && !in_word) words.emplace_back();
    in_word = !space;
    if (letter == '"') {
      quoted = !quoted;
    } else if (!space) {
      words.back() += letter;
    }
  }
  if (quoted) throw MonitorError("a closing '\"' is missing");
  return words;
}

}  // namespace

std::span<const HmpCommands::Command> HmpCommands::commands() {
  static constexpr Command kCommands[] = {
      {"help", "?", "[command [topic]]", "this text", 0, 2, false, &HmpCommands::help},
      {"info", "", "[topic [argument]]", "show something; without a topic: what there is", 0, 2, false,
       &HmpCommands::info},
      {"x", "", "/fmt address", "memory at a linear address", 1, kAny, true, &HmpCommands::examine_linear},
      {"xp", "", "/fmt address", "memory at a physical address", 1, kAny, true, &HmpCommands::examine_physical},
      {"print", "p", "/fmt expression", "a value, registers as $rip", 1, kAny, true, &HmpCommands::print},
      {"stop", "s", "", "stop the guest", 0, 0, false, &HmpCommands::stop},
      {"cont", "c", "", "let the guest go on", 0, 0, false, &HmpCommands::resume},
      {"system_reset", "", "", "reset the machine", 0, 0, false, &HmpCommands::system_reset},
      {"system_powerdown", "", "", "press the power button", 0, 0, false, &HmpCommands::system_powerdown},
      {"quit", "q", "", "end Calco", 0, 0, false, &HmpCommands::quit},
      {"sendkey", "", "keys [hold-ms]", "press keys: ctrl-alt-delete", 1, 2, false, &HmpCommands::send_key},
      {"nmi", "", "", "non-maskable interrupt to every processor", 0, 0, false, &HmpCommands::nmi},
      {"log", "", "items", "what to log, as -d says it; none", 1, 1, false, &HmpCommands::log},
      {"accel", "", "[interp|jit|kvm]", "the engine that goes on with the guest; alone: which one runs", 0, 1, false,
       &HmpCommands::accelerator},
      {"cpu", "", "index", "the processor that other commands show", 1, 1, false, &HmpCommands::select_processor},
      {"dump-guest-memory", "", "[-p] [-d] file [begin length]",
       "ELF core for gdb and crash; -p: linear addresses; -d: in the background", 1, 5, false,
       &HmpCommands::dump_guest_memory},
  };
  return kCommands;
}

std::span<const HmpCommands::Topic> HmpCommands::topics() {
  static constexpr Topic kTopics[] = {
      {"status", "", "whether the guest runs", &HmpCommands::show_status},
      {"registers", "[-a|index]", "registers of the current processor, of all (-a), of one",
       &HmpCommands::show_registers},
      {"cpus", "", "the processors", &HmpCommands::show_processors},
      {"mem", "", "ranges of linear addresses that are mapped", &HmpCommands::show_mappings},
      {"tlb", "", "pages that the page tables map", &HmpCommands::show_tlb},
      {"mtree", "[-f]", "what answers at which physical address", &HmpCommands::show_memory_map},
      {"accel", "", "the engine that runs guest code", &HmpCommands::show_accelerator},
      {"kvm", "", "whether KVM runs guest code", &HmpCommands::show_kvm},
      {"jit", "", "what the translator did", &HmpCommands::show_translator},
      {"irq", "", "how often each ISA interrupt was raised", &HmpCommands::show_interrupts},
      {"pic", "", "8259s and I/O APIC", &HmpCommands::show_pic},
      {"lapic", "[apic-id]", "local APIC of the current processor or of another", &HmpCommands::show_local_apic},
      {"chardev", "", "character back ends", &HmpCommands::show_character_devices},
      {"dump", "", "how far the latest core dump is", &HmpCommands::show_dump},
      {"name", "", "what -name says", &HmpCommands::show_name},
      {"version", "", "version of Calco", &HmpCommands::show_version},
  };
  return kTopics;
}

const HmpCommands::Command& HmpCommands::find(std::string_view name) {
  const auto found = std::ranges::find_if(
      commands(), [name](const Command& command) { return command.name == name || command.short_name == name; });
  if (found == commands().end()) throw MonitorError(fmt::format("unknown command: '{}'", name));
  return *found;
}

const HmpCommands::Topic& HmpCommands::find_topic(std::string_view name) {
  const auto found = std::ranges::find(topics(), name, &Topic::name);
  if (found == topics().end()) {
    throw MonitorError(fmt::format("'info {}' is unknown; 'info' lists what there is", name));
  }
  return *found;
}

unsigned HmpCommands::processor_index(const std::string& word) const {
  const auto index = parse_number(word);
  if (!index || *index >= guest_.processor_count()) {
    throw MonitorError(fmt::format("there is no processor '{}'; they are 0 to {}", word, guest_.processor_count() - 1));
  }
  return static_cast<unsigned>(*index);
}

HmpCommands::Arguments HmpCommands::split(std::string_view text, bool takes_format) {
  Arguments arguments;
  text = trimmed(text);
  if (takes_format && text.starts_with('/')) {
    const size_t end = std::min(text.find(' '), text.size());
    arguments.format = text.substr(1, end - 1);
    text = trimmed(text.substr(end));
  }
  arguments.rest = text;
  // An expression is no list of words; a quote there is a character's.
  arguments.words = takes_format && !text.empty() ? std::vector{arguments.rest} : split_words(text);
  return arguments;
}

void HmpCommands::execute(std::string_view line, Answer answer) {
  answer_ = std::move(answer);
  std::string text;
  try {
    text = run(trimmed(line));
  } catch (const MonitorError& error) {
    text = fmt::format("{}\n", error.what());
  }
  if (answer_) std::exchange(answer_, {})(text);
}

std::string HmpCommands::run(std::string_view line) {
  if (line.empty()) return {};
  const size_t end = std::min(line.find_first_of(" \t/"), line.size());
  const Command& command = find(line.substr(0, end));
  const Arguments arguments = split(line.substr(end), command.takes_format);
  if (arguments.words.size() < command.fewest || arguments.words.size() > command.most) {
    throw MonitorError(fmt::format("usage: {} {}", command.name, command.parameters));
  }
  return (this->*command.run)(arguments);
}

// --- Commands --------------------------------------------------------------------------------------------------------

std::string HmpCommands::help(const Arguments& arguments) {
  std::string text;
  if (arguments.words.empty()) {
    for (const Command& command : commands()) text += describe(command);
    return text + "fmt: [count][x|d|u|o|c|i][b|h|w|g]\n";
  }
  const Command& command = find(arguments.words[0]);
  if (arguments.words.size() == 2) {
    if (command.name != "info") throw MonitorError(fmt::format("'{}' has no topics", command.name));
    return describe(find_topic(arguments.words[1]));
  }
  text = describe(command);
  if (command.name == "info") text += list_topics();
  return text;
}

std::string HmpCommands::describe(const Command& command) {
  const std::string names =
      command.short_name.empty() ? std::string(command.name) : fmt::format("{}|{}", command.name, command.short_name);
  return fmt::format("{:<42} {}\n", fmt::format("{} {}", names, command.parameters), command.help);
}

std::string HmpCommands::describe(const Topic& topic) {
  return fmt::format("{:<42} {}\n", fmt::format("info {} {}", topic.name, topic.parameter), topic.help);
}

std::string HmpCommands::list_topics() {
  std::string text;
  for (const Topic& topic : topics()) text += describe(topic);
  return text;
}

std::string HmpCommands::info(const Arguments& arguments) {
  if (arguments.words.empty()) return list_topics();
  const Topic& topic = find_topic(arguments.words[0]);
  if (arguments.words.size() == 1) return (this->*topic.show)({});
  if (topic.parameter.empty()) throw MonitorError(fmt::format("usage: info {}", topic.name));
  return (this->*topic.show)(arguments.words[1]);
}

std::string HmpCommands::examine_linear(const Arguments& arguments) { return examine(arguments, AddressKind::Linear); }
std::string HmpCommands::examine_physical(const Arguments& arguments) {
  return examine(arguments, AddressKind::Physical);
}

std::string HmpCommands::examine(const Arguments& arguments, AddressKind kind) {
  const DumpFormat format = DumpFormat::parse(arguments.format);
  return guest_.read_processor(
      processor_, [&](cpu::Cpu& cpu) { return dump_memory(cpu, kind, evaluate(arguments.rest, cpu), format); });
}

std::string HmpCommands::print(const Arguments& arguments) {
  DumpFormat format = DumpFormat::parse(arguments.format.empty() ? "d" : arguments.format);
  if (format.format == 'i' || format.count != 1) throw MonitorError("print shows one value as x, d, u, o or c");
  format.size = 8;
  return guest_.read_processor(processor_, [&](cpu::Cpu& cpu) {
    const uint64_t value = evaluate(arguments.rest, cpu);
    return (format.format == 'x' ? fmt::format("{:#x}", value) : format_unit(value, format)) + '\n';
  });
}

std::string HmpCommands::stop(const Arguments&) {
  guest_.stop();
  return {};
}

std::string HmpCommands::resume(const Arguments&) {
  guest_.resume();
  return {};
}

std::string HmpCommands::system_reset(const Arguments&) {
  guest_.reset();
  return {};
}

std::string HmpCommands::system_powerdown(const Arguments&) {
  guest_.press_power_button();
  return {};
}

std::string HmpCommands::quit(const Arguments&) {
  guest_.quit();
  return {};
}

std::string HmpCommands::send_key(const Arguments& arguments) {
  constexpr uint64_t kLongestHold = 3'600'000;  // ms
  std::chrono::milliseconds hold = KeySender::kDefaultHold;
  if (arguments.words.size() == 2) {
    const auto number = parse_number(arguments.words[1]);
    if (!number || *number > kLongestHold) {
      throw MonitorError(fmt::format("'{}' is no time in milliseconds", arguments.words[1]));
    }
    hold = std::chrono::milliseconds(*number);
  }
  guest_.send_keys(parse_keys(arguments.words[0]), hold);
  return {};
}

std::string HmpCommands::nmi(const Arguments&) {
  guest_.inject_nmi();
  return {};
}

std::string HmpCommands::log(const Arguments& arguments) {
  uint32_t items = 0;
  const std::string& text = arguments.words[0];
  for (size_t begin = 0; begin <= text.size() && text != "none";) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    const uint32_t item = Log::item_from_name(name);
    if (item == 0) throw MonitorError(fmt::format("'{}' is no log item; 'calco -d help' lists them", name));
    items |= item;
    begin = end + 1;
  }
  return guest_.read_board([&](PcBoard& board) {
    board.services.log.enable(items);
    // Blocks that chain to the next would not be seen.
    for (const auto& processor : board.processors) processor->request(cpu::request::kTrace);
    return std::string();
  });
}

std::string HmpCommands::accelerator(const Arguments& arguments) {
  if (arguments.words.empty()) return show_accelerator({});
  guest_.exchange_engine(arguments.words[0]);
  return {};
}

std::string HmpCommands::select_processor(const Arguments& arguments) {
  processor_ = processor_index(arguments.words[0]);
  return {};
}

namespace {

// QEMU's letters for formats that Calco does not write.
std::string_view other_format(std::string_view option) {
  constexpr std::pair<std::string_view, std::string_view> kFormats[] = {
      {"-z", "kdump-zlib"}, {"-l", "kdump-lzo"}, {"-s", "kdump-snappy"}, {"-w", "win-dmp"}};
  const auto found = std::ranges::find(kFormats, option, &std::pair<std::string_view, std::string_view>::first);
  return found == std::end(kFormats) ? std::string_view{} : found->second;
}

}  // namespace

std::string HmpCommands::dump_guest_memory(const Arguments& arguments) {
  CoreRequest request;
  bool detached = false;
  auto words = std::span(arguments.words);
  for (; !words.empty() && words[0].starts_with('-'); words = words.subspan(1)) {
    if (words[0] == "-p") {
      request.addresses = CoreAddresses::Linear;
    } else if (words[0] == "-d") {
      detached = true;
    } else if (const std::string_view format = other_format(words[0]); !format.empty()) {
      refuse_dump_format(format);
    } else {
      throw MonitorError(fmt::format("dump-guest-memory has no option '{}'", words[0]));
    }
  }
  if (words.size() != 1 && words.size() != 3) {
    throw MonitorError("usage: dump-guest-memory [-p] [-d] file [begin length]");
  }
  if (words.size() == 3) {
    const auto begin = parse_number(words[1]);
    const auto length = parse_number(words[2]);
    if (!begin || !length || *length == 0 || *begin + (*length - 1) < *begin) {
      throw MonitorError(fmt::format("'{} {}' is no range of addresses", words[1], words[2]));
    }
    request.range = {*begin, *begin + (*length - 1)};
  }
  request.path = words[0];
  guest_.begin_dump(request);
  if (detached) return {};
  guest_.when_dumped([answer = std::exchange(answer_, {})](const DumpState& state) {
    answer(state.error.empty() ? std::string() : state.error + '\n');
  });
  return {};
}

}  // namespace calco::machine
