// Makes tests from the rows of the decoder's table.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cpu/decode/row.h"
#include "tests/oracle/random.h"
#include "tests/oracle/test_case.h"

namespace calco::oracle {

struct GeneratorOptions {
  uint64_t seed = 1;
  unsigned block_length = 1;
  std::string mnemonic = {};  // only rows of this mnemonic, or all
  decode::FeatureSet features = {};
  bool compare_undefined_flags = false;
  unsigned x87_percent = 0;  // share of x87 instructions beside those that are drawn among all rows
  enum class Code : uint8_t { All, Only64, Only32, Only16 } code = Code::All;
};

class Generator {
 public:
  explicit Generator(GeneratorOptions options);

  // The test of that number; the same whenever it is asked for.
  TestCase make(uint64_t number);

  // Tests made of each row of decode::rows(), in its order.
  const std::vector<uint64_t>& coverage() const { return coverage_; }

 private:
  bool wanted(const decode::Row& row) const;

  GeneratorOptions options_;
  std::vector<const decode::Row*> rows_64_, rows_32_, rows_x87_;
  std::vector<uint64_t> coverage_;
};

}  // namespace calco::oracle
