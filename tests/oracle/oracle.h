// Runs tests on both processors and finds where they disagree.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/oracle/interpreter_cpu.h"
#include "tests/oracle/native_cpu.h"
#include "tests/oracle/test_case.h"

namespace calco::oracle {

// What there is to say about a disagreement.
struct Difference {
  std::string summary;  // one line: first instruction and the fields that differ
  std::string report;   // listing, both states with the differing fields marked, memory
};

class Oracle {
 public:
  explicit Oracle(Tier tier = Tier::Interpreter, LlvmLevel level = LlvmLevel::Full);

  // Runs the test; nothing where both processors agree.
  std::optional<Difference> run(const TestCase& test);

  const decode::FeatureSet& features() const { return interpreter_.features(); }

 private:
  void prepare(const TestCase& test, const std::vector<uint8_t>& code);
  void prepare_host(const TestCase& test, const std::vector<uint8_t>& code);
  void rehearse(const TestCase& test);
  bool agree(const TestCase& test);
  void ask_host_again(const TestCase& test, const std::vector<uint8_t>& code);
  void clean_up(uint64_t address, size_t size);
  void fill_data(uint64_t seed);

  InterpreterCpu interpreter_;
  NativeCpu native_;
  uint64_t data_seed_ = 0;
  std::vector<uint8_t> clean_data_, clean_code_;
  std::unique_ptr<Outcome> host_ = std::make_unique<Outcome>(), interpreted_ = std::make_unique<Outcome>();
};

}  // namespace calco::oracle
