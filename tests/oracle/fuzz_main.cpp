// calco-fuzz: random instructions on the host and in the interpreter, until somebody presses Ctrl-C or --count is
// reached.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tests/oracle/excluded_rows.h"
#include "tests/oracle/generator.h"
#include "tests/oracle/minimize.h"
#include "tests/oracle/oracle.h"

namespace calco::oracle {
namespace {

struct Arguments {
  uint64_t count = 1'000'000;
  uint64_t first = 0;
  unsigned reports = 10;  // at most so many in full
  bool coverage = false;
  bool minimize = false;
  Tier tier = Tier::Interpreter;
  GeneratorOptions generator;
};

[[noreturn]] void usage() {
  fmt::print(
      "calco-fuzz [--count N] [--seed S] [--first CASE] [--rows MNEMONIC] [--blocks LENGTH] [--reports N] [--only16] "
      "[--only32]\n"
      "           [--only64] [--undefined] [--coverage] [--minimize] [--x87 PERCENT]\n"
      "           [--tier "
      "interpreter|ir|optimized-ir|baseline|llvm]\n");
  std::exit(2);
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--only32") {
      arguments.generator.code = GeneratorOptions::Code::Only32;
    } else if (name == "--only16") {
      arguments.generator.code = GeneratorOptions::Code::Only16;
    } else if (name == "--only64") {
      arguments.generator.code = GeneratorOptions::Code::Only64;
    } else if (name == "--undefined") {
      arguments.generator.compare_undefined_flags = true;
    } else if (name == "--minimize") {
      arguments.minimize = true;
    } else if (name == "--coverage") {
      arguments.coverage = true;
    } else if (++i >= argc) {
      usage();
    } else if (name == "--tier") {
      const std::optional<Tier> tier = tier_of(argv[i]);
      if (!tier) usage();
      arguments.tier = *tier;
    } else if (name == "--rows") {
      arguments.generator.mnemonic = argv[i];
    } else {
      const uint64_t number = std::strtoull(argv[i], nullptr, 0);
      if (name == "--count") {
        arguments.count = number;
      } else if (name == "--seed") {
        arguments.generator.seed = number;
      } else if (name == "--first") {
        arguments.first = number;
      } else if (name == "--blocks") {
        arguments.generator.block_length = static_cast<unsigned>(number);
      } else if (name == "--x87") {
        arguments.generator.x87_percent = static_cast<unsigned>(number);
      } else if (name == "--reports") {
        arguments.reports = static_cast<unsigned>(number);
      } else {
        usage();
      }
    }
  }
  return arguments;
}

void print_coverage(const Oracle& oracle, const Generator& generator) {
  size_t generated = 0;
  std::map<std::string, std::string> missing;
  for (size_t i = 0; i < decode::rows().size(); ++i) {
    const decode::Row& row = decode::rows()[i];
    if (generator.coverage()[i] != 0) {
      ++generated;
    } else {
      const char* reason = reason_for_exclusion(row, oracle.features());
      auto& list = missing[reason != nullptr ? reason : "NOT REACHED"];
      list += "\n    " + decode::describe(row);
    }
  }
  fmt::print("{} of {} rows generated\n", generated, decode::rows().size());
  for (const auto& [reason, list] : missing) fmt::print("  {}:{}\n", reason, list);
}

// True where some row of this mnemonic can be tested; the empty name stands for all.
bool can_be_generated(std::string_view mnemonic, const decode::FeatureSet& features) {
  if (mnemonic.empty()) return true;
  return std::ranges::any_of(decode::rows(), [&](const decode::Row& row) {
    return decode::name(row.mnemonic) == mnemonic && reason_for_exclusion(row, features) == nullptr;
  });
}

int fuzz(Arguments arguments) {
  Oracle oracle(arguments.tier);
  arguments.generator.features = oracle.features();
  if (!can_be_generated(arguments.generator.mnemonic, oracle.features())) {
    fmt::print(stderr,
               "calco-fuzz: --rows: no test can be made for '{}'; names are those of cpu/decode/mnemonics.inc\n",
               arguments.generator.mnemonic);
    return 1;
  }
  Generator generator(arguments.generator);
  const auto start = std::chrono::steady_clock::now();
  std::map<std::string, uint64_t> summaries;
  uint64_t differences = 0;
  for (uint64_t number = arguments.first; number < arguments.first + arguments.count; ++number) {
    const TestCase test = generator.make(number);
    auto difference = oracle.run(test);
    if (!difference) continue;
    ++differences;
    if (arguments.minimize && differences <= arguments.reports) difference = oracle.run(minimized(oracle, test));
    if (!difference) continue;  // it depended on what was executed before
    ++summaries[difference->summary.substr(0, difference->summary.find(' '))];
    if (differences > arguments.reports) continue;
    fmt::print("seed {} case {}: {}\n{}\n", arguments.generator.seed, number, difference->summary, difference->report);
    std::fflush(stdout);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  for (const auto& [name, times] : summaries) fmt::print("{:8} {}\n", times, name);
  fmt::print("{} cases, {} differences, {:.1f} s, {:.0f} cases/s\n", arguments.count, differences, seconds.count(),
             static_cast<double>(arguments.count) / seconds.count());
  if (arguments.coverage) print_coverage(oracle, generator);
  return differences == 0 ? 0 : 1;
}

}  // namespace
}  // namespace calco::oracle

int main(int argc, char** argv) {
  try {
    return calco::oracle::fuzz(calco::oracle::parse(argc, argv));
  } catch (const std::exception& error) {
    fmt::print(stderr, "calco-fuzz: {}\n", error.what());
    return 1;
  }
}
