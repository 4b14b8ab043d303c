#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "machine/boot/kernel_loader.h"
#include "machine/boot/linux_image.h"
#include "machine/boot/multiboot_image.h"
#include "machine/core/option_error.h"
#include "roms/option_roms.h"

namespace calco::machine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr uint64_t kMemory = 64ull << 20;

template <typename T>
void put(std::vector<uint8_t>& bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
}
template <typename T>
T get(const std::vector<uint8_t>& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

template <typename Function>
std::string error(Function function) {
  try {
    function();
  } catch (const OptionError& refusal) {
    return refusal.what();
  }
  return {};
}

// A bzImage of boot protocol 2.12: four setup sectors, 32 KiB of code filled with 0xC3.
NamedImage bzimage() {
  std::vector<uint8_t> bytes(5 * 512 + 32768, 0xC3);
  std::fill(bytes.begin(), bytes.begin() + 5 * 512, uint8_t{0});
  put<uint8_t>(bytes, 0x1F1, 4);
  put<uint32_t>(bytes, 0x1F4, 32768 / 16);
  put<uint16_t>(bytes, 0x1FE, 0xAA55);
  std::memcpy(bytes.data() + 0x202, "HdrS", 4);
  put<uint16_t>(bytes, 0x206, 0x20C);
  put<uint8_t>(bytes, 0x211, 0x01);
  put<uint32_t>(bytes, 0x22C, 0x7FFFFFFF);
  put<uint32_t>(bytes, 0x238, 2047);
  return {"vmlinuz", std::move(bytes)};
}

TEST(LinuxImage, PartsGoWhereTheBootProtocolPutsThem) {
  const BootPlan plan = plan_linux_boot(bzimage(), std::nullopt, "quiet", kMemory);
  EXPECT_EQ(plan.setup.address, 0x10000u);
  EXPECT_EQ(plan.setup.bytes.size(), 5u * 512);
  EXPECT_EQ(plan.kernel.address, 0x100000u);
  EXPECT_EQ(plan.kernel.bytes, std::vector<uint8_t>(32768, 0xC3));
  EXPECT_EQ(std::string(plan.command_line.bytes.begin(), plan.command_line.bytes.end()), std::string("quiet") + '\0');
}

TEST(LinuxImage, HeaderTellsTheKernelWhatWasLoaded) {
  const NamedImage initrd{"initrd", std::vector<uint8_t>(5000, 1)};
  const BootPlan plan = plan_linux_boot(bzimage(), initrd, "vga=0x317 quiet", kMemory);
  const std::vector<uint8_t>& setup = plan.setup.bytes;
  EXPECT_EQ(get<uint8_t>(setup, 0x210), 0xFF);
  EXPECT_EQ(get<uint8_t>(setup, 0x211) & 0x80, 0x80) << "the heap is usable";
  EXPECT_EQ(get<uint16_t>(setup, 0x224), 0xFE00);
  EXPECT_EQ(get<uint32_t>(setup, 0x228), plan.command_line.address);
  EXPECT_EQ(get<uint32_t>(setup, 0x218), plan.initrd.address);
  EXPECT_EQ(get<uint32_t>(setup, 0x21C), 5000u);
  EXPECT_EQ(get<uint16_t>(setup, 0x1FA), 0x317);
}

TEST(LinuxImage, InitrdLiesOnAPageBelowTheKernelsLimit) {
  NamedImage kernel = bzimage();
  put<uint32_t>(kernel.bytes, 0x22C, 0x02FFFFFF);
  const BootPlan plan = plan_linux_boot(kernel, NamedImage{"initrd", std::vector<uint8_t>(5000)}, "", kMemory);
  EXPECT_EQ(plan.initrd.address, 0x03000000u - 0x2000);
}

TEST(LinuxImage, KernelsBeforeProtocol202GetTheCommandLineBesideTheSetupCode) {
  NamedImage kernel = bzimage();
  put<uint16_t>(kernel.bytes, 0x206, 0x201);
  const BootPlan plan = plan_linux_boot(kernel, std::nullopt, "quiet", kMemory);
  EXPECT_EQ(plan.setup.address, 0x90000u);
  EXPECT_EQ(get<uint16_t>(plan.setup.bytes, 0x20), 0xA33F);
  EXPECT_EQ(plan.setup.address + get<uint16_t>(plan.setup.bytes, 0x22), plan.command_line.address);
}

TEST(LinuxImage, WhatCannotWorkIsRefused) {
  NamedImage truncated = bzimage();
  truncated.bytes.resize(20000);
  EXPECT_THAT(error([&] { plan_linux_boot(truncated, std::nullopt, "", kMemory); }),
              AllOf(HasSubstr("-kernel: 'vmlinuz'"), HasSubstr("truncated")));
  EXPECT_THAT(error([] { plan_linux_boot(bzimage(), std::nullopt, std::string(3000, 'x'), kMemory); }),
              AllOf(HasSubstr("-append"), HasSubstr("2047")));
  EXPECT_THAT(error([] { plan_linux_boot(bzimage(), NamedImage{"big", std::vector<uint8_t>(kMemory)}, "", kMemory); }),
              AllOf(HasSubstr("-initrd: 'big'"), HasSubstr("-m")));
  EXPECT_THAT(error([] { plan_linux_boot(bzimage(), std::nullopt, "", 1 << 20); }), HasSubstr("does not fit"));
}

// A multiboot ELF32 kernel: one segment of 64 bytes in the file and 4,096 in memory at 2 MiB, linked at C0200000.
NamedImage elf_kernel() {
  std::vector<uint8_t> bytes(0x200);
  Elf32_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_machine = EM_386;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 1;
  header.e_entry = 0xC0200010;
  put(bytes, 0, header);
  Elf32_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_offset = 0x100;
  segment.p_paddr = 0x200000;
  segment.p_vaddr = 0xC0200000;
  segment.p_filesz = 64;
  segment.p_memsz = 4096;
  put(bytes, sizeof(header), segment);
  put<uint32_t>(bytes, 0x100, 0x1BADB002);
  put<uint32_t>(bytes, 0x104, 0x3);
  put<uint32_t>(bytes, 0x108, 0u - 0x1BADB002 - 0x3);
  bytes[0x110] = 0x90;
  return {"kernel.elf", std::move(bytes)};
}

// The same with flag bit 16: header at file offset 0x20, loaded from 0x10 on at 1 MiB + 0x10, 4 KiB of BSS.
NamedImage address_kernel() {
  std::vector<uint8_t> bytes(0x80, 0x77);
  const uint32_t flags = 1u << 16;
  for (size_t i = 0; const uint32_t field : {0x1BADB002u, flags, 0u - 0x1BADB002 - flags, 0x100020u, 0x100010u,
                                             0x100070u, 0x101070u, 0x100040u}) {
    put<uint32_t>(bytes, 0x20 + 4 * i++, field);
  }
  return {"kernel.bin", std::move(bytes)};
}

std::string string_at(const BootPiece& piece, uint32_t address) {
  return reinterpret_cast<const char*>(piece.bytes.data()) + (address - piece.address);
}

TEST(MultibootImage, ElfSegmentsGoToTheirPhysicalAddresses) {
  const BootPlan plan = plan_multiboot(elf_kernel(), {}, "a=b", kMemory);
  EXPECT_EQ(plan.protocol, BootPlan::Protocol::Multiboot);
  EXPECT_EQ(plan.kernel.address, 0x200000u);
  EXPECT_EQ(plan.kernel.bytes.size(), 4096u);
  EXPECT_EQ(plan.kernel.bytes[0x10], 0x90);
  EXPECT_EQ(plan.entry, 0x200010u) << "the entry is translated with its segment";
}

TEST(MultibootImage, AddressFieldsOverrideTheFileFormat) {
  const BootPlan plan = plan_multiboot(address_kernel(), {}, "", kMemory);
  EXPECT_EQ(plan.kernel.address, 0x100010u);
  EXPECT_EQ(plan.kernel.bytes.size(), 0x1060u);
  EXPECT_EQ(plan.kernel.bytes[0], 0x77);
  EXPECT_EQ(plan.kernel.bytes[0x60], 0) << "BSS";
  EXPECT_EQ(plan.entry, 0x100040u);
}

TEST(MultibootImage, InformationNamesModulesCommandLineAndLoader) {
  const std::vector<MultibootModule> modules = {{{"m1", {1, 2, 3}}, "m1 first"}, {{"m2", {4}}, "m2"}};
  const BootPlan plan = plan_multiboot(elf_kernel(), modules, "a=b", kMemory);
  const std::vector<uint8_t>& info = plan.setup.bytes;
  EXPECT_EQ(get<uint32_t>(info, 0), 1u << 2 | 1u << 3 | 1u << 9);
  EXPECT_EQ(string_at(plan.initrd, get<uint32_t>(info, 16)), "kernel.elf a=b");
  EXPECT_EQ(string_at(plan.initrd, get<uint32_t>(info, 64)), "Calco");
  ASSERT_EQ(get<uint32_t>(info, 20), 2u);
  const uint32_t list = get<uint32_t>(info, 24) - plan.initrd.address;
  const auto start = get<uint32_t>(plan.initrd.bytes, list + 16);
  EXPECT_EQ(start % 4096, 0u);
  EXPECT_EQ(get<uint32_t>(plan.initrd.bytes, list + 20), start + 1);
  EXPECT_EQ(plan.initrd.bytes[start - plan.initrd.address], 4);
  EXPECT_EQ(string_at(plan.initrd, get<uint32_t>(plan.initrd.bytes, list + 8)), "m1 first");
}

TEST(MultibootImage, WhatCannotWorkIsRefused) {
  NamedImage wide = elf_kernel();
  wide.bytes[EI_CLASS] = ELFCLASS64;
  EXPECT_THAT(error([&] { plan_multiboot(wide, {}, "", kMemory); }), HasSubstr("32-bit"));
  NamedImage truncated = elf_kernel();
  truncated.bytes.resize(0x120);
  EXPECT_THAT(error([&] { plan_multiboot(truncated, {}, "", kMemory); }), HasSubstr("truncated"));
  EXPECT_THAT(error([] { plan_multiboot(elf_kernel(), {}, "", 1 << 20); }), HasSubstr("not all free RAM"));
  NamedImage demanding = elf_kernel();
  put<uint32_t>(demanding.bytes, 0x104, 0x8000);
  put<uint32_t>(demanding.bytes, 0x108, 0u - 0x1BADB002 - 0x8000);
  EXPECT_THAT(error([&] { plan_multiboot(demanding, {}, "", kMemory); }), HasSubstr("features"));
}

class KernelLoader : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::vector<uint8_t>& bytes) {
    const std::string path = ::testing::TempDir() + "calco-" + name;
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  std::string error_of(const MachineConfig& config) {
    return error([&] { load_kernel(config, kMemory); });
  }
  MachineConfig config_;
};

TEST_F(KernelLoader, WithoutAKernelThereIsNoPlan) { EXPECT_FALSE(load_kernel(config_, kMemory).has_value()); }

TEST_F(KernelLoader, RefusalsNameTheOption) {
  config_.kernel = "/nonexistent/vmlinuz";
  EXPECT_THAT(error_of(config_), AllOf(HasSubstr("-kernel: cannot read"), HasSubstr("No such file")));
  config_.kernel = "/tmp";
  EXPECT_THAT(error_of(config_), HasSubstr("is a directory"));
  config_.kernel = file("empty", {});
  EXPECT_THAT(error_of(config_), HasSubstr("is empty"));
  config_.kernel = file("text", std::vector<uint8_t>(10000, 'x'));
  EXPECT_THAT(error_of(config_), HasSubstr("neither a Linux bzImage nor a multiboot kernel"));
  config_.kernel = file("vmlinuz", bzimage().bytes);
  config_.initrd = "/nonexistent/initrd";
  EXPECT_THAT(error_of(config_), HasSubstr("-initrd: cannot read"));
}

TEST_F(KernelLoader, InitrdOfAMultibootKernelIsAListOfModules) {
  config_.kernel = file("elf", elf_kernel().bytes);
  const std::string module = file("module", {1, 2, 3});
  config_.initrd = module + " one," + module;
  EXPECT_EQ(get<uint32_t>(load_kernel(config_, kMemory)->setup.bytes, 20), 2u);
}

uint8_t sum(std::span<const uint8_t> bytes) {
  uint8_t total = 0;
  for (uint8_t byte : bytes) total = static_cast<uint8_t>(total + byte);
  return total;
}

TEST(OptionRoms, HaveSignatureLengthAndChecksums) {
  for (std::span<const uint8_t> rom : {roms::linuxboot(), roms::multiboot()}) {
    EXPECT_EQ(rom[0] | rom[1] << 8, 0xAA55);
    EXPECT_EQ(rom.size(), rom[2] * 512u);
    EXPECT_EQ(sum(rom), 0);
    const size_t header = rom[0x1A] | static_cast<size_t>(rom[0x1B]) << 8;
    EXPECT_EQ(std::memcmp(rom.data() + header, "$PnP", 4), 0);
    EXPECT_EQ(sum(rom.subspan(header, 32)), 0);
  }
}

}  // namespace
}  // namespace calco::machine
