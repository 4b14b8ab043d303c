#include "jit/runtime/guest_symbols.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <stdexcept>

namespace calco::jit {
namespace {

TEST(GuestSymbols, OfKallsymsAreTheFunctions) {
  const GuestSymbols symbols = GuestSymbols::parse(
      "ffffffff81000040 T secondary_startup_64\n"
      "ffffffff81000000 T startup_64\n"
      "ffffffff81000020 D some_data\n"
      "ffffffffc0000000 t probe\t[virtio_net]\n");
  EXPECT_EQ(symbols.size(), 3u);
  EXPECT_EQ(symbols.name(0xffffffff81000000), "startup_64");
  EXPECT_EQ(symbols.name(0xffffffff81000021), "startup_64+0x21");
  EXPECT_EQ(symbols.name(0xffffffff81000040), "secondary_startup_64");
  EXPECT_EQ(symbols.name(0xffffffffc0000010), "probe+0x10");
}

TEST(GuestSymbols, NameNothingInFrontOfTheFirstFunctionAndFarBehindTheLast) {
  const GuestSymbols symbols = GuestSymbols::parse("0000000000400000 t only\n");
  EXPECT_EQ(symbols.name(0x3FFFFF), "");
  EXPECT_EQ(symbols.name(0x400000 + 0x100000), "");
}

// A file with one function of 16 bytes at 401000H called "main".
struct SmallElf {
  Elf64_Ehdr header = {};
  Elf64_Shdr sections[3] = {};
  Elf64_Sym symbols[2] = {};
  char strings[8] = "\0main";

  SmallElf() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_shoff = offsetof(SmallElf, sections);
    header.e_shnum = 3;
    sections[1].sh_type = SHT_SYMTAB;
    sections[1].sh_offset = offsetof(SmallElf, symbols);
    sections[1].sh_size = sizeof(symbols);
    sections[1].sh_link = 2;
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_offset = offsetof(SmallElf, strings);
    sections[2].sh_size = sizeof(strings);
    symbols[1].st_name = 1;
    symbols[1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    symbols[1].st_shndx = 1;
    symbols[1].st_value = 0x401000;
    symbols[1].st_size = 16;
  }
  std::string_view bytes(size_t size = sizeof(SmallElf)) const { return {reinterpret_cast<const char*>(this), size}; }
};

TEST(GuestSymbols, OfAnElfFileEndWhereTheFunctionsEnd) {
  const SmallElf file;
  const GuestSymbols symbols = GuestSymbols::parse(file.bytes());
  EXPECT_EQ(symbols.name(0x401000), "main");
  EXPECT_EQ(symbols.name(0x40100F), "main+0xf");
  EXPECT_EQ(symbols.name(0x401010), "");
}

TEST(GuestSymbols, OfACutFileAreRefused) {
  const SmallElf file;
  for (size_t size = 0; size < offsetof(SmallElf, strings); ++size) {
    EXPECT_THROW(GuestSymbols::parse(file.bytes(size)), std::runtime_error) << size;
  }
}

TEST(GuestSymbols, WithOffsetsBeyondTheFileAreRefused) {
  SmallElf file;
  file.symbols[1].st_name = 0xFFFFFFFF;
  EXPECT_THROW(GuestSymbols::parse(file.bytes()), std::runtime_error);
  file.sections[1].sh_offset = ~uint64_t{0};
  EXPECT_THROW(GuestSymbols::parse(file.bytes()), std::runtime_error);
  file.header.e_shoff = ~uint64_t{7};
  EXPECT_THROW(GuestSymbols::parse(file.bytes()), std::runtime_error);
}

TEST(GuestSymbols, OfAMissingFileAreRefused) {
  EXPECT_THROW(GuestSymbols::read("/nowhere/System.map"), std::runtime_error);
  EXPECT_THROW(GuestSymbols::read("/tmp"), std::runtime_error);
}

}  // namespace
}  // namespace calco::jit
