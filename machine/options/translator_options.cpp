#include "machine/options/translator_options.h"

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string_view>

#include "machine/core/option_error.h"

namespace calco::machine {
namespace {

using jit::JitOptions;

// The translator works without any of those that are on, but slower: they can be switched off to find out whose fault
// something is.
struct Switch {
  std::string_view name, meaning;
  bool& (*value)(JitOptions& jit);
};

constexpr Switch kSwitches[] = {
    {"links", "direct jumps within a page lead from block to block",
     [](JitOptions& jit) -> bool& { return jit.links; }},
    {"jump-cache", "translated code finds the targets of all other jumps by itself",
     [](JitOptions& jit) -> bool& { return jit.jump_cache; }},
    {"exit-flags", "flags that the code behind a block overwrites are not stored",
     [](JitOptions& jit) -> bool& { return jit.exit_flags; }},
    {"revival", "translations of bytes that are back are used again",
     [](JitOptions& jit) -> bool& { return jit.revival; }},
    {"next-page", "an instruction that runs into the next page is translated",
     [](JitOptions& jit) -> bool& { return jit.next_page; }},
    {"last", "blocks may end with an instruction that is interpreted",
     [](JitOptions& jit) -> bool& { return jit.frontend.last; }},
    {"x87", "x87 instructions are executed by the host's x87 unit",
     [](JitOptions& jit) -> bool& { return jit.frontend.x87; }},
    {"vectors", "SSE and AVX instructions are executed by the host's",
     [](JitOptions& jit) -> bool& { return jit.frontend.vectors; }},
    {"llvm", "the optimizing tier", [](JitOptions& jit) -> bool& { return jit.llvm; }},
    {"llvm-express", "what became hot last is compiled on a thread of its own",
     [](JitOptions& jit) -> bool& { return jit.regions.express; }},
    {"region-calls", "regions follow direct calls", [](JitOptions& jit) -> bool& { return jit.regions.ways.calls; }},
    {"region-returns", "regions go on behind calls, where their returns are led",
     [](JitOptions& jit) -> bool& { return jit.regions.ways.returns; }},
    {"region-indirect", "regions follow indirect jumps and calls to where they went lately",
     [](JitOptions& jit) -> bool& { return jit.regions.ways.indirect; }},
    {"region-pages", "regions may have blocks of several pages",
     [](JitOptions& jit) -> bool& { return jit.regions.ways.pages; }},
    {"page-cache", "regions keep the pages of accesses by the same registers",
     [](JitOptions& jit) -> bool& { return jit.regions.llvm.page_cache; }},
    {"loop-heads", "regions have copies of the heads of short loops",
     [](JitOptions& jit) -> bool& { return jit.regions.llvm.loop_heads; }},
    {"llvm-passes", "LLVM's passes", [](JitOptions& jit) -> bool& { return jit.regions.llvm.optimise; }},
    {"llvm-fast-code", "LLVM's quick code generator instead of the good one",
     [](JitOptions& jit) -> bool& { return jit.regions.llvm.fast_code; }},
    {"timing", "time of each tier in the statistics", [](JitOptions& jit) -> bool& { return jit.measurement.tier; }},
    {"count", "translated code counts its instructions and accesses",
     [](JitOptions& jit) -> bool& { return jit.measurement.work; }},
};

struct Number {
  std::string_view name, meaning;
  uint64_t first, last;
  void (*set)(JitOptions& jit, uint64_t value);
};

constexpr uint64_t kAny = ~uint64_t{0};
constexpr Number kNumbers[] = {
    {"threshold", "entries until a block is translated", 1, UINT32_MAX,
     [](JitOptions& jit, uint64_t value) { jit.threshold = static_cast<uint32_t>(value); }},
    {"limit", "translate only so many blocks", 0, kAny, [](JitOptions& jit, uint64_t value) { jit.limit = value; }},
    {"block-length", "instructions of a block at most", 1, 64,
     [](JitOptions& jit, uint64_t value) { jit.maximum_instructions = static_cast<unsigned>(value); }},
    {"tb-size", "MiB of code", 1, 1024, [](JitOptions& jit, uint64_t value) { jit.code_bytes = value << 20; }},
    {"llvm-threshold", "entries of a block until it is compiled with those around it", 1, INT32_MAX,
     [](JitOptions& jit, uint64_t value) { jit.regions.threshold = static_cast<int32_t>(value); }},
    {"llvm-limit", "compile only so many regions", 0, kAny,
     [](JitOptions& jit, uint64_t value) { jit.regions.limit = value; }},
    {"llvm-threads", "compiling threads", 1, 64,
     [](JitOptions& jit, uint64_t value) { jit.regions.threads = static_cast<unsigned>(value); }},
    {"llvm-share", "hundredths of the guest's processor time that compiling may take; 0: any", 0, 100000,
     [](JitOptions& jit, uint64_t value) { jit.regions.share = static_cast<unsigned>(value); }},
};

struct Other {
  std::string_view name, value, meaning;
};
constexpr Other kOthers[] = {
    {"optimizations", "off|on*", "off: all of the above that are on, but llvm; what is said of one of them counts"},
    {"baseline", "off|on*", "off: everything through LLVM, before it executes"},
    {"report", "FILE", "statistics at exit, as JSON"},
    {"symbols", "FILE", "names of guest functions, for -perfmap"}};

void read_number(JitOptions& jit, OptionList& list, const Number& number) {
  const auto text = list.take(number.name);
  if (!text) return;
  const auto value = parse_number(*text);
  if (!value || *value < number.first || *value > number.last) {
    throw OptionError(list.option(), fmt::format("{}='{}' is not a number from {} to {}", number.name, *text,
                                                 number.first, number.last));
  }
  number.set(jit, *value);
}

void read_switch(bool& value, OptionList& list, std::string_view name) {
  value = list.take_switch(name).value_or(value);
}

std::shared_ptr<const jit::GuestSymbols> read_symbols(const std::string& option, const std::string& file) {
  try {
    return std::make_shared<const jit::GuestSymbols>(jit::GuestSymbols::read(file));
  } catch (const std::runtime_error& error) {
    throw OptionError(option, fmt::format("symbols='{}': {}", file, error.what()));
  }
}

// Each that is on as a rule.
void switch_off(JitOptions& jit) {
  for (const Switch& each : kSwitches) each.value(jit) = each.name == "llvm";
  for (const jit::opt::Pass& pass : jit::opt::passes()) jit.passes.*pass.enabled = false;
}

std::string names() {
  std::string text;
  for (const Switch& each : kSwitches) text += fmt::format("{}, ", each.name);
  for (const jit::opt::Pass& pass : jit::opt::passes()) text += fmt::format("{}, ", pass.name);
  for (const Number& number : kNumbers) text += fmt::format("{}, ", number.name);
  for (const Other& other : kOthers) text += fmt::format("{}, ", other.name);
  return text + "thread and split-wx";
}

}  // namespace

void read_translator_settings(AcceleratorOptions& accelerator, OptionList& list) {
  JitOptions& jit = accelerator.jit;
  for (std::string_view of_qemu_without_effect : {"thread", "split-wx"}) list.take(of_qemu_without_effect);
  if (!list.take_switch("optimizations").value_or(true)) switch_off(jit);
  for (const Switch& each : kSwitches) read_switch(each.value(jit), list, each.name);
  for (const jit::opt::Pass& pass : jit::opt::passes()) read_switch(jit.passes.*pass.enabled, list, pass.name);
  for (const Number& number : kNumbers) read_number(jit, list, number);
  // Without the baseline whatever it would execute is compiled by LLVM first.
  if (!list.take_switch("baseline").value_or(true)) {
    jit.regions.wait = true;
    jit.regions.threshold = 1;
  }
  accelerator.report = list.take("report").value_or(accelerator.report);
  if (const auto file = list.take("symbols")) jit.symbols = read_symbols(list.option(), *file);
  list.finish(names());
}

std::string translator_help() {
  std::string text = "Settings of -accel jit (docs/translation.md):\n";
  const auto add = [&text](std::string_view name, std::string_view value, std::string_view meaning) {
    text += fmt::format("{:<32}{}\n", fmt::format("{}={}", name, value), meaning);
  };
  JitOptions standard;
  for (const Switch& each : kSwitches) add(each.name, each.value(standard) ? "off|on*" : "on|off*", each.meaning);
  for (const jit::opt::Pass& pass : jit::opt::passes()) add(pass.name, "off|on*", "pass over the intermediate code");
  for (const Number& number : kNumbers) add(number.name, "N", number.meaning);
  for (const Other& other : kOthers) add(other.name, other.value, other.meaning);
  return text;
}

}  // namespace calco::machine
