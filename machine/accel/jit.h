// -accel jit: hot blocks are translated to host code, the interpreter does the rest.
#pragma once

#include <memory>

#include "jit/runtime/jit.h"
#include "machine/accel/engine.h"

namespace calco::machine {

class JitEngine final : public Engine {
 public:
  // Host memory for code may be refused: std::system_error.
  JitEngine(const jit::JitOptions& options, Log& log);
  ~JitEngine() override;

  std::string_view name() const override { return "jit"; }
  void attach(PcBoard& board) override;
  void detach(PcBoard& board) override;
  std::unique_ptr<Accelerator> make_accelerator(unsigned index) override;
  std::string describe() const override;

 private:
  const jit::JitOptions options_;
  Log& log_;
  cpu::ProcessorGroup* group_ = nullptr;
  std::unique_ptr<jit::Jit> jit_;
};

}  // namespace calco::machine
