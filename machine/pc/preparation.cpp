#include "machine/pc/preparation.h"

#include <filesystem>
#include <string>
#include <utility>

#include "machine/boot/file_reader.h"
#include "machine/boot/kernel_loader.h"
#include "machine/core/option_error.h"

namespace calco::machine {
namespace {

constexpr const char* kDefaultFirmware = "bios-256k.bin";
constexpr uint64_t kFirmwareUnit = 64 << 10;
constexpr uint64_t kLargestFirmware = 16 << 20;

// A path is taken as it is; a bare name is searched as QEMU does.
std::string find_firmware(const MachineConfig& config) {
  std::string name = config.firmware.empty() ? kDefaultFirmware : config.firmware;
  std::error_code ignored;
  if (!config.firmware.empty() && std::filesystem::exists(name, ignored)) return name;
  std::vector<std::string> directories = config.firmware_directories;
  directories.insert(directories.end(), {"/usr/share/seabios", "/usr/share/qemu"});
  for (const std::string& directory : directories) {
    std::string path = fmt::format("{}/{}", directory, name);
    if (std::filesystem::exists(path, ignored)) return path;
  }
  if (config.firmware.empty()) {
    throw OptionError("-bios", fmt::format("{} not found; install the package seabios or give a file", name));
  }
  return name;
}

std::vector<uint8_t> read_firmware(const MachineConfig& config) {
  const std::string path = find_firmware(config);
  std::vector<uint8_t> bytes = read_file("-bios", path, kLargestFirmware);
  if (bytes.size() % kFirmwareUnit != 0) {
    throw OptionError("-bios",
                      fmt::format("'{}' has {} bytes; firmware images are multiples of 64 KiB", path, bytes.size()));
  }
  return bytes;
}

cpu::CpuModel build_model(const MachineConfig& config) {
  cpu::CpuModel model = cpu::CpuModel::parse(config.cpu);
  model.set_topology(config.topology.threads, config.topology.cores);
  return model;
}

}  // namespace

PreparedPc prepare_pc(MachineConfig config) {
  const MemoryLayout memory = memory_layout(config.memory_size);
  cpu::CpuModel model = build_model(config);
  std::vector<uint8_t> firmware = read_firmware(config);
  std::optional<BootPlan> boot = load_kernel(config, memory.low);
  std::vector<FirmwareFile> files = read_firmware_files(config);
  return {std::move(config), memory, std::move(model), std::move(firmware), std::move(boot), std::move(files)};
}

}  // namespace calco::machine
