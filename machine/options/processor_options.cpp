// -machine, -accel, -cpu, -smp, -m.
#include <algorithm>
#include <array>
#include <stdexcept>

#include "cpu/system/cpu_model.h"
#include "machine/core/option_error.h"
#include "machine/options/draft.h"
#include "machine/options/option_values.h"
#include "machine/options/translator_options.h"

namespace calco::machine {
namespace {

constexpr unsigned kMaximumProcessors = 16;
constexpr uint64_t kMinimumMemory = 2ull << 20;
// The largest RAM that 40-bit physical addresses hold besides the hole below 4 GiB.
constexpr uint64_t kMaximumMemory = 1000ull << 30;

constexpr std::array<std::string_view, 5> kAccelerators = {"interp", "jit", "tcg", "kvm", "auto"};

void add_accelerator(Draft& draft, const std::string& option, const std::string& name) {
  if (std::ranges::find(kAccelerators, name) == kAccelerators.end()) {
    throw OptionError(option, fmt::format("'{}' is no engine; possible are interp, jit, tcg, kvm and auto", name));
  }
  draft.config.accelerators.push_back({.name = name});
}

KernelIrqchip parse_irqchip(const std::string& option, std::string_view key, std::string_view value) {
  if (value == "off") return KernelIrqchip::Off;
  if (value == "split") return KernelIrqchip::Split;
  if (value == "on") return KernelIrqchip::On;
  throw OptionError(option, fmt::format("{}='{}' is neither on, split nor off", key, value));
}

// "kvm:tcg": the first that works.
void add_accelerator_list(Draft& draft, const std::string& option, std::string_view list) {
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(':', begin), list.size());
    add_accelerator(draft, option, std::string(list.substr(begin, end - begin)));
    begin = end + 1;
  }
}

}  // namespace

void read_machine(Draft& draft, const std::string& option, std::string_view value) {
  if (value == "help" || value == "?") {
    draft.answer = "Supported machines are:\npc    i440FX + PIIX3 PC (default, alias of pc-i440fx-7.2)\n";
    return;
  }
  OptionList list(option, value, "type");
  if (const auto type = list.take("type"); type && *type != "pc" && *type != "pc-i440fx-7.2") {
    throw OptionError(option, fmt::format("'{}' is no machine; possible is pc", *type));
  }
  if (const auto engines = list.take("accel")) add_accelerator_list(draft, option, *engines);
  MachineConfig& config = draft.config;
  config.acpi = list.take_switch("acpi").value_or(config.acpi);
  config.hpet = list.take_switch("hpet").value_or(config.hpet);
  config.graphics = list.take_switch("graphics").value_or(config.graphics);
  // "auto" is QEMU's default.
  if (const auto smm = list.take("smm"); smm && *smm != "auto") {
    const std::optional<bool> on = parse_switch(*smm);
    if (!on) throw OptionError(option, fmt::format("smm='{}' is neither on, off nor auto", *smm));
    config.smm = *on;
  }
  for (std::string_view key : {"kernel_irqchip", "kernel-irqchip"}) {
    if (const auto irqchip = list.take(key)) draft.irqchip = parse_irqchip(option, key, *irqchip);
  }
  for (std::string_view without_effect : {"usb", "vmport", "dump-guest-core", "mem-merge"}) {
    list.take(without_effect);
  }
  list.finish("type, accel, acpi, graphics, hpet, kernel-irqchip and smm");
}

void read_accelerator(Draft& draft, const std::string& option, std::string_view value) {
  if (value == "help" || value == "?") {
    draft.answer =
        "Accelerators supported:\ninterp\njit (jit,help: its settings)\ntcg (the same as jit)\nkvm\nauto (the "
        "default)\n";
    return;
  }
  OptionList list(option, value, "accel");
  const auto name = list.take("accel");
  if (!name) throw OptionError(option, "names no engine; possible are interp, jit, tcg, kvm and auto");
  add_accelerator(draft, option, *name);
  if (*name == "kvm") {
    if (const auto irqchip = list.take("kernel-irqchip")) {
      draft.config.accelerators.back().irqchip = parse_irqchip(option, "kernel-irqchip", *irqchip);
    }
    list.finish("kernel-irqchip");
    return;
  }
  if (list.take_switch("help").value_or(false)) draft.answer = translator_help();
  read_translator_settings(draft.config.accelerators.back(), list);
}

void complete_accelerators(Draft& draft) {
  for (AcceleratorOptions& accelerator : draft.config.accelerators) {
    if (!accelerator.irqchip) accelerator.irqchip = draft.irqchip;
  }
  if (draft.config.accelerators.empty())
    draft.config.accelerators.push_back({.name = "auto", .irqchip = draft.irqchip});
}

void read_cpu(Draft& draft, const std::string& option, std::string_view value) {
  if (value == "help" || value == "?") {
    draft.answer = cpu::CpuModel::help();
    return;
  }
  if (value.empty()) throw OptionError(option, "names no model; for example qemu64, max or Nehalem");
  draft.config.cpu = value;
}

void read_processors(Draft& draft, const std::string& option, std::string_view value) {
  OptionList list(option, value, "cpus");
  const auto take = [&](std::string_view key) -> unsigned {
    const auto text = list.take(key);
    if (!text) return 0;
    const auto number = parse_number(*text);
    if (!number || *number == 0 || *number > kMaximumProcessors) {
      throw OptionError(option, fmt::format("{}='{}' is not a number from 1 to {}", key, *text, kMaximumProcessors));
    }
    return static_cast<unsigned>(*number);
  };
  unsigned processors = take("cpus");
  unsigned maximum = take("maxcpus");
  unsigned sockets = take("sockets");
  unsigned cores = take("cores");
  unsigned threads = take("threads");
  const unsigned dies = std::max(1u, take("dies"));
  list.finish("cpus, maxcpus, sockets, cores and threads");
  if (dies != 1) throw OptionError(option, "dies must be 1");

  // What is missing follows from the rest; cores before sockets before threads.
  const unsigned total = maximum != 0 ? maximum : processors;
  if (cores == 0) {
    sockets = std::max(1u, sockets);
    threads = std::max(1u, threads);
    cores = std::max(1u, total / (sockets * threads));
  } else if (sockets == 0) {
    threads = std::max(1u, threads);
    sockets = std::max(1u, total / (cores * threads));
  } else if (threads == 0) {
    threads = std::max(1u, total / (sockets * cores));
  }
  const unsigned product = sockets * cores * threads;
  maximum = maximum != 0 ? maximum : std::max(product, processors);
  processors = processors != 0 ? processors : maximum;
  if (product != maximum) {
    throw OptionError(option, fmt::format("sockets ({}) * cores ({}) * threads ({}) is not maxcpus ({})", sockets,
                                          cores, threads, maximum));
  }
  if (maximum > kMaximumProcessors) {
    throw OptionError(option,
                      fmt::format("{} processors are too many; 1 to {} are possible", maximum, kMaximumProcessors));
  }
  if (processors > maximum) {
    throw OptionError(option, fmt::format("cpus ({}) is more than maxcpus ({})", processors, maximum));
  }
  draft.config.topology = {processors, maximum, sockets, cores, threads};
}

void read_memory(Draft& draft, const std::string& option, std::string_view value) {
  OptionList list(option, value, "size");
  const std::string text = list.take("size").value_or("");
  list.take("slots");
  list.take("maxmem");
  list.finish("size");
  const std::optional<uint64_t> size = parse_size(text, 1ull << 20);
  if (!size) {
    throw OptionError(option, fmt::format("'{}' is not a memory size; use for example 512, 512M or 2G", text));
  }
  if (*size < kMinimumMemory || *size > kMaximumMemory) {
    throw OptionError(option, fmt::format("'{}' is out of range; 2M to {}G are possible", text, kMaximumMemory >> 30));
  }
  constexpr uint64_t kUnit = 8192;
  draft.config.memory_size = (*size + kUnit - 1) / kUnit * kUnit;
}

}  // namespace calco::machine
