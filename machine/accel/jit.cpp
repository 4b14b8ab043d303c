#include "machine/accel/jit.h"

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "machine/core/option_error.h"
#include "machine/pc/pc_board.h"

namespace calco::machine {

namespace {

// The dispatch loop is the interpreter's; it finds the translator at its processor.
class JitAccelerator final : public Accelerator {
 public:
  JitAccelerator(jit::Jit& jit, cpu::Cpu& cpu) : jit_(jit), cpu_(cpu) { jit_.admit(cpu_); }
  ~JitAccelerator() override { jit_.retire(cpu_); }

  std::string_view name() const override { return "jit"; }
  cpu::RunExit run(cpu::Cpu& cpu) override { return cpu.run(); }

 private:
  jit::Jit& jit_;
  cpu::Cpu& cpu_;
};

// Who will read how the processors' time was spent gets it measured.
jit::JitOptions with_measurement(jit::JitOptions options, const Log& log, bool report) {
  options.measurement.tier |= report || log.enabled(LogItem::Jit);
  return options;
}

}  // namespace

JitEngine::JitEngine(const jit::JitOptions& options, Log& log, const std::string& report,
                     std::function<void(int status)> exit)
    : options_(with_measurement(options, log, !report.empty())), log_(log), exit_(std::move(exit)) {
  if (report.empty()) return;
  report_.open(report);
  if (!report_) throw std::system_error(errno, std::generic_category(), "cannot create " + report);
}

// No processor uses it any more.
JitEngine::~JitEngine() {
  if (jit_ == nullptr) return;
  const jit::Statistics statistics = jit_->statistics();
  log_.print(LogItem::Jit, "{}", statistics.text());
  if (report_.is_open()) report_ << statistics.json();
  if (jit_->cosimulation() != nullptr) log_.print(LogItem::Cosim, "{}", jit_->cosimulation()->summary());
}

void JitEngine::attach(PcBoard& board) {
  group_ = &board.group;
  jit::JitOptions options = options_;
  if (log_.enabled(LogItem::Cosim)) {
    if (board.processors.size() > 1) throw OptionError("-d", "cosim: possible with one processor only (-smp 1)");
    options.on_disagreement = [this](const std::string& report) {
      log_.print(LogItem::Cosim, "{}", report);
      exit_(EXIT_FAILURE);
    };
  }
  jit_ = std::make_unique<jit::Jit>(options, board.group, *board.processors.front(), log_);
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

std::string JitEngine::describe() const { return "hot guest code is translated\n"; }

std::optional<std::string> JitEngine::translation_report() const { return jit_->statistics().text(); }

}  // namespace calco::machine
