#include "machine/boot/linux_image.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "machine/core/option_error.h"

namespace calco::machine {
namespace {

// Offsets of the setup header's fields in the image ("The Real-Mode Kernel Header").
constexpr size_t kSetupSectors = 0x1F1;
constexpr size_t kSystemSize = 0x1F4;  // of the protected-mode code, in units of 16 bytes
constexpr size_t kVideoMode = 0x1FA;
constexpr size_t kBootFlag = 0x1FE;
constexpr size_t kSignature = 0x202;
constexpr size_t kVersion = 0x206;
constexpr size_t kLoaderType = 0x210;
constexpr size_t kLoadFlags = 0x211;
constexpr size_t kRamdiskImage = 0x218;
constexpr size_t kRamdiskSize = 0x21C;
constexpr size_t kHeapEnd = 0x224;
constexpr size_t kCommandLinePointer = 0x228;
constexpr size_t kInitrdMaximum = 0x22C;
constexpr size_t kCommandLineSize = 0x238;
constexpr size_t kHeaderEnd = 0x260;
// Where kernels older than protocol 2.02 look for the command line.
constexpr size_t kOldCommandLineMagic = 0x20;
constexpr size_t kOldCommandLineOffset = 0x22;

constexpr uint8_t kLoadedHigh = 0x01;
constexpr uint8_t kCanUseHeap = 0x80;
constexpr uint8_t kLoaderUndefined = 0xFF;
constexpr size_t kSector = 512;
constexpr size_t kMaximumSetup = 0xF000;  // leaves room for heap and stack below the command line
constexpr uint64_t kPage = 4096;

template <typename T>
T field(const std::vector<uint8_t>& image, size_t offset) {
  T value;
  std::memcpy(&value, image.data() + offset, sizeof(T));
  return value;
}
template <typename T>
void set_field(std::vector<uint8_t>& image, size_t offset, T value) {
  std::memcpy(image.data() + offset, &value, sizeof(T));
}

// The number behind "vga=" as the kernel's boot loaders understand it.
std::optional<uint16_t> video_mode(std::string_view command_line) {
  const size_t begin = command_line.rfind("vga=");
  if (begin == std::string_view::npos || (begin != 0 && command_line[begin - 1] != ' ')) return std::nullopt;
  std::string_view value = command_line.substr(begin + 4);
  value = value.substr(0, value.find(' '));
  if (value == "normal") return uint16_t{0xFFFF};
  if (value == "ext") return uint16_t{0xFFFE};
  if (value == "ask") return uint16_t{0xFFFD};
  const bool hexadecimal = value.starts_with("0x");
  if (hexadecimal) value.remove_prefix(2);
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number, hexadecimal ? 16 : 10);
  if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
  return number;
}

struct Layout {
  uint32_t setup;
  uint32_t command_line;
  uint32_t kernel;
};

// Where the parts go: "Memory Layout" of the protocol. Before 2.02 the command line has to lie in the setup code's
// 64 KiB; a zImage runs at 10000H.
Layout choose_layout(uint16_t version, bool loaded_high, size_t command_line_size) {
  if (loaded_high && version >= 0x202) return {0x10000, 0x20000, 0x100000};
  const auto command_line = static_cast<uint32_t>((0x9A000 - command_line_size) & ~size_t{0xF});
  return {0x90000, command_line, loaded_high ? 0x100000u : 0x10000u};
}

void check_command_line(const std::vector<uint8_t>& image, uint16_t version, std::string_view command_line) {
  const size_t limit = version >= 0x206 ? field<uint32_t>(image, kCommandLineSize) : 255;
  if (command_line.size() > limit) {
    throw OptionError("-append", fmt::format("{} characters are more than the {} that this kernel takes",
                                             command_line.size(), limit));
  }
}

void fill_header(BootPlan& plan, uint16_t version, std::string_view command_line) {
  std::vector<uint8_t>& setup = plan.setup.bytes;
  if (const auto mode = video_mode(command_line)) set_field<uint16_t>(setup, kVideoMode, *mode);
  set_field<uint8_t>(setup, kLoaderType, kLoaderUndefined);
  if (version >= 0x201) {
    set_field<uint8_t>(setup, kLoadFlags, setup[kLoadFlags] | kCanUseHeap);
    set_field<uint16_t>(setup, kHeapEnd, static_cast<uint16_t>(plan.command_line.address - plan.setup.address - 0x200));
  }
  if (version >= 0x202) {
    set_field<uint32_t>(setup, kCommandLinePointer, plan.command_line.address);
  } else {
    set_field<uint16_t>(setup, kOldCommandLineMagic, 0xA33F);
    set_field<uint16_t>(setup, kOldCommandLineOffset,
                        static_cast<uint16_t>(plan.command_line.address - plan.setup.address));
  }
  if (!plan.initrd.bytes.empty()) {
    set_field<uint32_t>(setup, kRamdiskImage, plan.initrd.address);
    set_field<uint32_t>(setup, kRamdiskSize, static_cast<uint32_t>(plan.initrd.bytes.size()));
  }
}

// As high as the kernel and the memory allow; the option ROM moves it below what the firmware keeps for itself.
void place_initrd(BootPlan& plan, const NamedImage& initrd, uint32_t highest, uint64_t low_memory) {
  const uint64_t end = std::min<uint64_t>(uint64_t{highest} + 1, low_memory);
  const uint64_t size = initrd.bytes.size();
  const uint64_t kernel_end = plan.kernel.address + plan.kernel.bytes.size();
  if (size > end || ((end - size) & ~(kPage - 1)) < kernel_end) {
    throw OptionError("-initrd", fmt::format("'{}' ({} bytes) does not fit into memory beside the kernel; "
                                             "give more with -m",
                                             initrd.name, size));
  }
  plan.initrd = {static_cast<uint32_t>((end - size) & ~(kPage - 1)), initrd.bytes};
}

}  // namespace

bool is_linux_image(const NamedImage& kernel) {
  return kernel.bytes.size() >= kHeaderEnd && field<uint16_t>(kernel.bytes, kBootFlag) == 0xAA55 &&
         std::memcmp(kernel.bytes.data() + kSignature, "HdrS", 4) == 0;
}

BootPlan plan_linux_boot(const NamedImage& kernel, const std::optional<NamedImage>& initrd,
                         std::string_view command_line, uint64_t low_memory) {
  const std::vector<uint8_t>& image = kernel.bytes;
  const uint16_t version = field<uint16_t>(image, kVersion);
  if (version < 0x200) {
    throw OptionError("-kernel", fmt::format("'{}' uses a boot protocol older than 2.00", kernel.name));
  }
  const size_t setup_sectors = image[kSetupSectors] == 0 ? 4 : image[kSetupSectors];
  const size_t setup_size = (setup_sectors + 1) * kSector;
  // The last unit of the size may be filled up beyond the end of the file.
  const size_t system_size = version >= 0x204 ? size_t{field<uint32_t>(image, kSystemSize)} * 16 : 16;
  if (setup_size + std::max<size_t>(system_size, 16) - 16 >= image.size()) {
    throw OptionError("-kernel", fmt::format("'{}' is truncated: {} bytes, its header tells of {}", kernel.name,
                                             image.size(), setup_size + system_size));
  }
  if (setup_size > kMaximumSetup) {
    throw OptionError("-kernel", fmt::format("'{}' has {} bytes of setup code; {} are possible", kernel.name,
                                             setup_size, kMaximumSetup));
  }
  check_command_line(image, version, command_line);

  BootPlan plan;
  const Layout layout = choose_layout(version, (image[kLoadFlags] & kLoadedHigh) != 0, command_line.size() + 1);
  const auto code = image.begin() + static_cast<std::ptrdiff_t>(setup_size);
  plan.setup = {layout.setup, {image.begin(), code}};
  plan.kernel = {layout.kernel, {code, image.end()}};
  plan.command_line = {layout.command_line, {command_line.begin(), command_line.end()}};
  plan.command_line.bytes.push_back(0);
  const uint64_t limit = layout.kernel < layout.setup ? layout.setup : low_memory;
  if (layout.kernel + plan.kernel.bytes.size() > limit) {
    throw OptionError("-kernel", fmt::format("'{}' ({} bytes) does not fit into memory; give more with -m", kernel.name,
                                             image.size()));
  }
  if (initrd) {
    const uint32_t highest = version >= 0x203 ? field<uint32_t>(image, kInitrdMaximum) : 0x37FFFFFF;
    place_initrd(plan, *initrd, highest, low_memory);
  }
  fill_header(plan, version, command_line);
  return plan;
}

}  // namespace calco::machine
