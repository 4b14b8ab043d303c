#include "machine/firmware/firmware_contents.h"

#include <stdexcept>

#include "machine/boot/file_reader.h"
#include "machine/core/option_error.h"
#include "machine/firmware/acpi_tables.h"
#include "machine/firmware/byte_writer.h"
#include "machine/firmware/smbios_tables.h"
#include "roms/option_roms.h"

namespace calco::machine {
namespace {

using devices::FwCfg;

constexpr uint64_t kLargestFile = 64ull << 20;

std::vector<uint8_t> to_vector(std::span<const uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

// Address, length and type (1: usable RAM) of each range (ACPI 6.4, 15.1).
std::vector<uint8_t> memory_map(const MemoryLayout& memory) {
  constexpr uint32_t kUsable = 1;
  ByteWriter map;
  map.u64(0).u64(memory.low).u32(kUsable);
  if (memory.high != 0) map.u64(board::kFourGib).u64(memory.high).u32(kUsable);
  return map.take();
}

void add_machine(FwCfg& fw_cfg, const MachineConfig& config, const Platform& platform) {
  fw_cfg.add_bytes(FwCfg::kUuid, std::vector<uint8_t>(16));
  fw_cfg.add_u64(FwCfg::kRamSize, platform.memory.low);
  fw_cfg.add_u16(FwCfg::kNoGraphic, config.graphics ? 0 : 1);
  fw_cfg.add_u16(FwCfg::kProcessorCount, static_cast<uint16_t>(config.topology.processors));
  fw_cfg.add_u16(FwCfg::kMaximumProcessors, static_cast<uint16_t>(config.topology.maximum));
  // Number of nodes, then node of each processor and size of each node: there are none.
  fw_cfg.add_bytes(FwCfg::kNuma, std::vector<uint8_t>(8 * (size_t{1} + config.topology.maximum)));
  // The timer's interrupt is I/O APIC pin 2.
  fw_cfg.add_u32(FwCfg::kIrq0Override, 1);
  fw_cfg.add_file("etc/e820", memory_map(platform.memory));
}

void add_boot_settings(FwCfg& fw_cfg, const BootOptions& boot) {
  fw_cfg.add_u16(FwCfg::kBootMenu, boot.menu.value_or(false) ? 1 : 0);
  if (boot.menu_wait) fw_cfg.add_file("etc/boot-menu-wait", ByteWriter().u16(*boot.menu_wait).take());
  fw_cfg.add_file("etc/boot-fail-wait",
                  ByteWriter().u32(static_cast<uint32_t>(boot.reboot_timeout.value_or(-1))).take());
  // For each of S0 to S5: bit 7 where it is possible, and its sleep type.
  fw_cfg.add_file("etc/system-states", {0x80, 0, 0, 1, 2, 0x80});
}

void add_tables(FwCfg& fw_cfg, const MachineConfig& config, const Platform& platform) {
  if (config.acpi) {
    AcpiFiles acpi = build_acpi_files(platform);
    fw_cfg.add_file("etc/acpi/tables", std::move(acpi.tables));
    fw_cfg.add_file("etc/acpi/rsdp", std::move(acpi.root_pointer));
    fw_cfg.add_file("etc/table-loader", std::move(acpi.loader));
  }
  SmbiosFiles smbios = build_smbios_files(platform);
  fw_cfg.add_file("etc/smbios/smbios-anchor", std::move(smbios.anchor));
  fw_cfg.add_file("etc/smbios/smbios-tables", std::move(smbios.tables));
}

void add_piece(FwCfg& fw_cfg, const BootPiece& piece, FwCfg::Key address, FwCfg::Key size, FwCfg::Key data) {
  fw_cfg.add_u32(address, piece.address);
  fw_cfg.add_u32(size, static_cast<uint32_t>(piece.bytes.size()));
  fw_cfg.add_bytes(data, piece.bytes);
}

// The kernel's parts, the option ROM that boots them, and the order that puts it first.
void add_kernel(FwCfg& fw_cfg, const BootPlan& plan, bool strict) {
  add_piece(fw_cfg, plan.setup, FwCfg::kSetupAddress, FwCfg::kSetupSize, FwCfg::kSetupData);
  add_piece(fw_cfg, plan.kernel, FwCfg::kKernelAddress, FwCfg::kKernelSize, FwCfg::kKernelData);
  add_piece(fw_cfg, plan.initrd, FwCfg::kInitrdAddress, FwCfg::kInitrdSize, FwCfg::kInitrdData);
  add_piece(fw_cfg, plan.command_line, FwCfg::kCommandLineAddress, FwCfg::kCommandLineSize, FwCfg::kCommandLineData);
  fw_cfg.add_u32(FwCfg::kKernelEntry, plan.entry);
  const bool linux_kernel = plan.protocol == BootPlan::Protocol::Linux;
  const std::string rom = linux_kernel ? "genroms/linuxboot.bin" : "genroms/multiboot.bin";
  fw_cfg.add_file(rom, to_vector(linux_kernel ? roms::linuxboot() : roms::multiboot()));
  const std::string order = "/rom@" + rom + (strict ? "\nHALT" : "");
  fw_cfg.add_file("bootorder", ByteWriter().text(order, order.size() + 1).take());
}

}  // namespace

std::vector<FirmwareFile> read_firmware_files(const MachineConfig& config) {
  std::vector<FirmwareFile> files;
  for (const FirmwareFileOptions& options : config.firmware_files) {
    std::vector<uint8_t> bytes(options.string.begin(), options.string.end());
    if (!options.file.empty()) bytes = read_file("-fw_cfg", options.file, kLargestFile);
    files.push_back({options.name, std::move(bytes)});
  }
  return files;
}

void fill_fw_cfg(FwCfg& fw_cfg, const MachineConfig& config, const Platform& platform,
                 const std::optional<BootPlan>& boot, std::vector<FirmwareFile> user_files) {
  add_machine(fw_cfg, config, platform);
  add_boot_settings(fw_cfg, config.boot);
  add_tables(fw_cfg, config, platform);
  if (boot) add_kernel(fw_cfg, *boot, config.boot.strict);
  for (FirmwareFile& file : user_files) {
    try {
      fw_cfg.add_file(file.name, std::move(file.bytes));
    } catch (const std::invalid_argument&) {
      throw OptionError("-fw_cfg", fmt::format("the name '{}' is in use or there are too many files", file.name));
    }
  }
}

}  // namespace calco::machine
