#include "machine/boot/kernel_loader.h"

#include <algorithm>

#include "machine/boot/file_reader.h"
#include "machine/boot/linux_image.h"
#include "machine/boot/multiboot_image.h"
#include "machine/core/option_error.h"

namespace calco::machine {
namespace {

// "-initrd 'file arguments,file2'": a module is a file, and all of its part is the string it gets.
std::vector<MultibootModule> read_modules(const std::string& list, uint64_t limit) {
  std::vector<MultibootModule> modules;
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    const std::string module = list.substr(begin, end - begin);
    const std::string path = module.substr(0, module.find(' '));
    modules.push_back({{path, read_file("-initrd", path, limit)}, module});
    begin = end + 1;
  }
  return modules;
}

}  // namespace

std::optional<BootPlan> load_kernel(const MachineConfig& config, uint64_t low_memory) {
  if (config.kernel.empty()) return std::nullopt;
  const NamedImage kernel{config.kernel, read_file("-kernel", config.kernel, low_memory)};
  if (is_multiboot_image(kernel)) {
    return plan_multiboot(kernel, read_modules(config.initrd, low_memory), config.command_line, low_memory);
  }
  if (!is_linux_image(kernel)) {
    throw OptionError("-kernel", fmt::format("'{}' is neither a Linux bzImage nor a multiboot kernel, or is truncated",
                                             config.kernel));
  }
  std::optional<NamedImage> initrd;
  if (!config.initrd.empty()) initrd = {config.initrd, read_file("-initrd", config.initrd, low_memory)};
  return plan_linux_boot(kernel, initrd, config.command_line, low_memory);
}

}  // namespace calco::machine
