#include "machine/accel/engine_choice.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <system_error>
#include <utility>

#include "machine/accel/interp.h"
#include "machine/accel/jit.h"
#include "machine/core/option_error.h"

#if defined(__linux__) && defined(__x86_64__)
#define CALCO_KVM 1
#include <cpuid.h>

#include "machine/accel/kvm/kvm_capabilities.h"
#include "machine/accel/kvm/kvm_engine.h"
#include "machine/accel/kvm/kvm_machine.h"
#endif

namespace calco::machine {

namespace {

// Null and the reason where the engine cannot be had.
class Chooser {
 public:
  Chooser(const MachineConfig& config, Log& log, EngineRequests requests)
      : config_(config), log_(log), requests_(std::move(requests)) {}

  std::unique_ptr<Engine> make(const AcceleratorOptions& options, std::string& reason) {
    if (options.name == "auto") return choose(options, reason);
    if (options.name == "kvm") return kvm(options, reason);
    reason = "asked for";
    if (options.name == "interp") return std::make_unique<InterpreterEngine>();
    return translator(options);
  }

 private:
  std::unique_ptr<Engine> translator(const AcceleratorOptions& options) {
    jit::JitOptions settings = options.jit;
    settings.perf_map = config_.perf_map;
    return std::make_unique<JitEngine>(settings, log_, options.report, requests_.exit);
  }

  std::unique_ptr<Engine> choose(const AcceleratorOptions& options, std::string& reason) {
    if (auto engine = kvm_on_hardware(options, reason)) return engine;
    return translator(options);
  }

#if defined(CALCO_KVM)
  std::unique_ptr<Engine> kvm_on_hardware(const AcceleratorOptions& options, std::string& reason) {
    if (!host_virtualizes()) {
      reason = "/proc/cpuinfo shows neither vmx nor svm; a software /dev/kvm is used with -accel kvm only";
      return nullptr;
    }
    auto engine = kvm(options, reason);
    if (engine != nullptr) reason = "the host's processor virtualizes and a probe guest runs";
    return engine;
  }

  std::unique_ptr<Engine> kvm(const AcceleratorOptions& options, std::string& reason) {
    std::optional<KvmSystem> system = open_kvm(reason);
    if (!system || !probe_guest_runs(*system, reason)) return nullptr;
    reason = host_virtualizes() ? "asked for" : "asked for, though it is a software one here";
    try {
      return std::make_unique<KvmEngine>(std::move(*system), options.irqchip.value_or(KernelIrqchip::Off), log_,
                                         requests_.give_up);
    } catch (const std::system_error& error) {
      reason = error.what();
      return nullptr;
    }
  }
#else
  std::unique_ptr<Engine> kvm_on_hardware(const AcceleratorOptions& options, std::string& reason) {
    return kvm(options, reason);
  }
  std::unique_ptr<Engine> kvm(const AcceleratorOptions&, std::string& reason) {
    reason = "KVM needs Linux on an x86-64 host";
    return nullptr;
  }
#endif

  const MachineConfig& config_;
  Log& log_;
  const EngineRequests requests_;
};

// -accel auto and tcg may stand for either or for the translator.
AcceleratorOptions settings_for(const MachineConfig& config, const std::string& name) {
  for (const std::string_view written : {std::string_view(name), std::string_view("tcg"), std::string_view("auto")}) {
    const auto found = std::ranges::find(config.accelerators, written, &AcceleratorOptions::name);
    if (found == config.accelerators.end()) continue;
    AcceleratorOptions settings = *found;
    settings.name = name;
    return settings;
  }
  return {.name = name};
}

}  // namespace

EngineChoice choose_engine(const MachineConfig& config, Log& log, EngineRequests requests) {
  Chooser chooser(config, log, std::move(requests));
  const size_t count = config.accelerators.size();
  for (size_t i = 0; i < count; ++i) {
    const AcceleratorOptions& wanted = config.accelerators[i];
    EngineChoice choice;
    choice.engine = chooser.make(wanted, choice.reason);
    if (choice.engine != nullptr) {
      if (config.cpu.starts_with("host") && choice.engine->name() != "kvm") {
        throw OptionError("-cpu", "'host' is possible with -accel kvm only; 'max' is all that the other engines have");
      }
      if (log.enabled(LogItem::Cosim) && choice.engine->name() != "jit") {
        throw OptionError("-d",
                          fmt::format("cosim compares translated code; -accel is {}, not jit", choice.engine->name()));
      }
      return choice;
    }
    if (i + 1 == count) throw OptionError("-accel", fmt::format("{}: {}", wanted.name, choice.reason));
    std::fprintf(stderr, "calco: -accel %s: %s; trying %s\n", wanted.name.c_str(), choice.reason.c_str(),
                 config.accelerators[i + 1].name.c_str());
  }
  throw OptionError("-accel", "names no engine");
}

EngineChoice make_engine(const MachineConfig& config, std::string_view name, Log& log, EngineRequests requests) {
  constexpr std::array<std::string_view, 3> kNames = {"interp", "jit", "kvm"};
  if (std::ranges::find(kNames, name) == kNames.end()) {
    throw OptionError("accel", fmt::format("'{}' is no engine; possible are interp, jit and kvm", name));
  }
  EngineChoice choice;
  try {
    choice.engine =
        Chooser(config, log, std::move(requests)).make(settings_for(config, std::string(name)), choice.reason);
  } catch (const std::system_error& error) {
    choice.reason = error.what();
  }
  if (choice.engine == nullptr) throw OptionError("accel", fmt::format("{}: {}", name, choice.reason));
  choice.reason += " (in the monitor)";
  return choice;
}

#if defined(CALCO_KVM)
namespace {

// SDM vol. 2, CPUID: leaf 80000007H, EDX bit 8, invariant TSC.
bool host_counter_is_steady() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) != 0 && (edx & 1u << 8) != 0;
}

}  // namespace

TimeStampCounter::Options time_stamp_counter_for(const Engine& engine) {
  const TimeStampCounter::Options own = engine.time_stamp_counter();
  if (own.source == TimeStampCounter::Source::HostCounter || !host_counter_is_steady()) return own;
  std::string reason;
  const std::optional<KvmSystem> system = open_kvm(reason);
  if (!system) return own;
  try {
    return kvm_time_stamp_counter(kvm_tsc_frequency(*system));
  } catch (const std::system_error&) {
    return own;
  }
}
#else
TimeStampCounter::Options time_stamp_counter_for(const Engine& engine) { return engine.time_stamp_counter(); }
#endif

}  // namespace calco::machine
