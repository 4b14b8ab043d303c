// The human monitor: its parts, and a whole machine on a Unix socket.
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

#include "machine/monitor/expression.h"
#include "machine/monitor/key_sender.h"
#include "machine/monitor/line_editor.h"
#include "machine/monitor/memory_dump.h"
#include "machine/monitor/monitor_error.h"
#include "tests/cpu/cpu_fixture.h"
#include "tests/machine/monitored_machine.h"
#include "tests/machine/named_pipe.h"

namespace calco::machine {
namespace {

using devices::KeyCode;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// --- Line editor -----------------------------------------------------------------------------------------------------

struct Typed {
  std::vector<std::string> lines;
  std::string echo;
};

Typed type(std::string_view keys) {
  LineEditor editor;
  Typed typed;
  for (const char key : keys) {
    if (const auto line = editor.type(static_cast<uint8_t>(key), typed.echo)) typed.lines.push_back(*line);
  }
  return typed;
}

TEST(LineEditor, EndsLinesAtReturnLineFeedAndBothTogether) {
  EXPECT_THAT(type("a\rb\nc\r\nd\n").lines, ElementsAre("a", "b", "c", "d"));
}

TEST(LineEditor, EchoesAndTakesBack) {
  const Typed typed = type("ab\x7F\b\bc\n");
  EXPECT_THAT(typed.lines, ElementsAre("c"));
  EXPECT_EQ(typed.echo, "ab\b \b\b \bc\r\n");
}

TEST(LineEditor, ControlUForgetsTheLine) { EXPECT_THAT(type("quit\x15help\n").lines, ElementsAre("help")); }

TEST(LineEditor, ArrowUpBringsBackEarlierLines) {
  EXPECT_THAT(type("one\ntwo\n\x1B[A\x1B[A\n").lines, ElementsAre("one", "two", "one"));
}

TEST(LineEditor, ArrowDownComesBackToAnEmptyLine) {
  EXPECT_THAT(type("one\n\x1B[A\x1B[Btwo\n").lines, ElementsAre("one", "two"));
}

TEST(LineEditor, OtherEscapeSequencesAreNoText) { EXPECT_THAT(type("a\x1B[1;5Cb\n").lines, ElementsAre("ab")); }

TEST(LineEditor, LinesHaveALimit) {
  EXPECT_EQ(type(std::string(LineEditor::kLongestLine + 5, 'x') + "\n").lines[0].size(), LineEditor::kLongestLine);
}

// --- Expressions -----------------------------------------------------------------------------------------------------

class ExpressionTest : public ::testing::Test {
 protected:
  uint64_t value(std::string_view text) { return evaluate(text, *fixture_.cpu); }
  cpu::CpuFixture fixture_;
};

TEST_F(ExpressionTest, NumbersHaveThreeBasesAndCharacters) {
  EXPECT_EQ(value("10"), 10u);
  EXPECT_EQ(value("0x10"), 16u);
  EXPECT_EQ(value("010"), 8u);
  EXPECT_EQ(value("'A'"), 65u);
}

TEST_F(ExpressionTest, ProductsBindTighterThanSums) {
  EXPECT_EQ(value("2 + 3 * 4"), 14u);
  EXPECT_EQ(value("(2 + 3) * 4"), 20u);
  EXPECT_EQ(value("7 % 4 - 1"), 2u);
  EXPECT_EQ(value("-1"), ~uint64_t{0});
  EXPECT_EQ(value("~0 & 0xFF"), 0xFFu);
}

TEST_F(ExpressionTest, RegistersAreNamedWithADollar) {
  fixture_.cpu->registers[cpu::kRax] = 0x1'0000'0005;
  fixture_.cpu->segments[cpu::kFs].base = 0x7000;
  EXPECT_EQ(value("$rax + 1"), 0x1'0000'0006u);
  EXPECT_EQ(value("$eax"), 5u);
  EXPECT_EQ(value("$fs.base"), 0x7000u);
}

TEST_F(ExpressionTest, MistakesAreNamed) {
  EXPECT_THROW(value(""), MonitorError);
  EXPECT_THROW(value("1 +"), MonitorError);
  EXPECT_THROW(value("1 2"), MonitorError);
  EXPECT_THROW(value("(1"), MonitorError);
  EXPECT_THROW(value("1 / 0"), MonitorError);
  EXPECT_THROW(value("$xyz"), MonitorError);
  EXPECT_THROW(value("0x1FFFFFFFFFFFFFFFF"), MonitorError);
  EXPECT_THROW(value("12z"), MonitorError);
  EXPECT_THROW(value(std::string(100'000, '(')), MonitorError);
}

// --- Formats and keys ------------------------------------------------------------------------------------------------

TEST(DumpFormat, HasCountFormatAndSize) {
  const DumpFormat format = DumpFormat::parse("16ug");
  EXPECT_EQ(format.count, 16u);
  EXPECT_EQ(format.format, 'u');
  EXPECT_EQ(format.size, 8u);
}

TEST(DumpFormat, DefaultIsOneHexadecimalWord) {
  const DumpFormat format = DumpFormat::parse("");
  EXPECT_EQ(format.count, 1u);
  EXPECT_EQ(format_unit(0x12, format), "0x00000012");
}

TEST(DumpFormat, MistakesAreRefused) {
  EXPECT_THROW(DumpFormat::parse("4z"), MonitorError);
  EXPECT_THROW(DumpFormat::parse("0x"), MonitorError);
  EXPECT_THROW(DumpFormat::parse("99999999999999999999x"), MonitorError);
}

TEST(DumpFormat, UnitsAreSignedUnsignedOctalOrCharacters) {
  EXPECT_EQ(format_unit(0xFF, DumpFormat::parse("db")), "-1");
  EXPECT_EQ(format_unit(0xFFFF, DumpFormat::parse("uh")), "65535");
  EXPECT_EQ(format_unit(8, DumpFormat::parse("ow")), "010");
  EXPECT_EQ(format_unit('a', DumpFormat::parse("cb")), "'a'");
}

TEST(Keys, AreJoinedByMinus) {
  EXPECT_THAT(parse_keys("ctrl-alt-delete"), ElementsAre(KeyCode::Ctrl, KeyCode::Alt, KeyCode::Delete));
}

TEST(Keys, MayBeScanCodesOfSet1) { EXPECT_THAT(parse_keys("0x1e"), ElementsAre(KeyCode::A)); }

TEST(Keys, UnknownOnesAreRefused) {
  EXPECT_THROW(parse_keys("ctrl-nonsense"), MonitorError);
  EXPECT_THROW(parse_keys("a--b"), MonitorError);
}

// --- A whole machine -------------------------------------------------------------------------------------------------

// The guest counts in EAX: xor eax,eax; inc eax; jmp to the inc.
class MonitorTest : public ::testing::Test {
 protected:
  void start(std::vector<std::string> options = {}) {
    options.insert(options.end(), {"-monitor", "unix:" + path_ + ",server=on,wait=off"});
    machine_ = std::make_unique<MonitoredMachine>(
        std::initializer_list<uint8_t>{0x66, 0x31, 0xC0, 0x66, 0x40, 0xEB, 0xFC}, options);
    client_ = std::make_unique<SocketClient>(path_);
    greeting_ = client_->receive_until("(calco) ");
  }
  // The answer without the echo of the command and the prompt behind.
  std::string command(const std::string& line) {
    client_->send(line + "\n");
    const std::string echo = line + "\r\n";
    const std::string text = client_->receive_until("(calco) ");
    EXPECT_THAT(text, StartsWith(echo));
    return text.substr(echo.size(), text.size() - echo.size() - std::strlen("(calco) "));
  }

  const std::string path_ = MonitoredMachine::path("monitor");
  std::unique_ptr<MonitoredMachine> machine_;
  std::unique_ptr<SocketClient> client_;
  std::string greeting_;
};

TEST_F(MonitorTest, GreetsWithVersionAndPrompt) {
  start();
  EXPECT_THAT(greeting_, StartsWith("Calco 0."));
  EXPECT_EQ(command(""), "");
}

TEST_F(MonitorTest, StopsAndGoesOn) {
  start();
  EXPECT_EQ(command("info status"), "VM status: running\r\n");
  EXPECT_EQ(command("stop"), "");
  EXPECT_EQ(command("info status"), "VM status: paused\r\n");
  const std::string count = command("print $eax");
  EXPECT_EQ(command("p $eax"), count);
  EXPECT_EQ(command("cont"), "");
  EXPECT_EQ(command("info status"), "VM status: running\r\n");
}

TEST_F(MonitorTest, ProcessorsGoOnAfterTheyWereLookedAt) {
  start();
  EXPECT_THAT(command("info registers"), HasSubstr("CS  =f000"));
  const std::string count = command("print $eax");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_NE(command("print $eax"), count);
}

TEST_F(MonitorTest, WaitsForContWithS) {
  start({"-S"});
  EXPECT_EQ(command("info status"), "VM status: paused (prelaunch)\r\n");
  EXPECT_EQ(command("print/x $cs"), "0xf000\r\n");
  EXPECT_EQ(command("print/x $rip"), "0xfff0\r\n");
  EXPECT_EQ(command("c"), "");
  EXPECT_EQ(command("info status"), "VM status: running\r\n");
}

TEST_F(MonitorTest, ResetOfAStoppedGuestLeavesItStopped) {
  start();
  command("stop");
  command("system_reset");
  EXPECT_EQ(command("info status"), "VM status: paused (prelaunch)\r\n");
  EXPECT_EQ(command("print/x $rip"), "0xfff0\r\n");
}

TEST_F(MonitorTest, ResetOfARunningGuestLetsItGoOn) {
  start();
  command("system_reset");
  EXPECT_EQ(command("info status"), "VM status: running\r\n");
}

TEST_F(MonitorTest, ShowsMemoryAtPhysicalAddresses) {
  start();
  EXPECT_EQ(command("xp /7xb 0xf0000"), "00000000000f0000: 0x66 0x31 0xc0 0x66 0x40 0xeb 0xfc\r\n");
  EXPECT_EQ(command("xp/1xh 0xf0000"), "00000000000f0000: 0x3166\r\n");
}

TEST_F(MonitorTest, DisassemblesInTheProcessorsMode) {
  start();
  const std::string text = command("x/2i 0xf0000");
  EXPECT_THAT(text, HasSubstr("xor eax, eax\r\n"));
  EXPECT_THAT(text, HasSubstr("inc eax\r\n"));
}

TEST_F(MonitorTest, NoMemoryIsOneLine) {
  start();
  EXPECT_EQ(command("xp/4xw 0xe0000000"), "Cannot access memory at address 0xe0000000\r\n");
}

TEST_F(MonitorTest, EveryTopicShowsSomething) {
  start({"-smp", "2"});
  EXPECT_THAT(command("info cpus"), HasSubstr("* CPU #0: pc=0xf"));
  EXPECT_EQ(command("info mem"), "paging is off\r\n");
  EXPECT_EQ(command("info tlb"), "paging is off\r\n");
  EXPECT_THAT(command("info mtree"), HasSubstr("ioapic"));
  EXPECT_THAT(command("info accel"), ::testing::ContainsRegex("^(interp|jit|kvm): "));
  EXPECT_THAT(command("info irq"), StartsWith("IRQ statistics"));
  EXPECT_THAT(command("info pic"), HasSubstr("pin 23"));
  EXPECT_THAT(command("info lapic"), HasSubstr("LINT0"));
  EXPECT_THAT(command("info chardev"), HasSubstr("unix:"));
  EXPECT_THAT(command("info version"), StartsWith("0."));
  EXPECT_THAT(command("info"), HasSubstr("info registers"));
}

TEST_F(MonitorTest, SelectsAProcessor) {
  start({"-smp", "2"});
  EXPECT_EQ(command("cpu 1"), "");
  EXPECT_THAT(command("info registers"), StartsWith("CPU#1"));
  EXPECT_THAT(command("cpu 2"), HasSubstr("there is no processor '2'"));
}

TEST_F(MonitorTest, HelpDescribesACommandOrATopic) {
  start();
  EXPECT_THAT(command("help"), HasSubstr("sendkey keys [hold-ms]"));
  EXPECT_THAT(command("? stop"), StartsWith("stop|s"));
  EXPECT_THAT(command("help info"), HasSubstr("\ninfo lapic [apic-id]"));
  EXPECT_THAT(command("help info lapic"), StartsWith("info lapic [apic-id]"));
  EXPECT_EQ(command("help stop now"), "'stop' has no topics\r\n");
}

TEST_F(MonitorTest, TopicsOfProcessorsTakeOne) {
  start({"-smp", "2"});
  EXPECT_THAT(command("info registers -a"), AllOf(StartsWith("CPU#0"), HasSubstr("\nCPU#1")));
  EXPECT_THAT(command("info registers 1"), AllOf(StartsWith("CPU#1"), Not(HasSubstr("CPU#0"))));
  EXPECT_EQ(command("info lapic 0"), command("info lapic"));
  EXPECT_NE(command("info lapic 1"), command("info lapic 0"));
  EXPECT_EQ(command("info mtree -f"), command("info mtree"));
}

TEST_F(MonitorTest, ArgumentsOfTopicsAreChecked) {
  start({"-smp", "2"});
  EXPECT_EQ(command("info registers 2"), "there is no processor '2'; they are 0 to 1\r\n");
  EXPECT_EQ(command("info lapic 2"), "there is no local APIC with id 2\r\n");
  EXPECT_EQ(command("info lapic x"), "usage: info lapic [apic-id]\r\n");
  EXPECT_EQ(command("info mtree -z"), "usage: info mtree [-f]\r\n");
  EXPECT_EQ(command("info status now"), "usage: info status\r\n");
}

// Expected answers are QEMU's for the same lines.
TEST_F(MonitorTest, PrintHasTheFormatsOfX) {
  start();
  EXPECT_EQ(command("print 65"), "65\r\n");
  EXPECT_EQ(command("print 0x10+010"), "24\r\n");
  EXPECT_EQ(command("print ~0"), "-1\r\n");
  EXPECT_EQ(command("print/x 255"), "0xff\r\n");
  EXPECT_EQ(command("p /d 0-1"), "-1\r\n");
  EXPECT_EQ(command("p /u -1"), "18446744073709551615\r\n");
  EXPECT_EQ(command("p/o 8"), "010\r\n");
  EXPECT_EQ(command("p/c 65"), "'A'\r\n");
  EXPECT_EQ(command("p 1+2*3"), "7\r\n");
  EXPECT_THAT(command("print/i 0"), StartsWith("print shows one value"));
}

TEST_F(MonitorTest, MistakesAreOneLineAndTheGuestGoesOn) {
  start();
  EXPECT_EQ(command("nonsense"), "unknown command: 'nonsense'\r\n");
  EXPECT_THAT(command("info nonsense"), HasSubstr("'info nonsense' is unknown"));
  EXPECT_EQ(command("stop now"), "usage: stop \r\n");
  EXPECT_EQ(command("x"), "usage: x /fmt address\r\n");
  EXPECT_THAT(command("x/q 0"), HasSubstr("'q' is none"));
  EXPECT_EQ(command("sendkey nokey"), "unknown key 'nokey'\r\n");
  EXPECT_THAT(command("log nonsense"), HasSubstr("'nonsense' is no log item"));
  EXPECT_THAT(command("dump-guest-memory /nonexistent/file"), HasSubstr("cannot create"));
  EXPECT_EQ(command("info status"), "VM status: running\r\n");
}

TEST_F(MonitorTest, PressesKeysAtTheKeyboardController) {
  start();
  EXPECT_EQ(command("stop"), "");
  EXPECT_EQ(command("sendkey ctrl-alt-delete 50"), "");
  EXPECT_EQ(command("nmi"), "");
  std::lock_guard lock(machine_->machine().loop().device_lock());
  // Output buffer full, and the make code of Ctrl in set 1.
  EXPECT_EQ(machine_->machine().board().ports.read(0x64, 1) & 1, 1u);
}

TEST_F(MonitorTest, ChangesWhatIsLogged) {
  start();
  EXPECT_EQ(command("log guest_errors,unimp"), "");
  EXPECT_EQ(machine_->machine().log().items(),
            static_cast<uint32_t>(LogItem::GuestErrors) | static_cast<uint32_t>(LogItem::Unimplemented));
  EXPECT_EQ(command("log none"), "");
  EXPECT_EQ(machine_->machine().log().items(), 0u);
}

TEST_F(MonitorTest, DumpIsAnElfCoreWithRegistersAndRam) {
  start({"-smp", "2"});
  const std::string path = MonitoredMachine::path("core");
  ASSERT_EQ(command("dump-guest-memory \"" + path + "\""), "");
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  ASSERT_GT(bytes.size(), 1u << 20);
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof(header));
  EXPECT_EQ(std::memcmp(header.e_ident, ELFMAG, SELFMAG), 0);
  EXPECT_EQ(header.e_type, ET_CORE);
  EXPECT_EQ(header.e_machine, EM_X86_64);
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  std::memcpy(segments.data(), bytes.data() + header.e_phoff, segments.size() * sizeof(Elf64_Phdr));
  EXPECT_EQ(segments[0].p_type, static_cast<uint32_t>(PT_NOTE));
  EXPECT_EQ(segments[0].p_filesz, 2u * (12 + 8 + 336));
  EXPECT_EQ(segments[1].p_type, static_cast<uint32_t>(PT_LOAD));
  EXPECT_EQ(segments[1].p_paddr, 0u);
  EXPECT_EQ(segments.back().p_offset + segments.back().p_filesz, bytes.size());
  unlink(path.c_str());
}

TEST_F(MonitorTest, DumpOfARangeHasNothingElse) {
  start();
  const std::string path = MonitoredMachine::path("core-range");
  ASSERT_EQ(command("dump-guest-memory " + path + " 0x1000 0x2000"), "");
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  Elf64_Phdr segments[2];
  ASSERT_GE(bytes.size(), sizeof(Elf64_Ehdr) + sizeof(segments));
  std::memcpy(segments, bytes.data() + sizeof(Elf64_Ehdr), sizeof(segments));
  EXPECT_EQ(segments[1].p_paddr, 0x1000u);
  EXPECT_EQ(segments[1].p_filesz, 0x2000u);
  EXPECT_EQ(segments[1].p_offset + segments[1].p_filesz, bytes.size());
  unlink(path.c_str());
}

TEST_F(MonitorTest, DumpInTheBackgroundIsFollowed) {
  start();
  EXPECT_EQ(command("info dump"), "Status: none\r\n");
  const NamedPipe pipe(MonitoredMachine::path("core-pipe"));
  EXPECT_EQ(command("dump-guest-memory -d " + pipe.path()), "");
  EXPECT_EQ(command("info dump"), "Status: active\r\nFinished: 0.00 %\r\n");
  EXPECT_EQ(command("info status"), "VM status: paused (save-vm)\r\n");
  EXPECT_EQ(command("cont"), "There is a dump in process, please wait.\r\n");
}

TEST_F(MonitorTest, DumpRefusesRangesAndOptionsThatItHasNot) {
  start();
  const std::string usage = "usage: dump-guest-memory [-p] [-d] file [begin length]\r\n";
  EXPECT_EQ(command("dump-guest-memory -p"), usage);
  EXPECT_EQ(command("dump-guest-memory -q file"), "dump-guest-memory has no option '-q'\r\n");
  EXPECT_EQ(command("dump-guest-memory -p -z file"),
            "kdump-zlib is not available; makedumpfile makes it of an elf core\r\n");
  EXPECT_EQ(command("dump-guest-memory file 0"), usage);
  EXPECT_EQ(command("dump-guest-memory file 0 0"), "'0 0' is no range of addresses\r\n");
  EXPECT_EQ(command("dump-guest-memory file 0xe0000000 4096"), "there is no RAM at these addresses\r\n");
  EXPECT_THAT(command("dump-guest-memory /dev/full"), StartsWith("cannot write '/dev/full'"));
  EXPECT_EQ(access("/dev/full", F_OK), 0);
}

TEST_F(MonitorTest, TheNextClientIsGreetedAfterOneThatLeftMidway) {
  start();
  client_->send("info regi");
  client_.reset();
  client_ = std::make_unique<SocketClient>(path_);
  EXPECT_THAT(client_->receive_until("(calco) "), StartsWith("Calco"));
  EXPECT_EQ(command("info status"), "VM status: running\r\n");
}

TEST_F(MonitorTest, ContIsRefusedWhileGdbHoldsTheGuest) {
  const std::string gdb_path = MonitoredMachine::path("gdb");
  start({"-gdb", "unix:" + gdb_path});
  {
    SocketClient gdb(gdb_path);
    gdb.send("$?#3f");
    EXPECT_THAT(gdb.receive_until("#"), HasSubstr("T05"));
    EXPECT_EQ(command("info status"), "VM status: paused\r\n");
    EXPECT_THAT(command("cont"), HasSubstr("gdb has stopped the guest"));
    gdb.send("$D#44");
    gdb.receive_until("OK#");
    EXPECT_EQ(command("info status"), "VM status: running\r\n");
    EXPECT_EQ(command("stop"), "");
  }
  EXPECT_EQ(command("cont"), "");
}

TEST_F(MonitorTest, QuitEndsTheMachine) {
  start();
  client_->send("quit\n");
  EXPECT_TRUE(machine_->ended());
  EXPECT_EQ(machine_->status(), 0);
}

TEST(MonitorOnMux, ControlACSwitchesBetweenSerialPortAndMonitor) {
  const std::string path = MonitoredMachine::path("mux");
  MonitoredMachine machine({0xEB, 0xFE}, {"-serial", "mon:unix:" + path + ",server=on,wait=off"});
  SocketClient client(path);
  client.send(
      "lost\n\x01"
      "c");
  EXPECT_THAT(client.receive_until("(calco) "), StartsWith("Calco"));
  client.send("info status\n");
  EXPECT_THAT(client.receive_until("(calco) "), HasSubstr("VM status: running"));
}

// --- Exchange of engines ---------------------------------------------------------------------------------------------

// The guest counts in EAX; it goes on from where it was.
TEST_F(MonitorTest, AnotherEngineGoesOnWithTheGuest) {
  start({"-accel", "interp"});
  EXPECT_THAT(command("accel"), StartsWith("interp: asked for\r\n"));
  for (const char* engine : {"jit", "interp", "jit", "jit"}) {
    const std::string count = command("print $eax");
    EXPECT_EQ(command(fmt::format("accel {}", engine)), "");
    EXPECT_THAT(command("info accel"), StartsWith(fmt::format("{}: asked for (in the monitor)\r\n", engine)));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_NE(command("print $eax"), count);
    EXPECT_EQ(command("info status"), "VM status: running\r\n");
  }
}

TEST_F(MonitorTest, OnlyTheTranslatorHasStatistics) {
  start({"-accel", "jit,threshold=1"});
  EXPECT_THAT(command("info jit"), StartsWith("translations "));
  EXPECT_THAT(command("info jit"), HasSubstr("\r\nTLB: misses "));
  command("accel interp");
  EXPECT_EQ(command("info jit"), "JIT information is only available with accel=jit\r\n");
}

TEST_F(MonitorTest, AStoppedGuestStaysStoppedUnderAnotherEngine) {
  start({"-accel", "jit"});
  command("stop");
  const std::string count = command("print $eax");
  EXPECT_EQ(command("accel interp"), "");
  EXPECT_EQ(command("info status"), "VM status: paused\r\n");
  EXPECT_EQ(command("print $eax"), count);
  command("cont");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_NE(command("print $eax"), count);
}

TEST_F(MonitorTest, GuestKeepsItsEngineWhereTheOtherCannotBeHad) {
  start({"-accel", "interp"});
  EXPECT_THAT(command("accel nonsense"), HasSubstr("'nonsense' is no engine; possible are interp, jit and kvm"));
  EXPECT_THAT(command("accel jit kvm"), StartsWith("usage: accel"));
  EXPECT_THAT(command("accel"), StartsWith("interp: "));
  const std::string count = command("print $eax");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_NE(command("print $eax"), count);
}

// All that the interpreter has is more than any KVM lets a guest see.
TEST_F(MonitorTest, KvmRefusesAGuestThatWasShownMore) {
  start({"-accel", "interp", "-cpu", "max"});
  const std::string answer = command("accel kvm");
  EXPECT_THAT(answer, StartsWith("accel: kvm: "));
  EXPECT_THAT(command("accel"), StartsWith("interp: "));
  EXPECT_EQ(command("info status"), "VM status: running\r\n");
}

}  // namespace
}  // namespace calco::machine
