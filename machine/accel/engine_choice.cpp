#include "machine/accel/engine_choice.h"

#include <cstdio>
#include <system_error>
#include <utility>

#include "machine/accel/interp.h"
#include "machine/accel/jit.h"
#include "machine/core/option_error.h"

#if defined(__linux__) && defined(__x86_64__)
#define CALCO_KVM 1
#include "machine/accel/kvm/kvm_capabilities.h"
#include "machine/accel/kvm/kvm_engine.h"
#endif

namespace calco::machine {

namespace {

// Null and the reason where the engine cannot be had.
class Chooser {
 public:
  Chooser(Log& log, std::function<void(const std::string&)> give_up) : log_(log), give_up_(std::move(give_up)) {}

  std::unique_ptr<Engine> make(const AcceleratorOptions& options, std::string& reason) {
    if (options.name == "auto") return choose(options, reason);
    if (options.name == "kvm") return kvm(options, reason);
    reason = "asked for";
    if (options.name == "interp") return std::make_unique<InterpreterEngine>();
    return std::make_unique<JitEngine>(options.jit, log_);
  }

 private:
  std::unique_ptr<Engine> choose(const AcceleratorOptions& options, std::string& reason) {
    if (auto engine = kvm_on_hardware(options, reason)) return engine;
    return std::make_unique<JitEngine>(options.jit, log_);
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
                                         give_up_);
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

  Log& log_;
  const std::function<void(const std::string&)> give_up_;
};

}  // namespace

EngineChoice choose_engine(const MachineConfig& config, Log& log, std::function<void(const std::string&)> give_up) {
  Chooser chooser(log, std::move(give_up));
  const size_t count = config.accelerators.size();
  for (size_t i = 0; i < count; ++i) {
    const AcceleratorOptions& wanted = config.accelerators[i];
    EngineChoice choice;
    choice.engine = chooser.make(wanted, choice.reason);
    if (choice.engine != nullptr) {
      if (config.cpu.starts_with("host") && choice.engine->name() != "kvm") {
        throw OptionError("-cpu", "'host' is possible with -accel kvm only; 'max' is all that the other engines have");
      }
      return choice;
    }
    if (i + 1 == count) throw OptionError("-accel", fmt::format("{}: {}", wanted.name, choice.reason));
    std::fprintf(stderr, "calco: -accel %s: %s; trying %s\n", wanted.name.c_str(), choice.reason.c_str(),
                 config.accelerators[i + 1].name.c_str());
  }
  throw OptionError("-accel", "names no engine");
}

}  // namespace calco::machine
