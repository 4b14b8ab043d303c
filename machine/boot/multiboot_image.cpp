#include "machine/boot/multiboot_image.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "machine/core/option_error.h"

namespace calco::machine {
namespace {

// 3.1.1: the header, at a multiple of 4 in the first 8192 bytes. The address fields count where flag bit 16 is set.
struct Header {
  uint32_t magic, flags, checksum;
  uint32_t header_address, load_address, load_end_address, bss_end_address, entry_address;
};
constexpr uint32_t kMagic = 0x1BADB002;
constexpr size_t kSearchLimit = 8192;
constexpr size_t kRequiredPart = 12;
constexpr uint32_t kHasAddresses = 1u << 16;
constexpr uint32_t kMustUnderstand = 0xFFFF;
// Page-aligned modules, memory information, and a video mode: the last is a wish that a machine without a screen
// leaves open.
constexpr uint32_t kUnderstood = 0x7;

// 3.3: offsets in the information structure.
constexpr size_t kInfoFlags = 0, kInfoCommandLine = 16, kInfoModuleCount = 20, kInfoModules = 24, kInfoLoaderName = 64,
                 kInfoSize = 120;
constexpr uint32_t kInfoHasCommandLine = 1u << 2, kInfoHasModules = 1u << 3, kInfoHasLoaderName = 1u << 9;

// Low memory: the option ROM and the firmware keep their data below kLowestAddress and from kConventionalEnd on.
constexpr uint32_t kInfoAddress = 0x9000;
constexpr uint64_t kLowestAddress = 0xA000;
constexpr uint64_t kConventionalEnd = 0x9F000;
constexpr uint64_t kExtendedMemory = 0x100000;
constexpr uint64_t kPage = 4096;

uint64_t page_up(uint64_t value) { return (value + kPage - 1) & ~(kPage - 1); }

struct FoundHeader {
  Header header;
  size_t offset;
};

std::optional<FoundHeader> find_header(const std::vector<uint8_t>& image) {
  const size_t end = std::min(image.size(), kSearchLimit);
  for (size_t offset = 0; offset + kRequiredPart <= end; offset += 4) {
    Header header{};
    std::memcpy(&header, image.data() + offset, std::min(sizeof(header), image.size() - offset));
    if (header.magic == kMagic && header.magic + header.flags + header.checksum == 0)
      return FoundHeader{header, offset};
  }
  return std::nullopt;
}

[[noreturn]] void refuse(const NamedImage& kernel, std::string_view reason) {
  throw OptionError("-kernel", fmt::format("multiboot kernel '{}' {}", kernel.name, reason));
}

void check_place(const NamedImage& kernel, uint64_t begin, uint64_t end, uint64_t low_memory) {
  const bool conventional = begin >= kLowestAddress && end <= kConventionalEnd;
  const bool extended = begin >= kExtendedMemory && end <= low_memory;
  if (begin < end && (conventional || extended)) return;
  refuse(kernel, fmt::format("wants the memory from {:#x} to {:#x}, which is not all free RAM", begin, end));
}

// 3.1.3, the address fields.
void load_by_addresses(BootPlan& plan, const NamedImage& kernel, const FoundHeader& found, uint64_t low_memory) {
  const Header& header = found.header;
  const uint64_t before_header = uint64_t{header.header_address} - header.load_address;
  if (header.header_address < header.load_address || before_header > found.offset) {
    refuse(kernel, "has a header whose load address does not match its place in the file");
  }
  const size_t file_begin = found.offset - before_header;
  const uint64_t available = kernel.bytes.size() - file_begin;
  const uint64_t wanted =
      header.load_end_address == 0 ? available : uint64_t{header.load_end_address} - header.load_address;
  if (header.load_end_address != 0 && header.load_end_address < header.load_address) {
    refuse(kernel, "has a load end address below its load address");
  }
  if (wanted > available) refuse(kernel, "is truncated");
  const uint64_t end = std::max<uint64_t>(header.load_address + wanted, header.bss_end_address);
  check_place(kernel, header.load_address, end, low_memory);
  const auto begin = kernel.bytes.begin() + static_cast<std::ptrdiff_t>(file_begin);
  plan.kernel = {header.load_address, {begin, begin + static_cast<std::ptrdiff_t>(wanted)}};
  plan.kernel.bytes.resize(end - header.load_address);
  plan.entry = header.entry_address;
}

std::vector<Elf32_Phdr> loadable_segments(const NamedImage& kernel, const Elf32_Ehdr& header) {
  const uint64_t end = uint64_t{header.e_phoff} + uint64_t{header.e_phnum} * sizeof(Elf32_Phdr);
  if (header.e_phentsize != sizeof(Elf32_Phdr) || end > kernel.bytes.size()) refuse(kernel, "is truncated");
  std::vector<Elf32_Phdr> segments(header.e_phnum);
  std::memcpy(segments.data(), kernel.bytes.data() + header.e_phoff, segments.size() * sizeof(Elf32_Phdr));
  std::erase_if(segments, [](const Elf32_Phdr& segment) { return segment.p_type != PT_LOAD || segment.p_memsz == 0; });
  if (segments.empty()) refuse(kernel, "has no loadable segment");
  for (const Elf32_Phdr& segment : segments) {
    if (uint64_t{segment.p_offset} + segment.p_filesz > kernel.bytes.size()) refuse(kernel, "is truncated");
    if (segment.p_filesz > segment.p_memsz) refuse(kernel, "has a segment that is longer in the file than in memory");
  }
  return segments;
}

void load_elf(BootPlan& plan, const NamedImage& kernel, uint64_t low_memory) {
  Elf32_Ehdr header;
  if (kernel.bytes.size() < sizeof(header)) refuse(kernel, "is truncated");
  std::memcpy(&header, kernel.bytes.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    refuse(kernel, "is neither an ELF file nor does its header tell load addresses");
  }
  if (header.e_ident[EI_CLASS] != ELFCLASS32 || header.e_machine != EM_386) {
    refuse(kernel, "is not a 32-bit x86 ELF file; convert it with objcopy -O elf32-i386");
  }
  const std::vector<Elf32_Phdr> segments = loadable_segments(kernel, header);
  uint64_t begin = UINT64_MAX;
  uint64_t end = 0;
  for (const Elf32_Phdr& segment : segments) {
    begin = std::min<uint64_t>(begin, segment.p_paddr);
    end = std::max<uint64_t>(end, uint64_t{segment.p_paddr} + segment.p_memsz);
  }
  check_place(kernel, begin, end, low_memory);
  plan.kernel = {static_cast<uint32_t>(begin), std::vector<uint8_t>(end - begin)};
  plan.entry = header.e_entry;
  for (const Elf32_Phdr& segment : segments) {
    std::memcpy(plan.kernel.bytes.data() + (segment.p_paddr - begin), kernel.bytes.data() + segment.p_offset,
                segment.p_filesz);
    // The entry is a virtual address; paging is off when the kernel begins.
    if (header.e_entry >= segment.p_vaddr && header.e_entry - segment.p_vaddr < segment.p_memsz) {
      plan.entry = header.e_entry - segment.p_vaddr + segment.p_paddr;
    }
  }
}

// Modules on page boundaries, then the strings and the list of modules, in one piece behind the kernel.
class ModuleArea {
 public:
  explicit ModuleArea(uint64_t address) : address_(address) {}

  uint32_t end() const { return static_cast<uint32_t>(address_ + bytes_.size()); }
  uint64_t size() const { return bytes_.size(); }
  uint32_t append(const void* data, size_t size, size_t alignment) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    const uint32_t place = end();
    const auto* first = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), first, first + size);
    return place;
  }
  uint32_t append(const std::string& text) { return append(text.c_str(), text.size() + 1, 1); }
  BootPiece take() { return {static_cast<uint32_t>(address_), std::move(bytes_)}; }

 private:
  uint64_t address_;
  std::vector<uint8_t> bytes_;
};

void set_info(BootPlan& plan, size_t offset, uint32_t value) {
  std::memcpy(plan.setup.bytes.data() + offset, &value, sizeof(value));
}

void check_modules_fit(const std::vector<MultibootModule>& modules, uint64_t begin, uint64_t low_memory) {
  constexpr uint64_t kStrings = 1 << 20;  // room for strings and the list, generously
  uint64_t end = begin + kStrings;
  for (const MultibootModule& module : modules) end += page_up(module.image.bytes.size());
  if (!modules.empty() && end > low_memory) {
    throw OptionError("-initrd", "the modules do not fit into memory beside the kernel; give more with -m");
  }
}

// 3.3: what the host knows; the option ROM adds the memory map.
void describe(BootPlan& plan, const NamedImage& kernel, const std::vector<MultibootModule>& modules,
              std::string_view command_line, uint64_t low_memory) {
  const uint64_t kernel_end = plan.kernel.address + plan.kernel.bytes.size();
  const uint64_t begin = std::max(page_up(kernel_end), kExtendedMemory);
  check_modules_fit(modules, begin, low_memory);
  ModuleArea area(begin);
  std::vector<uint32_t> list;  // 16 bytes a module: start, end, string, reserved
  for (const MultibootModule& module : modules) {
    const uint32_t start = area.append(module.image.bytes.data(), module.image.bytes.size(), kPage);
    list.insert(list.end(), {start, area.end(), 0, 0});
  }
  for (size_t i = 0; i < modules.size(); ++i) list[i * 4 + 2] = area.append(modules[i].command_line);
  plan.setup = {kInfoAddress, std::vector<uint8_t>(kInfoSize)};
  set_info(plan, kInfoFlags, kInfoHasCommandLine | kInfoHasModules | kInfoHasLoaderName);
  set_info(plan, kInfoCommandLine,
           area.append(command_line.empty() ? kernel.name : fmt::format("{} {}", kernel.name, command_line)));
  set_info(plan, kInfoLoaderName, area.append("Calco"));
  set_info(plan, kInfoModuleCount, static_cast<uint32_t>(modules.size()));
  set_info(plan, kInfoModules, area.append(list.data(), list.size() * sizeof(uint32_t), 16));
  plan.initrd = area.take();
}

}  // namespace

bool is_multiboot_image(const NamedImage& kernel) { return find_header(kernel.bytes).has_value(); }

BootPlan plan_multiboot(const NamedImage& kernel, const std::vector<MultibootModule>& modules,
                        std::string_view command_line, uint64_t low_memory) {
  const std::optional<FoundHeader> found = find_header(kernel.bytes);
  if (!found) refuse(kernel, "has no multiboot header");
  if (const uint32_t unknown = found->header.flags & kMustUnderstand & ~kUnderstood; unknown != 0) {
    refuse(kernel, fmt::format("requires features that do not exist (flags {:#x})", unknown));
  }
  BootPlan plan;
  plan.protocol = BootPlan::Protocol::Multiboot;
  if ((found->header.flags & kHasAddresses) != 0) {
    load_by_addresses(plan, kernel, *found, low_memory);
  } else {
    load_elf(plan, kernel, low_memory);
  }
  describe(plan, kernel, modules, command_line, low_memory);
  return plan;
}

}  // namespace calco::machine
