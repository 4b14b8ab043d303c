// The keyboard controller with keyboard and mouse behind it, as the IBM PS/2 Technical Reference describes them.
#include "devices/input/i8042.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/input/ps2_keyboard.h"
#include "devices/input/ps2_mouse.h"
#include "machine/core/log.h"
#include "tests/devices/device_suite.h"

namespace calco::devices {
namespace {

using ::testing::ElementsAre;

class I8042Test : public ::testing::Test {
 protected:
  uint8_t status() { return static_cast<uint8_t>(controller_.command_port().read(0, 1)); }
  void command(uint8_t value) { controller_.command_port().write(0, 1, value); }
  uint8_t data() { return static_cast<uint8_t>(controller_.data_port().read(0, 1)); }
  void write_data(uint8_t value) { controller_.data_port().write(0, 1, value); }
  void command(uint8_t value, uint8_t argument) {
    command(value);
    write_data(argument);
  }
  void to_mouse(uint8_t value) { command(0xd4, value); }
  // Everything that comes while the link is given time.
  std::vector<uint8_t> read_all() {
    std::vector<uint8_t> bytes;
    while ((status() & 0x01) != 0) {
      bytes.push_back(data());
      clock_.advance(1'000'000);
    }
    return bytes;
  }
  // Brings the mouse to the five-button protocol or the wheel protocol by its knock.
  void knock(uint8_t second) {
    for (const uint8_t rate : {uint8_t{200}, second, uint8_t{80}}) {
      to_mouse(0xf3);
      to_mouse(rate);
    }
    read_all();
  }

  Log log_;
  ManualClock clock_;
  Ps2Keyboard keyboard_{log_};
  Ps2Mouse mouse_{log_};
  bool irq1_ = false;
  bool irq12_ = false;
  bool a20_ = true;
  int resets_ = 0;
  I8042 controller_{clock_,
                    keyboard_,
                    mouse_,
                    {IrqLine([this](bool level) { irq1_ = level; }), IrqLine([this](bool level) { irq12_ = level; }),
                     [this](bool on) { a20_ = on; }, [this] { ++resets_; }},
                    log_};
};

TEST_F(I8042Test, SelfTestAnswers55AndSetsTheSystemFlag) {
  EXPECT_EQ(status(), 0x10);
  command(0xaa);
  EXPECT_EQ(status(), 0x1d);
  EXPECT_EQ(data(), 0x55);
  EXPECT_EQ(status(), 0x1c);
}

TEST_F(I8042Test, PortTestsPass) {
  command(0xab);
  EXPECT_EQ(data(), 0x00);
  command(0xa9);
  EXPECT_EQ(data(), 0x00);
}

TEST_F(I8042Test, CommandByteReadsBackWhatWasWritten) {
  command(0x60, 0x74);
  command(0x20);
  EXPECT_EQ(data(), 0x74);
  command(0x65, 0x12);
  command(0x25);
  EXPECT_EQ(data(), 0x12);
}

TEST_F(I8042Test, DisablingAPortShowsInTheCommandByte) {
  command(0x60, 0x00);
  command(0xad);
  command(0xa7);
  command(0x20);
  EXPECT_EQ(data(), 0x30);
  command(0xae);
  command(0xa8);
  command(0x20);
  EXPECT_EQ(data(), 0x00);
}

TEST_F(I8042Test, OutputPortGatesA20) {
  command(0xd1, 0xdd);
  EXPECT_FALSE(a20_);
  command(0xd0);
  EXPECT_EQ(data() & 0x03, 0x01);
  command(0xd1, 0xdf);
  EXPECT_TRUE(a20_);
  command(0xdd);
  EXPECT_FALSE(a20_);
  command(0xdf);
  EXPECT_TRUE(a20_);
  EXPECT_EQ(resets_, 0);
}

TEST_F(I8042Test, PulsingOutputBit0Resets) {
  command(0xff);
  EXPECT_EQ(resets_, 0);
  command(0xfe);
  EXPECT_EQ(resets_, 1);
  command(0xf0);
  EXPECT_EQ(resets_, 2);
  command(0xd1, 0x02);
  EXPECT_EQ(resets_, 3);
}

TEST_F(I8042Test, KeyPressInterruptsUntilRead) {
  keyboard_.press(KeyCode::A);
  EXPECT_TRUE(irq1_);
  EXPECT_EQ(status() & 0x21, 0x01);
  EXPECT_EQ(data(), 0x1c);
  EXPECT_FALSE(irq1_);
}

TEST_F(I8042Test, InterruptIsMaskedByTheCommandByte) {
  command(0x60, 0x00);
  keyboard_.press(KeyCode::A);
  EXPECT_FALSE(irq1_);
  command(0x60, 0x01);
  EXPECT_TRUE(irq1_);
}

TEST_F(I8042Test, SecondReadFindsTheSameByteUntilTheLinkBroughtTheNext) {
  keyboard_.press(KeyCode::A);
  keyboard_.press(KeyCode::B);
  EXPECT_EQ(data(), 0x1c);
  EXPECT_EQ(data(), 0x1c);
  EXPECT_FALSE(irq1_);
  clock_.advance(1'000'000);
  EXPECT_TRUE(irq1_);
  EXPECT_EQ(data(), 0x32);
}

TEST_F(I8042Test, TranslationMakesSet1) {
  command(0x60, 0x41);
  keyboard_.press(KeyCode::A);
  keyboard_.release(KeyCode::A);
  keyboard_.press(KeyCode::Up);
  keyboard_.release(KeyCode::Up);
  keyboard_.press(KeyCode::F7);
  EXPECT_THAT(read_all(), ElementsAre(0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8, 0x41));
}

TEST_F(I8042Test, WithoutTranslationBreaksHaveAPrefix) {
  keyboard_.press(KeyCode::Return);
  keyboard_.release(KeyCode::Return);
  EXPECT_THAT(read_all(), ElementsAre(0x5a, 0xf0, 0x5a));
}

TEST_F(I8042Test, DisabledKeyboardHoldsItsBytes) {
  command(0xad);
  keyboard_.press(KeyCode::A);
  EXPECT_EQ(status() & 0x01, 0);
  command(0xae);
  EXPECT_EQ(data(), 0x1c);
}

TEST_F(I8042Test, ByteForTheKeyboardEnablesItsPort) {
  command(0xad);
  write_data(0xf4);
  EXPECT_THAT(read_all(), ElementsAre(0xfa));
}

TEST_F(I8042Test, LoopCommandsFillTheOutputBuffer) {
  command(0xd2, 0x77);
  EXPECT_TRUE(irq1_);
  EXPECT_EQ(data(), 0x77);
  command(0xd3, 0x5a);  // as Linux tests the aux port
  EXPECT_TRUE(irq12_);
  EXPECT_EQ(status() & 0x21, 0x21);
  EXPECT_EQ(data(), 0x5a);
  EXPECT_FALSE(irq12_);
}

// --- Keyboard --------------------------------------------------------------------------------------------------------

TEST_F(I8042Test, KeyboardResetAnswersAndPassesItsTest) {
  write_data(0xff);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0xaa));
}

TEST_F(I8042Test, KeyboardIdentifiesItself) {
  write_data(0xf2);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0xab, 0x83));
  command(0x60, 0x40);
  write_data(0xf2);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0xab, 0x41));
}

TEST_F(I8042Test, EchoAnswersWithItself) {
  write_data(0xee);
  EXPECT_THAT(read_all(), ElementsAre(0xee));
}

TEST_F(I8042Test, UnknownKeyboardCommandAsksToResend) {
  write_data(0xef);
  EXPECT_THAT(read_all(), ElementsAre(0xfe));
}

TEST_F(I8042Test, ResendRepeatsTheLastByte) {
  write_data(0xee);
  read_all();
  write_data(0xfe);
  EXPECT_THAT(read_all(), ElementsAre(0xee));
}

TEST_F(I8042Test, LightsFollowTheirCommand) {
  write_data(0xed);
  write_data(0x06);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0xfa));
  EXPECT_EQ(keyboard_.lights(), Ps2Keyboard::kNumLockLight | Ps2Keyboard::kCapsLockLight);
}

TEST_F(I8042Test, CommandInPlaceOfAnArgumentIsACommand) {
  write_data(0xed);
  write_data(0xee);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0xee));
}

TEST_F(I8042Test, ScanCodeSetsCanBeChosen) {
  write_data(0xf0);
  write_data(0x01);
  read_all();
  write_data(0xf0);
  write_data(0x00);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0xfa, 0x01));
  keyboard_.press(KeyCode::Escape);
  keyboard_.release(KeyCode::Escape);
  EXPECT_THAT(read_all(), ElementsAre(0x01, 0x81));
}

TEST_F(I8042Test, Set3KeysMakeAndBreakWhenToldTo) {
  write_data(0xf0);
  write_data(0x03);
  read_all();
  keyboard_.press(KeyCode::Escape);
  keyboard_.release(KeyCode::Escape);
  EXPECT_THAT(read_all(), ElementsAre(0x08));
  write_data(0xfa);
  read_all();
  keyboard_.press(KeyCode::Escape);
  keyboard_.release(KeyCode::Escape);
  EXPECT_THAT(read_all(), ElementsAre(0x08, 0xf0, 0x08));
}

TEST_F(I8042Test, DisabledScanningSendsNothing) {
  write_data(0xf5);
  keyboard_.press(KeyCode::A);
  EXPECT_THAT(read_all(), ElementsAre(0xfa));
  write_data(0xf4);
  keyboard_.press(KeyCode::B);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0x32));
}

TEST_F(I8042Test, AnswersOvertakeScanCodes) {
  command(0xad);
  keyboard_.press(KeyCode::A);
  write_data(0xed);
  EXPECT_EQ(data(), 0x1c);  // was on the link when the port opened
  keyboard_.press(KeyCode::B);
  write_data(0x00);
  clock_.advance(1'000'000);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0xfa, 0x32));
}

TEST_F(I8042Test, PauseMakesAndBreaksAtOnce) {
  keyboard_.press(KeyCode::Pause);
  keyboard_.release(KeyCode::Pause);
  EXPECT_THAT(read_all(), ElementsAre(0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77));
}

TEST_F(I8042Test, PrintScreenPretendsShift) {
  keyboard_.press(KeyCode::Print);
  keyboard_.release(KeyCode::Print);
  EXPECT_THAT(read_all(), ElementsAre(0xe0, 0x12, 0xe0, 0x7c, 0xe0, 0xf0, 0x7c, 0xe0, 0xf0, 0x12));
}

TEST_F(I8042Test, TooManyKeysEndInTheOverrunCode) {
  command(0xad);
  for (int i = 0; i < 100; ++i) keyboard_.press(KeyCode::A);
  command(0xae);
  const std::vector<uint8_t> bytes = read_all();
  EXPECT_EQ(bytes.size(), 64u);
  EXPECT_EQ(bytes.back(), 0x00);
}

TEST_F(I8042Test, KeysHaveTheirQemuNames) {
  EXPECT_EQ(key_from_name("ret"), KeyCode::Return);
  EXPECT_EQ(key_from_name("1"), KeyCode::Digit1);
  EXPECT_EQ(key_from_name("shift_r"), KeyCode::ShiftRight);
  EXPECT_EQ(key_from_name("return"), std::nullopt);
  EXPECT_EQ(key_name(KeyCode::GraveAccent), "grave_accent");
}

// --- Mouse -----------------------------------------------------------------------------------------------------------

TEST_F(I8042Test, MouseResetAnswersTestAndIdentity) {
  to_mouse(0xff);
  EXPECT_TRUE(irq12_);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0xaa, 0x00));
}

TEST_F(I8042Test, MouseStaysSilentUntilEnabled) {
  mouse_.move(1, 1);
  EXPECT_THAT(read_all(), ElementsAre());
}

TEST_F(I8042Test, MousePacketHasSignsAndButtons) {
  to_mouse(0xf4);
  read_all();
  mouse_.move(5, 3);
  EXPECT_THAT(read_all(), ElementsAre(0x28, 5, 0xfd));  // down is negative
  mouse_.set_buttons(Ps2Mouse::kLeft | Ps2Mouse::kMiddle);
  EXPECT_THAT(read_all(), ElementsAre(0x0d, 0, 0));
  mouse_.set_buttons(0);
  EXPECT_THAT(read_all(), ElementsAre(0x08, 0, 0));
}

TEST_F(I8042Test, LargeMovementTakesSeveralPackets) {
  to_mouse(0xf4);
  read_all();
  mouse_.move(-300, 0);
  EXPECT_THAT(read_all(), ElementsAre(0x18, 0x01, 0, 0x18, 0xd3, 0));
}

TEST_F(I8042Test, IntelliMouseKnockOpensTheWheel) {
  knock(100);
  to_mouse(0xf2);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0x03));
  to_mouse(0xf4);
  read_all();
  mouse_.move(0, 0, -1);
  EXPECT_THAT(read_all(), ElementsAre(0x08, 0, 0, 0xff));
}

TEST_F(I8042Test, ExplorerKnockOpensFiveButtons) {
  knock(200);
  to_mouse(0xf2);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0x04));
  to_mouse(0xf4);
  read_all();
  mouse_.set_buttons(Ps2Mouse::kSide | Ps2Mouse::kExtra);
  EXPECT_THAT(read_all(), ElementsAre(0x08, 0, 0, 0x30));
}

TEST_F(I8042Test, MouseStatusReportsItsSettings) {
  to_mouse(0xe8);
  to_mouse(0x03);
  to_mouse(0xf3);
  to_mouse(40);
  to_mouse(0xf4);
  read_all();
  to_mouse(0xe9);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0x20, 0x03, 40));
}

TEST_F(I8042Test, RemoteMouseReportsWhenAsked) {
  to_mouse(0xf0);
  read_all();
  mouse_.move(2, 0);
  EXPECT_THAT(read_all(), ElementsAre());
  to_mouse(0xeb);
  EXPECT_THAT(read_all(), ElementsAre(0xfa, 0x08, 2, 0));
}

TEST_F(I8042Test, WrapModeEchoes) {
  to_mouse(0xee);
  read_all();
  to_mouse(0xf4);
  EXPECT_THAT(read_all(), ElementsAre(0xf4));
  to_mouse(0xec);
  EXPECT_THAT(read_all(), ElementsAre(0xfa));
}

// --- Suite -----------------------------------------------------------------------------------------------------------

struct ControllerRig {
  Log log;
  ManualClock clock;
  Ps2Keyboard keyboard{log};
  Ps2Mouse mouse{log};
  I8042 controller{clock, keyboard, mouse, {}, log};
  Device& device() { return controller; }
  std::vector<WindowUnderTest> windows() { return {{&controller.data_port(), 1}, {&controller.command_port(), 1}}; }
};

struct KeyboardRig : ControllerRig {
  Device& device() { return keyboard; }
};

struct MouseRig : ControllerRig {
  Device& device() { return mouse; }
};

TEST(I8042, PassesTheDeviceSuite) { check_device<ControllerRig>(); }
TEST(Ps2Keyboard, PassesTheDeviceSuite) { check_device<KeyboardRig>(); }
TEST(Ps2Mouse, PassesTheDeviceSuite) { check_device<MouseRig>(); }

}  // namespace
}  // namespace calco::devices
