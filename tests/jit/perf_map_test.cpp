#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "tests/jit/jit_fixture.h"

namespace calco::jit {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

std::string perf_map_path() { return fmt::format("/tmp/perf-{}.map", getpid()); }

// What is in the file after a guest's block at JitFixture::kCode was translated.
std::string perf_map_of_one_block(std::shared_ptr<const GuestSymbols> symbols) {
  JitFixture fixture({.threshold = 1, .perf_map = true, .symbols = std::move(symbols)});
  GuestCode code;
  code.inc(Xbyak::util::eax);
  code.hlt();
  fixture.load(code);
  fixture.run();
  std::ifstream file(perf_map_path());
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  unlink(perf_map_path().c_str());
  return text;
}

TEST(PerfMap, NamesTranslationsByGuestAddress) {
  const std::string map = perf_map_of_one_block(nullptr);
  EXPECT_THAT(map, ContainsRegex("[0-9a-f]+ [0-9a-f]+ calco entries\n"));
  EXPECT_THAT(map, ContainsRegex(fmt::format("[0-9a-f]+ [0-9a-f]+ guest {:#x} baseline\n", JitFixture::kCode)));
}

TEST(PerfMap, NamesTranslationsByGuestFunction) {
  const auto symbols = GuestSymbols::parse(fmt::format("{:x} T start_kernel\n", JitFixture::kCode - 4));
  EXPECT_THAT(perf_map_of_one_block(std::make_shared<GuestSymbols>(symbols)),
              HasSubstr(" start_kernel+0x4 baseline\n"));
}

}  // namespace
}  // namespace calco::jit
