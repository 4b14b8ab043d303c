// Whole machines with a firmware of a few bytes.
#include "machine/machine.h"

#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <initializer_list>
#include <string>
#include <vector>

#include "machine/core/option_error.h"
#include "machine/options/command_line.h"
#include "machine/pc/preparation.h"

namespace calco::machine {
namespace {

// A 64 KiB firmware whose reset vector jumps to `code` at its beginning.
std::string firmware(const std::string& name, std::initializer_list<uint8_t> code) {
  std::vector<uint8_t> image(64 << 10, 0xF4);
  std::copy(code.begin(), code.end(), image.begin());
  constexpr uint8_t kJump[] = {0xE9, 0x0D, 0x00};  // from F000:FFF0 to F000:0000
  std::copy(std::begin(kJump), std::end(kJump), image.end() - 16);
  const std::string path = ::testing::TempDir() + "calco-firmware-" + name;
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
  return path;
}

std::unique_ptr<Machine> build(const std::string& bios, std::vector<const char*> options = {}) {
  std::vector<const char*> arguments = {
      "-m", "2", "-nodefaults", "-bios", bios.c_str(), "-device", "isa-debug-exit,iobase=0xf4"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  return std::make_unique<Machine>(prepare_pc(parse_command_line(arguments).config));
}

TEST(Machine, DebugExitEndsItWithItsStatus) {
  // mov al, 21; out 0xf4, al; hlt
  EXPECT_EQ(build(firmware("exit", {0xB0, 0x15, 0xE6, 0xF4, 0xF4}))->run(), 0x15 << 1 | 1);
}

TEST(Machine, ResetPortBeginsAgainWithMemoryKept) {
  // A counter at 0:500 tells the second round from the first.
  // xor ax,ax; mov ds,ax; inc byte [0x500]; mov al,[0x500]; cmp al,2; je exit; mov al,6; mov dx,0xcf9; out dx,al; hlt
  // exit: out 0xf4,al; hlt
  EXPECT_EQ(build(firmware("reset", {0x31, 0xC0, 0x8E, 0xD8, 0xFE, 0x06, 0x00, 0x05, 0xA0, 0x00, 0x05, 0x3C, 0x02,
                                     0x74, 0x07, 0xB0, 0x06, 0xBA, 0xF9, 0x0C, 0xEE, 0xF4, 0xE6, 0xF4, 0xF4}))
                ->run(),
            2 << 1 | 1);
}

TEST(Machine, TripleFaultEndsItWithNoReboot) {
  // lidt with an empty table (all zero at 0:0), then int3.
  const std::string bios = firmware("triple", {0x31, 0xC0, 0x8E, 0xD8, 0x0F, 0x01, 0x1E, 0x00, 0x06, 0xCC});
  EXPECT_EQ(build(bios, {"-no-reboot"})->run(), 0);
}

TEST(Machine, IsToldToEndFromAnotherThread) {
  const auto machine = build(firmware("loop", {0xEB, 0xFE}));
  auto status = std::async(std::launch::async, [&] { return machine->run(); });
  machine->request_exit(7);
  EXPECT_EQ(status.get(), 7);
}

TEST(Machine, TwoLiveInOneProcess) {
  const auto first = build(firmware("first", {0xB0, 0x01, 0xE6, 0xF4, 0xF4}));
  const auto second = build(firmware("second", {0xB0, 0x02, 0xE6, 0xF4, 0xF4}), {"-smp", "2"});
  auto first_status = std::async(std::launch::async, [&] { return first->run(); });
  EXPECT_EQ(second->run(), 5);
  EXPECT_EQ(first_status.get(), 3);
}

TEST(Machine, OnlyTranslatedCodeOfOneProcessorIsCompared) {
  const std::string bios = firmware("compared", {0xB0, 0x01, 0xE6, 0xF4, 0xF4});
  EXPECT_EQ(build(bios, {"-d", "cosim", "-accel", "jit"})->run(), 3);
  EXPECT_THROW(build(bios, {"-d", "cosim", "-accel", "jit", "-smp", "2"}), OptionError);
  EXPECT_THROW(build(bios, {"-d", "cosim", "-accel", "interp"}), OptionError);
}

TEST(Machine, ProcessorsStayPausedWithS) {
  const auto machine = build(firmware("paused", {0xB0, 0x01, 0xE6, 0xF4, 0xF4}), {"-S"});
  auto status = std::async(std::launch::async, [&] { return machine->run(); });
  EXPECT_EQ(status.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  machine->request_exit(0);
  EXPECT_EQ(status.get(), 0);
}

}  // namespace
}  // namespace calco::machine
