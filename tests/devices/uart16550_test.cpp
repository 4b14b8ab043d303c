// The 16550A against its data sheet (National Semiconductor PC16550D); numbers in comments are its sections.
#include "devices/serial/uart16550.h"

#include <gtest/gtest.h>

#include "devices/host/ring_buffer_backend.h"
#include "machine/core/archive.h"
#include "machine/core/log.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

constexpr uint64_t kData = 0, kIer = 1, kIir = 2, kFcr = 2, kLcr = 3, kMcr = 4, kLsr = 5, kMsr = 6, kScr = 7;

// A cable that takes only as much as the test allows.
class NarrowBackend final : public CharacterBackend {
 public:
  size_t write(std::span<const uint8_t> bytes) override {
    const size_t accepted = std::min(bytes.size(), room_);
    room_ -= accepted;
    sent_ += accepted;
    return accepted;
  }
  std::string description() const override { return "narrow"; }
  void make_room(size_t bytes) {
    room_ = bytes;
    front_end_->writable();
  }
  void send_break() { front_end_->backend_event(CharacterEvent::Break); }
  size_t sent() const { return sent_; }

 private:
  size_t room_ = 0;
  size_t sent_ = 0;
};

class Uart16550Test : public ::testing::Test {
 protected:
  uint8_t in(uint64_t offset) { return static_cast<uint8_t>(uart_.read(offset, 1)); }
  void out(uint64_t offset, uint8_t value) { uart_.write(offset, 1, value); }
  void open_interrupt_gate() { out(kMcr, 0x08); }

  Log log_;
  ManualClock clock_;
  bool line_ = false;
  int edges_ = 0;
  RingBufferBackend cable_;
  Uart16550 uart_{clock_, IrqLine([this](bool level) {
                    line_ = level;
                    edges_ += level ? 1 : 0;
                  }),
                  cable_, log_};
};

TEST_F(Uart16550Test, ResetValuesAreThoseOfTableIII) {
  EXPECT_EQ(in(kIer), 0x00);
  EXPECT_EQ(in(kIir), 0x01);
  EXPECT_EQ(in(kLcr), 0x00);
  EXPECT_EQ(in(kMcr), 0x00);
  EXPECT_EQ(in(kLsr), 0x60);
  EXPECT_EQ(in(kMsr) & 0x0f, 0x00);
}

TEST_F(Uart16550Test, DivisorLatchHidesDataAndInterruptEnable) {
  out(kIer, 0x05);
  out(kLcr, 0x83);
  out(kData, 0x34);
  out(kIer, 0x12);
  EXPECT_EQ(in(kData), 0x34);
  EXPECT_EQ(in(kIer), 0x12);
  out(kLcr, 0x03);
  EXPECT_EQ(in(kIer), 0x05);
  EXPECT_EQ(cable_.take_output(), "");
}

TEST_F(Uart16550Test, ScratchRegisterHoldsItsValue) {
  out(kScr, 0xa5);
  EXPECT_EQ(in(kScr), 0xa5);
}

TEST_F(Uart16550Test, InterruptEnableAndModemControlHaveNoUpperBits) {
  out(kIer, 0xff);
  out(kMcr, 0xff);
  EXPECT_EQ(in(kIer), 0x0f);
  EXPECT_EQ(in(kMcr), 0x1f);
}

TEST_F(Uart16550Test, FifosEnabledShowInInterruptIdentification) {
  out(kFcr, 0x01);
  EXPECT_EQ(in(kIir), 0xc1);
  out(kFcr, 0x00);
  EXPECT_EQ(in(kIir), 0x01);
}

TEST_F(Uart16550Test, OtherFifoControlBitsCountOnlyWithTheEnableBit) {
  out(kFcr, 0x01);
  cable_.type("x");
  out(kFcr, 0x03);
  EXPECT_EQ(in(kLsr) & 0x01, 0);
}

TEST_F(Uart16550Test, CharactersLeaveInOrder) {
  for (const char character : std::string("hello")) out(kData, static_cast<uint8_t>(character));
  EXPECT_EQ(cable_.take_output(), "hello");
  EXPECT_EQ(in(kLsr), 0x60);
}

TEST_F(Uart16550Test, TransmitterEmptyInterruptComesWhenEnabledAndGoesWithIirRead) {
  open_interrupt_gate();
  out(kIer, 0x02);
  EXPECT_TRUE(line_);
  EXPECT_EQ(in(kIir), 0x02);
  EXPECT_FALSE(line_);
  EXPECT_EQ(in(kIir), 0x01);
}

TEST_F(Uart16550Test, TransmitterEmptyInterruptComesAgainOnReenable) {
  out(kIer, 0x02);
  EXPECT_EQ(in(kIir), 0x02);
  out(kIer, 0x02);
  EXPECT_EQ(in(kIir), 0x01);
  out(kIer, 0x00);
  out(kIer, 0x02);
  EXPECT_EQ(in(kIir), 0x02);
}

TEST_F(Uart16550Test, EveryTransmittedCharacterMakesAnEdge) {
  open_interrupt_gate();
  out(kIer, 0x02);
  edges_ = 0;
  out(kData, 'a');
  out(kData, 'b');
  EXPECT_EQ(edges_, 2);
  EXPECT_TRUE(line_);
}

TEST_F(Uart16550Test, LineStatusReadDoesNotClearTransmitterInterrupt) {
  out(kIer, 0x02);
  in(kLsr);
  EXPECT_EQ(in(kIir), 0x02);
}

TEST_F(Uart16550Test, ReceivedDataInterruptWithoutFifosGoesWithTheRead) {
  open_interrupt_gate();
  out(kIer, 0x01);
  cable_.type("A");
  EXPECT_TRUE(line_);
  EXPECT_EQ(in(kIir), 0x04);
  EXPECT_EQ(in(kLsr) & 0x01, 0x01);
  EXPECT_EQ(in(kData), 'A');
  EXPECT_FALSE(line_);
  EXPECT_EQ(in(kLsr) & 0x01, 0x00);
}

TEST_F(Uart16550Test, ReceivedDataInterruptWaitsForTheTriggerLevel) {
  out(kFcr, 0x81);  // trigger level 8
  out(kIer, 0x01);
  cable_.type("1234567");
  EXPECT_EQ(in(kIir), 0xc1);
  cable_.type("8");
  EXPECT_EQ(in(kIir), 0xc4);
  in(kData);
  EXPECT_EQ(in(kIir), 0xc1);
}

TEST_F(Uart16550Test, CharacterTimeoutComesAfterFourCharacterTimes) {
  open_interrupt_gate();
  out(kLcr, 0x83);
  out(kData, 1);  // 115200 baud: 10 bits take 86.8 us
  out(kIer, 0);
  out(kLcr, 0x03);
  out(kFcr, 0xc1);
  out(kIer, 0x01);
  cable_.type("x");
  clock_.advance(347'000);
  EXPECT_FALSE(line_);
  clock_.advance(1'000);
  EXPECT_TRUE(line_);
  EXPECT_EQ(in(kIir), 0xcc);
  EXPECT_EQ(in(kData), 'x');
  EXPECT_FALSE(line_);
  clock_.advance(Clock::kSecond);
  EXPECT_FALSE(line_);
}

TEST_F(Uart16550Test, ReadRestartsTheTimeout) {
  out(kFcr, 0xc1);
  out(kIer, 0x01);
  cable_.type("xy");
  clock_.advance(Clock::kSecond);
  EXPECT_EQ(in(kIir), 0xcc);
  in(kData);
  EXPECT_EQ(in(kIir), 0xc1);
  clock_.advance(Clock::kSecond);
  EXPECT_EQ(in(kIir), 0xcc);
}

TEST_F(Uart16550Test, InputWaitsInTheBackEndWhileTheReceiverIsFull) {
  out(kFcr, 0x01);
  cable_.type("0123456789abcdefXYZ");
  EXPECT_EQ(cable_.input_waiting(), 3u);
  EXPECT_EQ(in(kLsr) & 0x02, 0);
  EXPECT_EQ(in(kData), '0');
  EXPECT_EQ(cable_.input_waiting(), 2u);
}

TEST_F(Uart16550Test, InterruptsAreIdentifiedByPriority) {
  out(kMcr, 0x10);
  out(kIer, 0x0f);
  out(kMcr, 0x11);  // DSR rises
  out(kData, 'a');
  out(kData, 'b');  // overrun
  EXPECT_EQ(in(kIir), 0x06);
  EXPECT_EQ(in(kLsr), 0x63);
  EXPECT_EQ(in(kIir), 0x04);
  EXPECT_EQ(in(kData), 'b');
  EXPECT_EQ(in(kIir), 0x02);
  EXPECT_EQ(in(kIir), 0x00);
  in(kMsr);
  EXPECT_EQ(in(kIir), 0x01);
}

TEST_F(Uart16550Test, OverrunWithFifosLosesTheNewCharacter) {
  out(kMcr, 0x10);
  out(kFcr, 0x01);
  for (uint8_t value = 0; value < 17; ++value) out(kData, value);
  EXPECT_EQ(in(kLsr), 0x63);
  EXPECT_EQ(in(kLsr), 0x61);
  for (uint8_t value = 0; value < 16; ++value) EXPECT_EQ(in(kData), value);
  EXPECT_EQ(in(kLsr), 0x60);
}

TEST_F(Uart16550Test, LoopbackWiresModemControlToModemStatus) {
  out(kMcr, 0x1a);  // as Linux's autoconfig: RTS and OUT2
  EXPECT_EQ(in(kMsr) & 0xf0, 0x90);
  out(kMcr, 0x15);
  EXPECT_EQ(in(kMsr) & 0xf0, 0x60);
}

TEST_F(Uart16550Test, LoopbackDisconnectsTheCable) {
  out(kMcr, 0x10);
  out(kData, 'L');
  cable_.type("host");
  EXPECT_EQ(cable_.take_output(), "");
  EXPECT_EQ(cable_.input_waiting(), 4u);
  EXPECT_EQ(in(kData), 'L');
  out(kMcr, 0x00);
  EXPECT_EQ(in(kData), 'h');
}

TEST_F(Uart16550Test, Out2GatesTheInterrupt) {
  out(kIer, 0x02);
  EXPECT_FALSE(line_);
  open_interrupt_gate();
  EXPECT_TRUE(line_);
  out(kMcr, 0x00);
  EXPECT_FALSE(line_);
}

TEST_F(Uart16550Test, ModemStatusDeltasShowChangesUntilRead) {
  open_interrupt_gate();
  out(kIer, 0x08);
  uart_.set_modem_inputs(Uart16550::kRingIndicator);
  EXPECT_TRUE(line_);
  EXPECT_EQ(in(kIir), 0x00);
  EXPECT_EQ(in(kMsr), 0x4b);  // CTS, DSR and DCD fell; the leading edge of RI does not count
  EXPECT_FALSE(line_);
  uart_.set_modem_inputs(0);
  EXPECT_EQ(in(kMsr), 0x04);
  EXPECT_EQ(in(kMsr), 0x00);
}

TEST_F(Uart16550Test, SnapshotKeepsWhatWaitsInTheFifo) {
  out(kFcr, 0x01);
  cable_.type("abc");
  Archive saved;
  uart_.serialize(saved);
  uart_.reset();
  EXPECT_EQ(in(kLsr) & 0x01, 0);
  Archive loaded(saved.bytes());
  uart_.serialize(loaded);
  EXPECT_EQ(in(kData), 'a');
  EXPECT_EQ(in(kData), 'b');
  EXPECT_EQ(in(kData), 'c');
}

class NarrowCableTest : public ::testing::Test {
 protected:
  Log log_;
  ManualClock clock_;
  bool line_ = false;
  NarrowBackend cable_;
  Uart16550 uart_{clock_, IrqLine([this](bool level) { line_ = level; }), cable_, log_};
};

TEST_F(NarrowCableTest, FullBackEndKeepsCharactersInTheFifo) {
  uart_.write(kFcr, 1, 0x01);
  uart_.write(kMcr, 1, 0x08);
  uart_.write(kData, 1, 'a');
  uart_.write(kData, 1, 'b');
  uart_.write(kIer, 1, 0x02);
  EXPECT_EQ(uart_.read(kLsr, 1), 0x00u);
  EXPECT_FALSE(line_);
  cable_.make_room(1);
  EXPECT_EQ(uart_.read(kLsr, 1), 0x00u);
  cable_.make_room(100);
  EXPECT_EQ(uart_.read(kLsr, 1), 0x60u);
  EXPECT_TRUE(line_);
  EXPECT_EQ(cable_.sent(), 2u);
}

TEST_F(NarrowCableTest, TransmitterFifoHoldsSixteen) {
  uart_.write(kFcr, 1, 0x01);
  for (int i = 0; i < 20; ++i) uart_.write(kData, 1, 'x');
  cable_.make_room(100);
  EXPECT_EQ(cable_.sent(), 16u);
}

TEST_F(NarrowCableTest, FifoResetEmptiesTheTransmitter) {
  uart_.write(kFcr, 1, 0x01);
  uart_.write(kData, 1, 'x');
  uart_.write(kFcr, 1, 0x05);
  EXPECT_EQ(uart_.read(kLsr, 1), 0x60u);
  cable_.make_room(100);
  EXPECT_EQ(cable_.sent(), 0u);
}

TEST_F(NarrowCableTest, BreakIsAZeroCharacterWithItsError) {
  uart_.write(kFcr, 1, 0x01);
  cable_.send_break();
  EXPECT_EQ(uart_.read(kLsr, 1), 0xf9u);  // error in FIFO, break, framing, data ready
  EXPECT_EQ(uart_.read(kLsr, 1), 0x61u);
  EXPECT_EQ(uart_.read(kData, 1), 0x00u);
}

struct UartRig {
  Log log;
  ManualClock clock;
  RingBufferBackend cable;
  Uart16550 uart{clock, IrqLine(), cable, log};
  Device& device() { return uart; }
  std::vector<WindowUnderTest> windows() { return {{&uart, Uart16550::kRegisters}}; }
};

TEST(Uart16550, PassesTheDeviceSuite) { check_device<UartRig>(); }

}  // namespace
}  // namespace calco::devices
