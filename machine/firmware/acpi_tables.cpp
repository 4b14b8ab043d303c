#include "machine/firmware/acpi_tables.h"

#include <string_view>
#include <utility>

#include "devices/pci/piix4_pm.h"
#include "machine/firmware/byte_writer.h"
#include "machine/firmware/dsdt.h"
#include "machine/firmware/table_loader.h"

namespace calco::machine {
namespace {

constexpr std::string_view kTablesFile = "etc/acpi/tables";
constexpr std::string_view kRootPointerFile = "etc/acpi/rsdp";
constexpr uint32_t kHeaderSize = 36;
constexpr uint32_t kChecksumOffset = 9;
constexpr std::string_view kVendor = "CALCO ";

constexpr uint16_t kResetPort = 0xCF9;
constexpr uint8_t kResetValue = 0x06;  // hard reset, now
constexpr uint8_t kAcpiEnable = 0xF1;  // APM commands of the firmware's SMI handler
constexpr uint8_t kAcpiDisable = 0xF0;

// The tables in one file, with the loader commands that make their addresses and checksums right.
class TableFile {
 public:
  uint32_t offset() const { return static_cast<uint32_t>(tables_.size()); }

  // Appends a table with the header of 5.2.6; returns its offset.
  uint32_t add(std::string_view signature, uint8_t revision, const std::vector<uint8_t>& body) {
    const uint32_t start = offset();
    const auto length = static_cast<uint32_t>(kHeaderSize + body.size());
    tables_.text(signature, 4).u32(length).u8(revision).u8(0);
    tables_.text(kVendor, 6).text("CALCOPC ", 8).u32(1).text("CLCO", 4).u32(1).bytes(body);
    loader_.add_checksum(kTablesFile, start + kChecksumOffset, start, length);
    return start;
  }
  // The number at `offset` is an offset in this file and becomes an address. Before the table's checksum is taken, so
  // the commands of a table's pointers have to precede add().
  void point(uint32_t offset, uint8_t size) { loader_.add_pointer(kTablesFile, offset, size, kTablesFile); }

  ByteWriter& raw() { return tables_; }
  TableLoader& loader() { return loader_; }

 private:
  ByteWriter tables_;
  TableLoader loader_;
};

// 5.2.10: not a table like the others; the firmware and the system share it.
uint32_t add_facs(TableFile& file) {
  file.raw().align(64);
  const uint32_t start = file.offset();
  file.raw().text("FACS", 4).u32(64).zeros(56);
  return start;
}

// 5.2.3.2: a register block in I/O space; `bits` 0: not there.
void generic_address(ByteWriter& writer, uint8_t bits, uint16_t port) {
  constexpr uint8_t kSystemIo = 1;
  writer.u8(bits == 0 ? 0 : kSystemIo).u8(bits).u8(0).u8(0).u64(port);
}

uint32_t fadt_flags(const Platform& platform) {
  constexpr uint32_t kWbinvd = 1u << 0, kProcessorC1 = 1u << 2, kNoFixedSleepButton = 1u << 5, kRtcWakesS4 = 1u << 7,
                     kResetRegister = 1u << 10, kUsePlatformClock = 1u << 15, kForceApicCluster = 1u << 18;
  uint32_t flags = kWbinvd | kProcessorC1 | kNoFixedSleepButton | kRtcWakesS4 | kResetRegister | kUsePlatformClock;
  // Flat logical mode has room for eight processors.
  if (platform.apic_ids.size() > 8) flags |= kForceApicCluster;
  return flags;
}

// 5.2.9, revision 3.
uint32_t add_fadt(TableFile& file, const Platform& platform, uint32_t facs, uint32_t dsdt) {
  constexpr uint16_t kEvents = board::kPowerManagementBase, kControl = kEvents + 4, kTimer = kEvents + 8;
  constexpr uint16_t kGpe = devices::Piix4Pm::kGpePort;
  constexpr uint8_t kGpeLength = devices::Piix4Pm::kGpePortCount;
  constexpr uint16_t kNoC2 = 0xFFF, kNoC3 = 0xFFF;
  constexpr uint8_t kCenturyInCmos = 0x32;
  constexpr uint16_t kLegacyDevices = 1u << 0, k8042 = 1u << 1;

  ByteWriter body;
  body.u32(facs).u32(dsdt).u8(0).u8(0);  // no preferred profile
  body.u16(board::kSciInterrupt).u32(devices::Piix4Pm::kApmPort).u8(kAcpiEnable).u8(kAcpiDisable).u8(0).u8(0);
  body.u32(kEvents).u32(0).u32(kControl).u32(0).u32(0).u32(kTimer).u32(kGpe).u32(0);
  body.u8(4).u8(2).u8(0).u8(4).u8(kGpeLength).u8(0).u8(0).u8(0);
  body.u16(kNoC2).u16(kNoC3).u16(0).u16(0).u8(0).u8(0).u8(0).u8(0).u8(kCenturyInCmos);
  body.u16(kLegacyDevices | k8042).u8(0).u32(fadt_flags(platform));
  generic_address(body, 8, kResetPort);
  body.u8(kResetValue).zeros(3);
  body.u64(0).u64(dsdt);  // the FACS has its 32-bit pointer only: one of the two is to be used
  generic_address(body, 32, kEvents);
  generic_address(body, 0, 0);
  generic_address(body, 16, kControl);
  generic_address(body, 0, 0);
  generic_address(body, 0, 0);
  generic_address(body, 32, kTimer);
  generic_address(body, kGpeLength * 8, kGpe);
  generic_address(body, 0, 0);

  const uint32_t start = file.offset();
  file.point(start + 36, 4);
  file.point(start + 40, 4);
  file.point(start + 140, 8);
  return file.add("FACP", 3, body.take());
}

// 5.2.12.
uint32_t add_madt(TableFile& file, const Platform& platform) {
  constexpr uint8_t kLocalApic = 0, kIoApic = 1, kSourceOverride = 2, kLocalApicNmi = 4;
  constexpr uint32_t kEnabled = 1, kDual8259 = 1;
  constexpr uint16_t kBusDefault = 0, kActiveHighLevel = 0x0D;
  constexpr uint8_t kAllProcessors = 0xFF;

  ByteWriter body;
  body.u32(board::kLocalApic).u32(kDual8259);
  for (unsigned index = 0; index < platform.apic_ids.size(); ++index) {
    body.u8(kLocalApic).u8(8).u8(index).u8(platform.apic_ids[index]).u32(kEnabled);
  }
  body.u8(kIoApic).u8(12).u8(0).u8(0).u32(board::kIoApic).u32(0);
  // The timer's interrupt is wired to pin 2; the interrupts that PCI may be routed to are level-triggered.
  body.u8(kSourceOverride).u8(10).u8(0).u8(0).u32(2).u16(kBusDefault);
  for (unsigned irq : {5, 9, 10, 11}) body.u8(kSourceOverride).u8(10).u8(0).u8(irq).u32(irq).u16(kActiveHighLevel);
  body.u8(kLocalApicNmi).u8(6).u8(kAllProcessors).u16(kBusDefault).u8(1);
  return file.add("APIC", 1, body.take());
}

// IA-PC HPET Specification 1.0a, 3.2.4.
uint32_t add_hpet(TableFile& file) {
  constexpr uint32_t kBlockId = 0x8086A201;  // the low half of the capabilities register
  constexpr uint16_t kMinimumTick = 100;
  ByteWriter body;
  body.u32(kBlockId).u8(0).u8(0).u8(0).u8(0).u64(board::kHpet).u8(0).u16(kMinimumTick).u8(0);
  return file.add("HPET", 1, body.take());
}

// Windows ACPI Emulated Devices Table 1.0: the PM timer needs to be read only once.
uint32_t add_waet(TableFile& file) {
  constexpr uint32_t kGoodPmTimer = 1u << 1;
  return file.add("WAET", 1, ByteWriter().u32(kGoodPmTimer).take());
}

uint32_t add_rsdt(TableFile& file, const std::vector<uint32_t>& tables) {
  const uint32_t start = file.offset();
  ByteWriter body;
  for (uint32_t table : tables) {
    file.point(static_cast<uint32_t>(start + kHeaderSize + body.size()), 4);
    body.u32(table);
  }
  return file.add("RSDT", 1, body.take());
}

// 5.2.5.3, revision 0. Firmware copies it to where systems search for it.
std::vector<uint8_t> build_root_pointer(TableLoader& loader, uint32_t rsdt) {
  constexpr uint32_t kLength = 20, kChecksum = 8, kRsdtPointer = 16;
  loader.allocate(kRootPointerFile, 16, TableLoader::Zone::Fseg);
  loader.add_pointer(kRootPointerFile, kRsdtPointer, 4, kTablesFile);
  loader.add_checksum(kRootPointerFile, kChecksum, 0, kLength);
  return ByteWriter().text("RSD PTR ", 8).u8(0).text(kVendor, 6).u8(0).u32(rsdt).take();
}

}  // namespace

AcpiFiles build_acpi_files(const Platform& platform) {
  TableFile file;
  file.loader().allocate(kTablesFile, 64, TableLoader::Zone::High);
  const uint32_t facs = add_facs(file);
  const uint32_t dsdt = file.add("DSDT", 1, build_dsdt_body(platform));
  std::vector<uint32_t> tables = {add_fadt(file, platform, facs, dsdt), add_madt(file, platform)};
  if (platform.hpet) tables.push_back(add_hpet(file));
  tables.push_back(add_waet(file));
  const uint32_t rsdt = add_rsdt(file, tables);
  AcpiFiles files;
  files.root_pointer = build_root_pointer(file.loader(), rsdt);
  files.loader = file.loader().take();
  files.tables = file.raw().take();
  return files;
}

}  // namespace calco::machine
