#include "machine/accel/jit.h"

#include "machine/pc/pc_board.h"

namespace calco::machine {

namespace {

// The dispatch loop is the interpreter's; it finds the translator at its processor.
class JitAccelerator final : public Accelerator {
 public:
  JitAccelerator(jit::Jit& jit, cpu::Cpu& cpu) : jit_(jit), cpu_(cpu) {}
  ~JitAccelerator() override { jit_.retire(cpu_); }

  std::string_view name() const override { return "jit"; }
  cpu::RunExit run(cpu::Cpu& cpu) override { return cpu.run(); }

 private:
  jit::Jit& jit_;
  cpu::Cpu& cpu_;
};

}  // namespace

JitEngine::JitEngine(const jit::JitOptions& options, Log& log) : options_(options), log_(log) {}

// No processor uses it any more.
JitEngine::~JitEngine() {
  if (jit_ != nullptr && log_.enabled(LogItem::Jit)) log_.print(LogItem::Jit, "{}", jit_->report());
}

void JitEngine::attach(PcBoard& board) {
  group_ = &board.group;
  jit_ = std::make_unique<jit::Jit>(options_, board.group, *board.processors.front(), log_);
  board.group.set_code_listener(
      [translator = jit_.get()](uint64_t offset, uint64_t size) { translator->code_changes(offset, size); });
  for (const auto& processor : board.processors) processor->set_translator(jit_.get());
}

void JitEngine::detach(PcBoard& board) {
  for (const auto& processor : board.processors) processor->set_translator(nullptr);
  board.group.set_code_listener({});
}

std::unique_ptr<Accelerator> JitEngine::make_accelerator(unsigned index) {
  return std::make_unique<JitAccelerator>(*jit_, *group_->processors()[index]);
}

std::string JitEngine::describe() const { return "hot guest code is translated\n" + jit_->report(); }

}  // namespace calco::machine
