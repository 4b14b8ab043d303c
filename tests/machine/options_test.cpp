#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "machine/core/log.h"
#include "machine/core/option_error.h"
#include "machine/options/command_line.h"
#include "machine/options/option_values.h"

namespace calco::machine {
namespace {

using devices::CharacterSpec;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A character device that leads to this kind of target.
template <typename Target>
auto Leads() {
  return ::testing::Field(&CharacterSpec::target, ::testing::VariantWith<Target>(::testing::_));
}

CommandLine parse(const std::vector<const char*>& arguments) { return parse_command_line(arguments); }
MachineConfig config(const std::vector<const char*>& arguments) { return parse(arguments).config; }

// What the user is told, or an empty text where the command line was accepted.
std::string error(const std::vector<const char*>& arguments) {
  try {
    parse_command_line(arguments);
  } catch (const OptionError& refusal) {
    return refusal.what();
  }
  return {};
}

TEST(OptionValues, SizesTakeUnitsAndFractions) {
  EXPECT_EQ(parse_size("512", 1 << 20), 512ull << 20);
  EXPECT_EQ(parse_size("2G", 1 << 20), 2ull << 30);
  EXPECT_EQ(parse_size("1.5g", 1), 3ull << 29);
  EXPECT_EQ(parse_size("64KiB", 1 << 20), 64ull << 10);
  EXPECT_EQ(parse_size("7b", 1 << 20), 7u);
  EXPECT_EQ(parse_size("0x10", 1), 16u);
}

TEST(OptionValues, NonsenseSizesAreRefused) {
  for (const char* text : {"", "12Q", "G", "-1", "1GG", "nan", "inf", "1e9", "99999999999999999999", "9999999999T"}) {
    EXPECT_EQ(parse_size(text, 1 << 20), std::nullopt) << text;
  }
}

TEST(OptionValues, DoubledCommasBelongToTheValue) {
  OptionList list("-x", "file=a,,b,size=1");
  EXPECT_EQ(list.take("file"), "a,b");
  EXPECT_EQ(list.take_number("size", 9), 1u);
  EXPECT_TRUE(list.empty());
}

TEST(CommandLine, EmptyOneGivesTheDefaultMachine) {
  const MachineConfig machine = config({});
  EXPECT_EQ(machine.memory_size, 128ull << 20);
  EXPECT_EQ(machine.topology.processors, 1u);
  EXPECT_EQ(machine.cpu, "qemu64");
  EXPECT_THAT(machine.serial, ElementsAre(Leads<CharacterSpec::Null>()));
  EXPECT_TRUE(machine.acpi && machine.hpet && machine.reboot && machine.shutdown && machine.start_running);
}

TEST(CommandLine, OneAndTwoDashesMeanTheSame) {
  EXPECT_EQ(config({"-m", "1G"}).memory_size, 1ull << 30);
  EXPECT_EQ(config({"--m", "size=1G"}).memory_size, 1ull << 30);
}

TEST(CommandLine, MachineProperties) {
  const MachineConfig machine = config({"-M", "pc,accel=interp,hpet=off,smm=off,acpi=off"});
  EXPECT_FALSE(machine.hpet || machine.smm || machine.acpi);
  EXPECT_FALSE(config({"-machine", "type=pc", "-no-hpet"}).hpet);
}

TEST(CommandLine, ProcessorTopologyIsCompleted) {
  const ProcessorTopology flat = config({"-smp", "4"}).topology;
  EXPECT_EQ(std::tuple(flat.processors, flat.maximum, flat.sockets, flat.cores, flat.threads),
            std::tuple(4u, 4u, 1u, 4u, 1u));
  const ProcessorTopology tall = config({"-smp", "cpus=4,sockets=2,threads=2"}).topology;
  EXPECT_EQ(std::tuple(tall.processors, tall.maximum, tall.sockets, tall.cores, tall.threads),
            std::tuple(4u, 4u, 2u, 1u, 2u));
  const ProcessorTopology product = config({"-smp", "sockets=2,cores=4,threads=2"}).topology;
  EXPECT_EQ(std::tuple(product.processors, product.maximum), std::tuple(16u, 16u));
  const ProcessorTopology partial = config({"-smp", "2,maxcpus=8"}).topology;
  EXPECT_EQ(std::tuple(partial.processors, partial.maximum, partial.cores), std::tuple(2u, 8u, 8u));
}

TEST(CommandLine, NographicPutsTheFirstSerialPortOnTheTerminal) {
  const MachineConfig machine = config({"-nographic"});
  EXPECT_FALSE(machine.graphics);
  EXPECT_THAT(machine.serial, ElementsAre(Leads<CharacterSpec::Stdio>()));
  EXPECT_TRUE(machine.serial[0].with_monitor);
  EXPECT_THAT(config({"-nographic", "-serial", "file:x", "-serial", "null"}).serial,
              ElementsAre(Leads<CharacterSpec::File>(), Leads<CharacterSpec::Null>()));
  EXPECT_THAT(config({"-nographic", "-nodefaults"}).serial, IsEmpty());
}

TEST(CommandLine, MonitorsAreForPeopleOrForPrograms) {
  const MachineConfig machine = config({"-monitor", "stdio", "-qmp-pretty", "null", "-chardev", "null,id=c", "-mon",
                                        "chardev=c,mode=control", "-qmp", "none"});
  EXPECT_THAT(machine.monitors,
              ElementsAre(Field(&MonitorOptions::control, false),
                          AllOf(Field(&MonitorOptions::control, true), Field(&MonitorOptions::pretty, true)),
                          AllOf(Field(&MonitorOptions::control, true), Field(&MonitorOptions::pretty, false))));
}

TEST(CommandLine, MonitorElsewhereLeavesTheTerminalToTheSerialPort) {
  EXPECT_FALSE(config({"-nographic", "-monitor", "none"}).serial[0].with_monitor);
  EXPECT_TRUE(config({"-nographic", "-qmp", "null"}).serial[0].with_monitor);
}

TEST(CommandLine, DebugConsoleAnswersAtBothConventionalPortsUnlessOneIsNamed) {
  EXPECT_THAT(config({"-debugcon", "stdio"}).debug_console->ports, ElementsAre(0x402, 0xE9));
  EXPECT_THAT(config({"-debugcon", "stdio", "-global", "isa-debugcon.iobase=0x402"}).debug_console->ports,
              ElementsAre(0x402));
  const MachineConfig device =
      config({"-chardev", "file,id=log,path=x", "-device", "isa-debugcon,iobase=0x402,chardev=log"});
  EXPECT_EQ(std::get<CharacterSpec::Reference>(device.debug_console->backend.target).id, "log");
  EXPECT_THAT(device.debug_console->ports, ElementsAre(0x402));
  EXPECT_EQ(std::get<CharacterSpec::File>(device.character_devices.at(0).target).path, "x");
}

TEST(CommandLine, DebuggerIsWaitedForByAServer) {
  const MachineConfig by_default = config({"-s"});
  const auto& line = std::get<devices::SocketOptions>(by_default.debugger.value().target);
  EXPECT_EQ(line.address.port, "1234");
  EXPECT_TRUE(line.server);
  EXPECT_FALSE(line.wait);
  EXPECT_THAT(config({"-gdb", "unix:/tmp/gdb"}).debugger.value(), Leads<devices::SocketOptions>());
  EXPECT_FALSE(config({"-s", "-gdb", "none"}).debugger);
}

TEST(CommandLine, Devices) {
  const MachineConfig machine = config({"-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-device", "pc-testdev",
                                        "-device", "pci-testdev,membar=64k"});
  EXPECT_EQ(machine.debug_exit->base, 0xF4);
  EXPECT_EQ(machine.debug_exit->size, 4);
  EXPECT_TRUE(machine.pc_test_device);
  EXPECT_EQ(machine.pci_test_devices.at(0).memory_bar_size, 65536u);
}

TEST(CommandLine, KernelAndFirmwareFiles) {
  const MachineConfig machine = config({"-kernel", "k", "-initrd", "i", "-append", "console=ttyS0,115200", "-fw_cfg",
                                        "name=opt/x,string=a,,b", "-fw_cfg", "opt/y,file=f", "-bios", "b", "-L", "d"});
  EXPECT_EQ(machine.command_line, "console=ttyS0,115200");
  EXPECT_EQ(machine.firmware_files.at(0).string, "a,b");
  EXPECT_EQ(machine.firmware_files.at(1).name, "opt/y");
  EXPECT_EQ(machine.firmware_files.at(1).file, "f");
  EXPECT_THAT(machine.firmware_directories, ElementsAre("d"));
}

TEST(CommandLine, LogItems) {
  const MachineConfig machine = config({"-d", "int,guest_errors", "-D", "log"});
  EXPECT_EQ(machine.log_items,
            static_cast<uint32_t>(LogItem::Interrupts) | static_cast<uint32_t>(LogItem::GuestErrors));
  EXPECT_EQ(machine.log_file, "log");
}

TEST(CommandLine, RtcBase) {
  EXPECT_EQ(config({"-rtc", "base=localtime"}).rtc_base, RtcBase::LocalTime);
  EXPECT_EQ(config({"-rtc", "base=1970-01-02T00:00:01,clock=vm"}).rtc_start, 86401);
}

std::vector<std::string> accelerators(std::vector<const char*> options) {
  std::vector<std::string> names;
  for (const AcceleratorOptions& accelerator : config(std::move(options)).accelerators)
    names.push_back(accelerator.name);
  return names;
}

TEST(CommandLine, AcceleratorsAreListedInTheOrderOfPreference) {
  EXPECT_THAT(accelerators({"-accel", "kvm", "-accel", "tcg", "-nographic"}), ElementsAre("kvm", "tcg"));
  EXPECT_THAT(accelerators({"-M", "pc,accel=kvm:interp", "-nographic"}), ElementsAre("kvm", "interp"));
  EXPECT_THAT(accelerators({"-enable-kvm", "-nographic"}), ElementsAre("kvm"));
  EXPECT_THAT(accelerators({"-nographic"}), ElementsAre("auto"));
}

TEST(CommandLine, TranslatorSettings) {
  const jit::JitOptions jit = config({"-accel", "jit,llvm-passes=off,fold=off,timing=on"}).accelerators[0].jit;
  EXPECT_FALSE(jit.regions.llvm.optimise);
  EXPECT_FALSE(jit.passes.fold);
  EXPECT_TRUE(jit.measurement.tier);
  EXPECT_EQ(config({"-accel", "jit,report=x"}).accelerators[0].report, "x");
  EXPECT_THAT(error({"-accel", "jit,turbo=on"}), AllOf(HasSubstr("'turbo'"), HasSubstr("dead-flags"),
                                                       HasSubstr("llvm-passes"), ::testing::Not(HasSubstr("\n"))));
}

TEST(CommandLine, EverySwitchInTheTranslatorsHelpIsOne) {
  std::istringstream help(*parse({"-accel", "jit,help"}).answer);
  std::string line, switches;
  while (std::getline(help, line)) {
    if (line.find("=off|on*") != std::string::npos) switches += "," + line.substr(0, line.find('=')) + "=off";
  }
  EXPECT_THAT(switches, AllOf(HasSubstr(",links=off"), HasSubstr(",region-returns=off"), HasSubstr(",dead-code=off")));
  EXPECT_EQ(error({"-accel", ("jit" + switches).c_str()}), "");
}

TEST(CommandLine, AllOptimizationsCanBeSwitchedOffAtOnce) {
  const jit::JitOptions jit =
      config({"-accel", "jit,optimizations=off,fold=on,report=x", "-nographic"}).accelerators[0].jit;
  EXPECT_FALSE(jit.links || jit.revival || jit.frontend.x87 || jit.regions.ways.pages || jit.regions.llvm.page_cache);
  EXPECT_FALSE(jit.passes.dead_flags);
  EXPECT_TRUE(jit.passes.fold);
  EXPECT_TRUE(jit.llvm);
  EXPECT_FALSE(jit.regions.wait);
}

TEST(CommandLine, EveryLogItemIsInTheHelp) {
  const std::string help = *parse({"-d", "help"}).answer;
  for (const char* item : {"in_asm", "op", "op_opt", "out_asm", "llvm", "jit"}) {
    EXPECT_THAT(help, HasSubstr(fmt::format("\n{} ", item)));
    EXPECT_NE(config({"-d", item, "-nographic"}).log_items, 0u);
  }
}

TEST(CommandLine, PerfMapAndItsSymbols) {
  EXPECT_TRUE(config({"-perfmap", "-nographic"}).perf_map);
  EXPECT_FALSE(config({"-nographic"}).perf_map);
  EXPECT_NE(config({"-accel", "jit,symbols=/proc/self/exe"}).accelerators[0].jit.symbols, nullptr);
  EXPECT_THAT(error({"-accel", "jit,symbols=/nowhere"}), AllOf(HasSubstr("symbols='/nowhere'"), HasSubstr("No such")));
}

TEST(CommandLine, KernelInterruptControllersBelongToTheAcceleratorOrTheMachine) {
  EXPECT_EQ(config({"-accel", "kvm,kernel-irqchip=split", "-nographic"}).accelerators[0].irqchip, KernelIrqchip::Split);
  EXPECT_EQ(config({"-accel", "kvm", "-M", "pc,kernel_irqchip=on"}).accelerators[0].irqchip, KernelIrqchip::On);
  EXPECT_EQ(config({"-accel", "kvm", "-nographic"}).accelerators[0].irqchip, std::nullopt);
  EXPECT_THAT(error({"-accel", "kvm,kernel-irqchip=maybe"}),
              AllOf(HasSubstr("kernel-irqchip='maybe'"), HasSubstr("split")));
}

TEST(CommandLine, QuestionsAreAnswered) {
  EXPECT_THAT(*parse({"-help"}).answer, HasSubstr("-kernel file"));
  EXPECT_THAT(*parse({"--version"}).answer, HasSubstr("Calco "));
  EXPECT_THAT(*parse({"-M", "help"}).answer, HasSubstr("i440FX"));
  EXPECT_THAT(*parse({"-cpu", "help"}).answer, HasSubstr("qemu64"));
  EXPECT_THAT(*parse({"-device", "help"}).answer, HasSubstr("isa-debug-exit"));
  EXPECT_THAT(*parse({"-d", "help"}).answer, HasSubstr("guest_errors"));
}

TEST(CommandLine, RefusalsNameTheOptionAndWhatWouldBeRight) {
  EXPECT_EQ(error({"-m", "12Q"}), "-m: '12Q' is not a memory size; use for example 512, 512M or 2G");
  EXPECT_THAT(error({"-m", "0"}), AllOf(HasSubstr("-m: "), HasSubstr("possible")));
  EXPECT_THAT(error({"-m"}), AllOf(HasSubstr("-m: "), HasSubstr("takes an argument")));
  EXPECT_THAT(error({"-smp", "0"}), AllOf(HasSubstr("-smp: "), HasSubstr("1 to 16")));
  EXPECT_THAT(error({"-smp", "17"}), HasSubstr("1 to 16"));
  EXPECT_THAT(error({"-smp", "many"}), HasSubstr("'many'"));
  EXPECT_THAT(error({"-smp", "4,sockets=3"}), HasSubstr("is not maxcpus"));
  EXPECT_THAT(error({"-smp", "4,maxcpus=2"}), HasSubstr("more than maxcpus"));
  EXPECT_THAT(error({"-M", "q35"}), AllOf(HasSubstr("-M: 'q35'"), HasSubstr("possible is pc")));
  EXPECT_THAT(error({"-M", "pc,color=red"}), HasSubstr("'color'"));
  EXPECT_THAT(error({"-accel", "warp"}), AllOf(HasSubstr("'warp'"), HasSubstr("interp")));
  EXPECT_THAT(error({"-device", "e1000"}), AllOf(HasSubstr("'e1000'"), HasSubstr("-device help")));
  EXPECT_THAT(error({"-device", "isa-debug-exit,iobase=x"}), HasSubstr("iobase='x'"));
  EXPECT_THAT(error({"-frobnicate"}), AllOf(HasSubstr("-frobnicate: "), HasSubstr("-help")));
  EXPECT_THAT(error({"disk.img"}), HasSubstr("no disks"));
  EXPECT_THAT(error({"-initrd", "i"}), HasSubstr("needs -kernel"));
  EXPECT_THAT(error({"-d", "everything"}), HasSubstr("'everything'"));
  EXPECT_THAT(error({"-fw_cfg", "name=x"}), HasSubstr("file= or string="));
  EXPECT_THAT(error({"-rtc", "base=tomorrow"}), HasSubstr("'tomorrow'"));
  EXPECT_THAT(error({"-chardev", "file,path=x"}), HasSubstr("id"));
  EXPECT_THAT(error({"-boot", "order=C:"}), HasSubstr("drive letters"));
}

TEST(CommandLine, NoArgumentEndsInACrash) {
  const std::vector<const char*> options = {"-M",      "-accel",   "-cpu",    "-smp",    "-m",       "-name",
                                            "-boot",   "-display", "-vga",    "-serial", "-chardev", "-debugcon",
                                            "-device", "-global",  "-fw_cfg", "-rtc",    "-d",       "-initrd"};
  for (const char* option : options) {
    for (const char* value : {"", ",", "=", ",,", "a=", "=b", "x,y=", "no", "0x", "-1", "\xff"}) {
      EXPECT_NO_FATAL_FAILURE(error({option, value})) << option << ' ' << value;
    }
  }
}

}  // namespace
}  // namespace calco::machine
