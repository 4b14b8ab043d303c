#include "machine/accel/kvm/kvm_capabilities.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/kvm.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "machine/accel/kvm/kvm_call.h"
#include "machine/accel/kvm/kvm_table.h"

namespace calco::machine {

namespace {

struct Needed {
  int capability;
  const char* name;
};

// What every kernel since 5.16 has.
constexpr std::array kNeeded = {
    Needed{KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
    Needed{KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
    Needed{KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
    Needed{KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS"},
    Needed{KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS"},
    Needed{KVM_CAP_XSAVE, "KVM_CAP_XSAVE"},
    Needed{KVM_CAP_XCRS, "KVM_CAP_XCRS"},
    Needed{KVM_CAP_SREGS2, "KVM_CAP_SREGS2"},
    Needed{KVM_CAP_X86_USER_SPACE_MSR, "KVM_CAP_X86_USER_SPACE_MSR"},
    Needed{KVM_CAP_X86_MSR_FILTER, "KVM_CAP_X86_MSR_FILTER"},
    Needed{KVM_CAP_VCPU_ATTRIBUTES, "KVM_CAP_VCPU_ATTRIBUTES"},
    Needed{KVM_CAP_ADJUST_CLOCK, "KVM_CAP_ADJUST_CLOCK"},
    Needed{KVM_CAP_GET_TSC_KHZ, "KVM_CAP_GET_TSC_KHZ"},
};

int capability(int descriptor, int number) {
  return kvm_try(descriptor, KVM_CHECK_EXTENSION, static_cast<uint64_t>(number));
}

std::string explain_open_failure(const char* path, int error) {
  switch (error) {
    case ENOENT:
      return fmt::format(
          "there is no {}; the host's kernel needs the module kvm_intel or kvm_amd, and the firmware "
          "must allow virtualization",
          path);
    case EACCES:
    case EPERM:
      return fmt::format(
          "no permission for {}; add yourself to the group kvm (sudo usermod -aG kvm $USER) and log in "
          "again",
          path);
    default:
      return fmt::format("{} cannot be opened: {}", path, std::strerror(error));
  }
}

KvmCapabilities read_capabilities(int descriptor) {
  KvmCapabilities found;
  const int xsave_size = capability(descriptor, KVM_CAP_XSAVE2);
  if (xsave_size > static_cast<int>(table_call::kXsaveBytes)) found.xsave_size = static_cast<size_t>(xsave_size);
  const auto has = [descriptor](int number) { return capability(descriptor, number) > 0; };
  found.read_only_memory = has(KVM_CAP_READONLY_MEM);
  found.irqchip = has(KVM_CAP_IRQCHIP) && has(KVM_CAP_SIGNAL_MSI) && has(KVM_CAP_IRQ_ROUTING);
  found.split_irqchip = found.irqchip && has(KVM_CAP_SPLIT_IRQCHIP);
  found.pit = has(KVM_CAP_PIT_STATE2);
  found.interrupt_events = has(KVM_CAP_IRQFD);
  found.exit_on_emulation_failure = has(KVM_CAP_EXIT_ON_EMULATION_FAILURE);
  found.machine_check = has(KVM_CAP_MCE);
  found.guest_debug = has(KVM_CAP_SET_GUEST_DEBUG);
  found.synced_registers = static_cast<uint32_t>(std::max(0, capability(descriptor, KVM_CAP_SYNC_REGS)));
  found.hardware = host_virtualizes();
  return found;
}

}  // namespace

std::string missing_capability(const std::function<int(int number)>& check) {
  for (const Needed& needed : kNeeded) {
    if (check(needed.capability) > 0) continue;
    return fmt::format("the host's KVM lacks {}; a kernel of version 5.16 or later has it", needed.name);
  }
  return {};
}

std::optional<KvmSystem> open_kvm(std::string& reason, const char* path) {
  KvmSystem system;
  system.descriptor.reset(::open(path, O_RDWR | O_CLOEXEC));
  if (!system.descriptor.valid()) {
    reason = explain_open_failure(path, errno);
    return std::nullopt;
  }
  const int descriptor = system.descriptor.get();
  if (kvm_try(descriptor, KVM_GET_API_VERSION) != KVM_API_VERSION) {
    reason = fmt::format("{} does not speak version {} of KVM's interface", path, KVM_API_VERSION);
    return std::nullopt;
  }
  reason = missing_capability([descriptor](int number) { return capability(descriptor, number); });
  if (!reason.empty()) return std::nullopt;
  system.capabilities = read_capabilities(descriptor);
  return system;
}

bool host_virtualizes(const char* path) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == "vmx" || word == "svm") return true;
    }
    return false;
  }
  return false;
}

namespace {

// A page of memory, mapped as long as the object lives.
class Mapping {
 public:
  Mapping(size_t size, int descriptor)
      : size_(size),
        address_(::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                        descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, descriptor, 0)) {
    if (address_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(address_, size_); }
  void* get() const { return address_; }

 private:
  size_t size_;
  void* address_;
};

constexpr uint16_t kProbePort = 0x10;
constexpr uint8_t kProbeValue = 42;
constexpr uint64_t kProbeAddress = 0x1000;

// mov al, 42; out 0x10, al; hlt
constexpr std::array<uint8_t, 5> kProbeCode = {0xB0, kProbeValue, 0xE6, kProbePort, 0xF4};

bool run_probe(int system) {
  const devices::FileDescriptor machine(kvm_call(system, KVM_CREATE_VM, uint64_t{0}, "KVM_CREATE_VM"));
  const Mapping page(4096, -1);
  std::memcpy(page.get(), kProbeCode.data(), kProbeCode.size());
  kvm_userspace_memory_region region{};
  region.guest_phys_addr = kProbeAddress;
  region.memory_size = 4096;
  region.userspace_addr = reinterpret_cast<uint64_t>(page.get());
  kvm_call(machine.get(), KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
  const devices::FileDescriptor vcpu(kvm_call(machine.get(), KVM_CREATE_VCPU, uint64_t{0}, "KVM_CREATE_VCPU"));
  const int run_size = kvm_call(system, KVM_GET_VCPU_MMAP_SIZE, uint64_t{0}, "KVM_GET_VCPU_MMAP_SIZE");
  const Mapping run_page(static_cast<size_t>(run_size), vcpu.get());
  const auto* run = static_cast<const kvm_run*>(run_page.get());

  kvm_sregs segments{};
  kvm_call(vcpu.get(), KVM_GET_SREGS, &segments, "KVM_GET_SREGS");
  segments.cs.base = 0;
  segments.cs.selector = 0;
  kvm_call(vcpu.get(), KVM_SET_SREGS, &segments, "KVM_SET_SREGS");
  kvm_regs registers{};
  registers.rip = kProbeAddress;
  registers.rflags = 2;
  kvm_call(vcpu.get(), KVM_SET_REGS, &registers, "KVM_SET_REGS");
  kvm_call(vcpu.get(), KVM_RUN, uint64_t{0}, "KVM_RUN");
  return run->exit_reason == KVM_EXIT_IO && run->io.port == kProbePort && run->io.direction == KVM_EXIT_IO_OUT &&
         static_cast<const uint8_t*>(run_page.get())[run->io.data_offset] == kProbeValue;
}

}  // namespace

bool probe_guest_runs(const KvmSystem& kvm, std::string& reason) {
  try {
    if (run_probe(kvm.descriptor.get())) return true;
    reason = "a guest of three instructions does not run under /dev/kvm";
  } catch (const std::system_error& error) {
    reason = fmt::format("a guest of three instructions does not run under /dev/kvm: {}", error.what());
  }
  return false;
}

}  // namespace calco::machine
