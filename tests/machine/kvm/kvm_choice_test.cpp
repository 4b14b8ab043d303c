// Whether KVM is used, and what is said where it is not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/kvm.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "machine/accel/engine_choice.h"
#include "machine/core/option_error.h"
#include "machine/options/command_line.h"
#include "tests/machine/kvm/kvm_fixture.h"
#include "tests/machine/monitored_machine.h"

namespace calco::machine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string file_with(const std::string& name, const std::string& text) {
  const std::string path = ::testing::TempDir() + "calco-" + name;
  std::ofstream(path) << text;
  return path;
}

TEST(KvmCapabilities, MissingDeviceIsExplained) {
  std::string reason;
  EXPECT_FALSE(open_kvm(reason, "/nonexistent/kvm"));
  EXPECT_THAT(reason, AllOf(HasSubstr("there is no /nonexistent/kvm"), HasSubstr("kvm_intel or kvm_amd")));
}

// Root may open everything.
class Nobody {
 public:
  Nobody() { changed_ = ::geteuid() == 0 && ::seteuid(kNobody) == 0; }
  ~Nobody() {
    if (changed_) EXPECT_EQ(::seteuid(0), 0);
  }

 private:
  static constexpr uid_t kNobody = 65534;
  bool changed_ = false;
};

TEST(KvmCapabilities, MissingPermissionNamesTheGroup) {
  const std::string path = file_with("forbidden", "");
  ASSERT_EQ(::chmod(path.c_str(), 0), 0);
  std::string reason;
  {
    const Nobody nobody;
    EXPECT_FALSE(open_kvm(reason, path.c_str()));
  }
  EXPECT_THAT(reason, AllOf(HasSubstr("no permission for " + path), HasSubstr("group kvm"),
                            HasSubstr("sudo usermod -aG kvm $USER")));
  ::unlink(path.c_str());
}

TEST(KvmCapabilities, MissingCapabilityIsNamed) {
  EXPECT_EQ(missing_capability([](int) { return 1; }), "");
  EXPECT_THAT(missing_capability([](int number) { return number != KVM_CAP_SREGS2; }),
              AllOf(HasSubstr("lacks KVM_CAP_SREGS2"), HasSubstr("5.16")));
}

TEST(KvmCapabilities, AnotherDeviceIsRefused) {
  std::string reason;
  EXPECT_FALSE(open_kvm(reason, "/dev/null"));
  EXPECT_THAT(reason, HasSubstr("does not speak version 12"));
}

TEST(KvmCapabilities, ProcessorThatVirtualizesIsRecognized) {
  EXPECT_TRUE(host_virtualizes(file_with("vmx", "processor\t: 0\nflags\t\t: fpu vmx sse\n").c_str()));
  EXPECT_TRUE(host_virtualizes(file_with("svm", "flags\t\t: fpu svm\n").c_str()));
  EXPECT_FALSE(host_virtualizes(file_with("none", "flags\t\t: fpu svme avmx\n").c_str()));
  EXPECT_FALSE(host_virtualizes("/nonexistent/cpuinfo"));
}

std::string refusal(std::vector<const char*> options) {
  Log log;
  try {
    choose_engine(parse_command_line(options).config, log, {});
  } catch (const OptionError& error) {
    return error.what();
  }
  return {};
}

std::string engine(std::vector<const char*> options) {
  Log log;
  return std::string(choose_engine(parse_command_line(options).config, log, {}).engine->name());
}

TEST(EngineChoice, FirstOneThatWorksIsTaken) {
  EXPECT_EQ(engine({"-nographic", "-accel", "interp", "-accel", "kvm"}), "interp");
  const std::string expected = kvm_is_there() ? "kvm" : "interp";
  EXPECT_EQ(engine({"-nographic", "-accel", "kvm", "-accel", "interp"}), expected);
  EXPECT_EQ(engine({"-nographic", "-machine", "accel=kvm:interp"}), expected);
}

TEST(EngineChoice, AutoTakesKvmOnHardwareOnly) {
  const bool usable = kvm_is_there() && host_virtualizes();
  EXPECT_EQ(engine({"-nographic"}), usable ? "kvm" : "jit");
}

TEST(EngineChoice, HostProcessorNeedsKvm) {
  EXPECT_THAT(refusal({"-nographic", "-accel", "interp", "-cpu", "host"}),
              AllOf(HasSubstr("-cpu: 'host'"), HasSubstr("max")));
}

TEST(KvmMachine, FirmwareRunsAndEndsTheMachine) {
  CALCO_NEEDS_KVM();
  // mov al,21; out f4h,al; hlt
  MonitoredMachine machine({0xB0, 0x15, 0xE6, 0xF4, 0xF4}, {"-accel", "kvm", "-device", "isa-debug-exit,iobase=0xf4"});
  EXPECT_EQ(machine.status(), 0x15 << 1 | 1);
}

TEST(KvmMachine, ResetBeginsAgainWithMemoryKept) {
  CALCO_NEEDS_KVM();
  // xor ax,ax; mov ds,ax; inc byte [0x500]; mov al,[0x500]; cmp al,2; je exit; mov al,6; mov dx,0xcf9; out dx,al; hlt
  // exit: out 0xf4,al; hlt
  MonitoredMachine machine({0x31, 0xC0, 0x8E, 0xD8, 0xFE, 0x06, 0x00, 0x05, 0xA0, 0x00, 0x05, 0x3C, 0x02,
                            0x74, 0x07, 0xB0, 0x06, 0xBA, 0xF9, 0x0C, 0xEE, 0xF4, 0xE6, 0xF4, 0xF4},
                           {"-accel", "kvm", "-device", "isa-debug-exit,iobase=0xf4"});
  EXPECT_EQ(machine.status(), 2 << 1 | 1);
}

TEST(KvmMachine, EveryWayOfTheInterruptControllersRuns) {
  CALCO_NEEDS_KVM();
  for (const char* engine : {"kvm,kernel-irqchip=off", "kvm,kernel-irqchip=split", "kvm,kernel-irqchip=on"}) {
    // The 8254's counter 0 in mode 2 wakes the processor by IRQ 0, vector 8: its handler ends the machine.
    // xor ax,ax; mov ds,ax; mov ss,ax; mov sp,7000h; mov word [20h],handler; mov [22h],cs; the 8259 (11h,8,4,1; mask
    // FEh); mov al,34h; out 43h,al; xor al,al; out 40h,al; out 40h,al; l: sti; hlt; jmp l;
    // handler: mov al,21; out f4h,al
    MonitoredMachine machine(
        {0x31, 0xC0, 0x8E, 0xD8, 0x8E, 0xD0, 0xBC, 0x00, 0x70, 0xC7, 0x06, 0x20, 0x00, 0x3A, 0x00, 0x8C,
         0x0E, 0x22, 0x00, 0xB0, 0x11, 0xE6, 0x20, 0xB0, 0x08, 0xE6, 0x21, 0xB0, 0x04, 0xE6, 0x21, 0xB0,
         0x01, 0xE6, 0x21, 0xB0, 0xFE, 0xE6, 0x21, 0xB0, 0x34, 0xE6, 0x43, 0x30, 0xC0, 0xE6, 0x40, 0xE6,
         0x40, 0xFB, 0xF4, 0xEB, 0xFC, 0x90, 0x90, 0x90, 0x90, 0x90, 0xB0, 0x15, 0xE6, 0xF4},
        {"-accel", engine, "-device", "isa-debug-exit,iobase=0xf4"});
    ASSERT_TRUE(machine.ended()) << engine;
    EXPECT_EQ(machine.status(), 0x15 << 1 | 1) << engine;
  }
}

TEST(KvmMachine, HostProcessorModelRuns) {
  CALCO_NEEDS_KVM();
  MonitoredMachine machine({0xB0, 0x01, 0xE6, 0xF4, 0xF4},
                           {"-accel", "kvm", "-cpu", "host", "-smp", "2", "-device", "isa-debug-exit,iobase=0xf4"});
  EXPECT_EQ(machine.status(), 3);
}

TEST(KvmMachine, HasNoStatisticsOfATranslator) {
  CALCO_NEEDS_KVM();
  const std::string path = MonitoredMachine::path("kvm-monitor");
  MonitoredMachine guest({0xEB, 0xFE}, {"-accel", "kvm", "-monitor", "unix:" + path + ",server=on,wait=off"});
  SocketClient client(path);
  client.receive_until("(calco) ");
  client.send("info jit\n");
  EXPECT_THAT(client.receive_until("(calco) "), HasSubstr("JIT information is only available with accel=jit\r\n"));
}

TEST(KvmMachine, PausesAndGoesOnInALoop) {
  CALCO_NEEDS_KVM();
  // xor eax,eax; l: inc eax; jmp l
  MonitoredMachine guest({0x66, 0x31, 0xC0, 0x66, 0x40, 0xEB, 0xFC}, {"-accel", "kvm"});
  std::promise<std::pair<uint64_t, uint64_t>> counts;
  guest.machine().post([&] {
    Machine& machine = guest.machine();
    const auto count = [&machine] {
      uint64_t value = 0;
      machine.while_paused([&] { value = machine.board().processors[0]->registers[cpu::kRax]; });
      return value;
    };
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const uint64_t first = count();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    counts.set_value({first, count()});
  });
  const auto [first, second] = counts.get_future().get();
  EXPECT_GT(first, 0u);
  EXPECT_GT(second, first);
}

}  // namespace
}  // namespace calco::machine
