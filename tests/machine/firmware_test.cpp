#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "machine/firmware/acpi_tables.h"
#include "machine/firmware/aml.h"
#include "machine/firmware/platform.h"
#include "machine/firmware/smbios_tables.h"

namespace calco::machine {
namespace {

using Bytes = std::vector<uint8_t>;

TEST(MemoryLayout, SmallMachinesKeepAllBelowTheHoleLargerOnes3Gib) {
  EXPECT_EQ(memory_layout(2ull << 30).low, 2ull << 30);
  EXPECT_EQ(memory_layout(0xE0000000 - 8192).high, 0u);
  EXPECT_EQ(memory_layout(0xE0000000).low, 3ull << 30);
  EXPECT_EQ(memory_layout(6ull << 30).high, 3ull << 30);
}

// Encodings worked out by hand from ACPI 6.4, 20.2.
TEST(Aml, EncodesIntegersAsShortAsPossible) {
  EXPECT_EQ(aml::integer(0), (Bytes{0x00}));
  EXPECT_EQ(aml::integer(1), (Bytes{0x01}));
  EXPECT_EQ(aml::integer(0x80), (Bytes{0x0A, 0x80}));
  EXPECT_EQ(aml::integer(0x1234), (Bytes{0x0B, 0x34, 0x12}));
  EXPECT_EQ(aml::integer(0x12345678), (Bytes{0x0C, 0x78, 0x56, 0x34, 0x12}));
}

TEST(Aml, EncodesPaths) {
  EXPECT_EQ(aml::path("_S5"), (Bytes{'_', 'S', '5', '_'}));
  EXPECT_EQ(aml::path("\\_SB.PCI0"), (Bytes{'\\', 0x2E, '_', 'S', 'B', '_', 'P', 'C', 'I', '0'}));
  EXPECT_EQ(aml::path("^A.B.C"), (Bytes{'^', 0x2F, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_'}));
}

TEST(Aml, PackageLengthCountsItsOwnBytes) {
  const Bytes small = aml::scope("A", {Bytes(58)});
  EXPECT_EQ(small[1], 63);
  const Bytes large = aml::scope("A", {Bytes(59)});
  EXPECT_EQ(large[1], 0x40 | (65 & 0xF));
  EXPECT_EQ(large[2], 65 >> 4);
}

TEST(Aml, CompressesEisaIdentifiers) { EXPECT_EQ(aml::eisa_id("PNP0A03"), (Bytes{0x0C, 0x41, 0xD0, 0x0A, 0x03})); }

uint8_t sum(std::span<const uint8_t> bytes) {
  uint8_t total = 0;
  for (uint8_t byte : bytes) total = static_cast<uint8_t>(total + byte);
  return total;
}
template <typename T>
T get(const Bytes& bytes, size_t offset) {
  T value{};
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// What the firmware does with the loader script; file addresses are chosen by the test.
class FirmwareLoader {
 public:
  FirmwareLoader(const AcpiFiles& files, uint32_t tables_address) : tables_address_(tables_address) {
    contents_["etc/acpi/tables"] = files.tables;
    contents_["etc/acpi/rsdp"] = files.root_pointer;
    EXPECT_EQ(files.loader.size() % 128, 0u);
    for (size_t command = 0; command < files.loader.size(); command += 128) execute(files.loader.data() + command);
  }
  const Bytes& tables() { return contents_["etc/acpi/tables"]; }
  const Bytes& root_pointer() { return contents_["etc/acpi/rsdp"]; }
  const std::set<std::string>& allocated() const { return allocated_; }

 private:
  static uint32_t word(const uint8_t* at) {
    uint32_t value = 0;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  void execute(const uint8_t* command) {
    const std::string file = reinterpret_cast<const char*>(command + 4);
    if (word(command) == 1) allocated_.insert(file);
    if (word(command) == 2) add_pointer(contents_[file], word(command + 116), command[120]);
    if (word(command) == 3) set_checksum(contents_[file], word(command + 60), word(command + 64), word(command + 68));
  }
  void add_pointer(Bytes& file, uint32_t offset, uint8_t size) {
    uint64_t value = 0;
    std::memcpy(&value, file.data() + offset, size);
    value += tables_address_;
    std::memcpy(file.data() + offset, &value, size);
  }
  void set_checksum(Bytes& file, uint32_t offset, uint32_t start, uint32_t length) {
    file[offset] = static_cast<uint8_t>(file[offset] - sum(std::span(file).subspan(start, length)));
  }

  uint32_t tables_address_;
  std::map<std::string, Bytes> contents_;
  std::set<std::string> allocated_;
};

Platform platform() {
  Platform platform;
  platform.memory = memory_layout(512ull << 20);
  platform.cores = 4;
  platform.apic_ids = {0, 1, 2, 3};
  platform.serial_ports = {1, 2};
  return platform;
}

class AcpiTables : public ::testing::Test {
 protected:
  static constexpr uint32_t kAddress = 0x1FFE0000;

  size_t table(const std::string& signature) {
    const size_t rsdt = get<uint32_t>(loader_.root_pointer(), 16) - kAddress;
    for (size_t entry = rsdt + 36; entry < rsdt + get<uint32_t>(loader_.tables(), rsdt + 4); entry += 4) {
      const size_t offset = get<uint32_t>(loader_.tables(), entry) - kAddress;
      if (std::memcmp(loader_.tables().data() + offset, signature.data(), 4) == 0) return offset;
    }
    ADD_FAILURE() << signature << " is not in the RSDT";
    return 0;
  }
  uint8_t sum_of(size_t offset) {
    return sum(std::span(loader_.tables()).subspan(offset, get<uint32_t>(loader_.tables(), offset + 4)));
  }

  FirmwareLoader loader_{build_acpi_files(platform()), kAddress};
};

TEST_F(AcpiTables, LoaderScriptAllocatesBothFilesAndBalancesAllChecksums) {
  EXPECT_EQ(loader_.allocated(), (std::set<std::string>{"etc/acpi/rsdp", "etc/acpi/tables"}));
  EXPECT_EQ(sum(loader_.root_pointer()), 0);
  for (const char* signature : {"FACP", "APIC", "HPET", "WAET"}) EXPECT_EQ(sum_of(table(signature)), 0) << signature;
}

TEST_F(AcpiTables, FadtPointsToDsdtAndFacsAndNamesThePowerManagementBlock) {
  const size_t fadt = table("FACP");
  EXPECT_EQ(get<uint32_t>(loader_.tables(), fadt + 4), 244u);
  const uint32_t dsdt = get<uint32_t>(loader_.tables(), fadt + 40);
  EXPECT_EQ(get<uint64_t>(loader_.tables(), fadt + 140), dsdt);
  EXPECT_EQ(std::memcmp(loader_.tables().data() + (dsdt - kAddress), "DSDT", 4), 0);
  EXPECT_EQ(sum_of(dsdt - kAddress), 0);
  const uint32_t facs = get<uint32_t>(loader_.tables(), fadt + 36);
  EXPECT_EQ(facs % 64, 0u);
  EXPECT_EQ(std::memcmp(loader_.tables().data() + (facs - kAddress), "FACS", 4), 0);
  EXPECT_EQ(get<uint16_t>(loader_.tables(), fadt + 46), 9);
  EXPECT_EQ(get<uint32_t>(loader_.tables(), fadt + 56), 0x600u);
  EXPECT_EQ(get<uint32_t>(loader_.tables(), fadt + 76), 0x608u);
}

TEST_F(AcpiTables, MadtListsProcessorsIoApicAndOverrides) {
  const size_t madt = table("APIC");
  const size_t end = madt + get<uint32_t>(loader_.tables(), madt + 4);
  std::map<uint8_t, int> entries;
  for (size_t entry = madt + 44; entry < end; entry += loader_.tables()[entry + 1]) ++entries[loader_.tables()[entry]];
  EXPECT_EQ(entries, (std::map<uint8_t, int>{{0, 4}, {1, 1}, {2, 5}, {4, 1}}));
}

TEST(SmbiosTables, AnchorDescribesTheStructures) {
  const SmbiosFiles files = build_smbios_files(platform());
  ASSERT_EQ(files.anchor.size(), 0x1Fu);
  EXPECT_EQ(sum(files.anchor), 0);
  EXPECT_EQ(sum(std::span(files.anchor).subspan(0x10)), 0);
  EXPECT_EQ(get<uint16_t>(files.anchor, 0x16), files.tables.size());
  std::vector<int> types;
  for (size_t offset = 0; offset < files.tables.size();) {
    types.push_back(files.tables[offset]);
    offset += files.tables[offset + 1];
    while (get<uint16_t>(files.tables, offset) != 0) ++offset;
    offset += 2;
  }
  EXPECT_EQ(types, (std::vector<int>{1, 3, 4, 16, 17, 19, 32, 127}));
  EXPECT_EQ(get<uint16_t>(files.anchor, 0x1C), types.size());
}

}  // namespace
}  // namespace calco::machine
