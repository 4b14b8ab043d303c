// -accel jit: hot blocks are translated to host code, the interpreter does the rest.
#pragma once

#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "jit/runtime/jit.h"
#include "machine/accel/engine.h"

namespace calco::machine {

class JitEngine final : public Engine {
 public:
  // `report`: where to write the statistics as JSON when it ends; empty: nowhere. Throws std::system_error where that
  // file cannot be created. `exit`: the guest ends with this status (any thread).
  JitEngine(const jit::JitOptions& options, Log& log, const std::string& report, std::function<void(int status)> exit);
  ~JitEngine() override;

  std::string_view name() const override { return "jit"; }
  // Host memory for code may be refused: std::system_error.
  void attach(PcBoard& board) override;
  void detach(PcBoard& board) override;
  std::unique_ptr<Accelerator> make_accelerator(unsigned index) override;
  std::string describe() const override;
  std::optional<std::string> translation_report() const override;

 private:
  const jit::JitOptions options_;
  Log& log_;
  std::ofstream report_;
  const std::function<void(int)> exit_;
  cpu::ProcessorGroup* group_ = nullptr;
  std::unique_ptr<jit::Jit> jit_;
};

}  // namespace calco::machine
