// What a CPU model offers is executed.
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "cpu/decode/instruction.h"
#include "cpu/exec/handlers.h"
#include "cpu/system/cpu_model.h"
#include "tests/cpu/opcode_space.h"

namespace calco::cpu {
namespace {

using decode::CodeSize;

TEST(Lowering, EveryInstructionOfTheMaximumModelHasAHandler) {
  const CpuModel model = CpuModel::parse("max");
  std::set<std::string> missing;
  for (const CodeSize code_size : {CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64}) {
    decode::for_each_legacy_case(code_size, [&](const decode::CaseBytes& bytes) {
      decode::Instruction instruction;
      if (decode::decode(bytes, code_size, model.features(), instruction) != decode::Status::Ok) return;
      Op op{.handler = nullptr};
      if (lower(instruction, 0, op).handler == nullptr) missing.emplace(decode::name(instruction.mnemonic));
    });
  }
  // Those that exist to be undefined.
  for (const char* undefined : {"ud0", "ud1", "ud2"}) missing.erase(undefined);
  EXPECT_EQ(missing, std::set<std::string>());
}

}  // namespace
}  // namespace calco::cpu
