#include "jit/llvm/compile_queue.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <iterator>
#include <utility>

#ifdef __linux__
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>
#endif

namespace calco::jit {

namespace {

// On Linux a thread has a niceness of its own (setpriority(2), "BUGS").
void become_nice([[maybe_unused]] int niceness) {
#ifdef __linux__
  const auto thread = static_cast<id_t>(gettid());
  setpriority(PRIO_PROCESS, thread, getpriority(PRIO_PROCESS, thread) + niceness);
  pthread_setname_np(pthread_self(), "llvm");
#endif
}

uint64_t process_time() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void add(LlvmCounters& sum, const LlvmCounters& before, const LlvmCounters& after) {
  sum.regions += after.regions - before.regions;
  sum.refused += after.refused - before.refused;
  sum.blocks += after.blocks - before.blocks;
  sum.guest_instructions += after.guest_instructions - before.guest_instructions;
  sum.code_bytes += after.code_bytes - before.code_bytes;
  sum.build_time += after.build_time - before.build_time;
  sum.pass_time += after.pass_time - before.pass_time;
  sum.codegen_time += after.codegen_time - before.codegen_time;
  sum.link_time += after.link_time - before.link_time;
}

}  // namespace

CompileQueue::CompileQueue(std::function<std::unique_ptr<RegionCompiler>()> make_compiler, Options options)
    : make_compiler_(std::move(make_compiler)), options_(options) {
  for (unsigned i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop, /*express=*/false); });
  }
  if (options_.express.count() != 0) {
    threads_.emplace_back([this](const std::stop_token& stop) { work(stop, /*express=*/true); });
  }
}

CompileQueue::~CompileQueue() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waiting_.clear();
    compiling_.clear();
  }
  threads_.clear();
}

std::optional<CompileJob> CompileQueue::submit(CompileJob job) {
  std::optional<CompileJob> rest;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return job;
    const uint64_t priority = job.priority;
    waiting_.emplace(priority, Waiting{std::move(job), std::chrono::steady_clock::now()});
    if (waiting_.size() > options_.capacity) rest = std::move(waiting_.extract(std::prev(waiting_.end())).mapped().job);
  }
  changed_.notify_all();
  return rest;
}

bool CompileQueue::cancel(uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto job =
      std::find_if(waiting_.begin(), waiting_.end(), [&](const auto& each) { return each.second.job.id == id; });
  if (job == waiting_.end()) return compiling_.erase(id) != 0;
  waiting_.erase(job);
  changed_.notify_all();
  return true;
}

void CompileQueue::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_.empty() && busy_ == 0; });
}

size_t CompileQueue::pending() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size() + compiling_.size();
}

LlvmCounters CompileQueue::counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

// The first job is the newest where priorities grow, as those of regions do.
bool CompileQueue::has_work(bool express) const {
  if (waiting_.empty()) return false;
  return !express || std::chrono::steady_clock::now() - waiting_.begin()->second.since <= options_.express;
}

void CompileQueue::work(const std::stop_token& stop, bool express) {
  constexpr int kBehindExpress = 5;
  become_nice(options_.niceness + (express || options_.express.count() == 0 ? 0 : kBehindExpress));
  std::unique_ptr<RegionCompiler> compiler;
  bool made = false;
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this, express] { return has_work(express); })) {
    if (has_taken_its_share(express)) {
      constexpr std::chrono::milliseconds kPause{5};
      changed_.wait_for(lock, stop, kPause, [&stop] { return stop.stop_requested(); });
      continue;  // what waits may be another job by now
    }
    const CompileJob job = std::move(waiting_.extract(waiting_.begin()).mapped().job);
    compiling_.insert(job.id);
    ++busy_;
    lock.unlock();
    if (!std::exchange(made, true)) compiler = make_compiler_();
    compiler == nullptr ? refuse(job) : compile(*compiler, job);
    lock.lock();
    --busy_;
    changed_.notify_all();
  }
}

bool CompileQueue::has_taken_its_share(bool express) const {
  if (options_.share == 0) return false;
  const unsigned share = express ? 2 * options_.share : options_.share;
  const uint64_t whole = options_.process_time != nullptr ? options_.process_time() : process_time();
  const uint64_t compiling = counters_.build_time + counters_.pass_time + counters_.codegen_time + counters_.link_time;
  return compiling > (whole - std::min(whole, compiling)) / 100 * share;
}

void CompileQueue::refuse(const CompileJob& job) {
  {
    const std::lock_guard lock(mutex_);
    ++counters_.refused;
    if (compiling_.erase(job.id) == 0) return;  // cancelled
  }
  job.done(job.id, nullptr, "there is no compiler");
}

void CompileQueue::compile(RegionCompiler& compiler, const CompileJob& job) {
  const LlvmCounters before = compiler.counters();
  std::unique_ptr<CompiledRegion> region = compiler.compile(job.region, job.link_cell);
  {
    const std::lock_guard lock(mutex_);
    add(counters_, before, compiler.counters());
    if (compiling_.erase(job.id) == 0) return;  // cancelled
  }
  job.done(job.id, std::move(region), compiler.refusal());
}

}  // namespace calco::jit
