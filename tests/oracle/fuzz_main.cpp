// calco-fuzz: random instructions on the host and in the interpreter, until somebody presses Ctrl-C, --count is
// reached or --seconds are over.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "tests/oracle/excluded_rows.h"
#include "tests/oracle/fuzz_jobs.h"
#include "tests/oracle/generator.h"
#include "tests/oracle/minimize.h"
#include "tests/oracle/oracle.h"

namespace calco::oracle {
namespace {

struct Arguments {
  uint64_t count = 1'000'000;
  uint64_t first = 0;
  uint64_t seconds = 0;   // 0: as long as it takes
  unsigned reports = 10;  // at most so many in full, of each process
  unsigned jobs = 1;
  bool coverage = false;
  bool minimize = false;
  Tier tier = Tier::Interpreter;
  LlvmLevel level = LlvmLevel::Full;
  GeneratorOptions generator;
};

[[noreturn]] void usage() {
  fmt::print(
      "calco-fuzz [--count N] [--seconds N] [--jobs PROCESSES] [--seed S] [--first CASE] [--rows MNEMONIC]\n"
      "           [--blocks LENGTH] [--reports N] [--only16] [--only32] [--only64] [--undefined] [--coverage]\n"
      "           [--minimize] [--x87 PERCENT] [--tier interpreter|ir|optimized-ir|baseline|llvm|regions]\n"
      "           [--llvm-level full|quick]\n");
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
    } else if (name == "--llvm-level") {
      const std::optional<LlvmLevel> level = llvm_level_of(argv[i]);
      if (!level) usage();
      arguments.level = *level;
    } else if (name == "--rows") {
      arguments.generator.mnemonic = argv[i];
    } else {
      const uint64_t number = std::strtoull(argv[i], nullptr, 0);
      if (name == "--count") {
        arguments.count = number;
      } else if (name == "--seconds") {
        arguments.seconds = number;
      } else if (name == "--jobs") {
        arguments.jobs = static_cast<unsigned>(number);
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
  // Each process knows its own coverage only.
  if (arguments.coverage && arguments.jobs > 1) usage();
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

using Clock = std::chrono::steady_clock;

// Reports a disagreement in full, as long as there are not too many.
void note(Oracle& oracle, const Arguments& arguments, const TestCase& test, uint64_t number, Difference difference,
          Tally& tally) {
  ++tally.differences;
  const bool in_full = tally.differences <= arguments.reports;
  if (in_full && arguments.minimize) {
    std::optional<Difference> smaller = oracle.run(minimized(oracle, test));
    if (!smaller) return;  // it depended on what was executed before
    difference = std::move(*smaller);
  }
  ++tally.summaries[difference.summary.substr(0, difference.summary.find(' '))];
  if (!in_full) return;
  fmt::print("seed {} case {}: {}\n{}\n", arguments.generator.seed, number, difference.summary, difference.report);
  std::fflush(stdout);
}

// Takes numbers until there are no more, or the time is over.
Tally fuzz_some(Arguments arguments, CaseNumbers& numbers, Clock::time_point end) {
  Oracle oracle(arguments.tier, arguments.level);
  arguments.generator.features = oracle.features();
  if (!can_be_generated(arguments.generator.mnemonic, oracle.features())) {
    throw std::runtime_error(
        fmt::format("--rows: no test can be made for '{}'; names are those of cpu/decode/mnemonics.inc",
                    arguments.generator.mnemonic));
  }
  Generator generator(arguments.generator);
  Tally tally;
  while (Clock::now() < end) {
    const CaseNumbers::Range range = numbers.take();
    if (range.first >= range.end) break;
    for (uint64_t number = range.first; number < range.end; ++number, ++tally.cases) {
      const TestCase test = generator.make(number);
      if (auto difference = oracle.run(test)) note(oracle, arguments, test, number, std::move(*difference), tally);
    }
  }
  if (arguments.coverage) print_coverage(oracle, generator);
  return tally;
}

int fuzz(const Arguments& arguments) {
  CaseNumbers numbers(arguments.first, arguments.count);
  const auto start = Clock::now();
  const auto end = arguments.seconds != 0 ? start + std::chrono::seconds(arguments.seconds) : Clock::time_point::max();
  const Tally tally = run_jobs(arguments.jobs, [&] { return fuzz_some(arguments, numbers, end); });
  const std::chrono::duration<double> seconds = Clock::now() - start;
  for (const auto& [name, times] : tally.summaries) fmt::print("{:8} {}\n", times, name);
  fmt::print("{} cases, {} differences, {:.1f} s, {:.0f} cases/s\n", tally.cases, tally.differences, seconds.count(),
             static_cast<double>(tally.cases) / seconds.count());
  if (numbers.next() < arguments.first + arguments.count) fmt::print("go on with --first {}\n", numbers.next());
  return tally.complete && tally.differences == 0 ? 0 : 1;
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
