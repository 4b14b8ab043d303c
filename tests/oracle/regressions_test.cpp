// Every disagreement that was ever found, by name.
#include <gtest/gtest.h>

#include "tests/oracle/oracle.h"
#include "tests/oracle/regressions/regression.h"
#include "tests/oracle/report.h"

namespace calco::oracle {
namespace {

class RegressionTest : public testing::TestWithParam<Regression> {};

TEST_P(RegressionTest, InterpreterAgreesWithTheHost) {
  Oracle oracle;
  const auto difference = oracle.run(as_test_case(GetParam()));
  EXPECT_FALSE(difference.has_value()) << difference->summary << "\n" << difference->report;
}

TEST_P(RegressionTest, BaselineAgreesWithTheHost) {
  Oracle oracle(Tier::Baseline);
  const auto difference = oracle.run(as_test_case(GetParam()));
  EXPECT_FALSE(difference.has_value()) << difference->summary << "\n" << difference->report;
}

TEST_P(RegressionTest, RegionsAgreeWithTheHost) {
  Oracle oracle(Tier::Regions);
  const auto difference = oracle.run(as_test_case(GetParam()));
  EXPECT_FALSE(difference.has_value()) << difference->summary << "\n" << difference->report;
}

INSTANTIATE_TEST_SUITE_P(Oracle, RegressionTest, testing::ValuesIn(regressions().begin(), regressions().end()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace calco::oracle
