#include "tests/oracle/fuzz_jobs.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <system_error>
#include <vector>

namespace calco::oracle {

namespace {

// Neighbours share the contents of their data pages.
constexpr uint64_t kAtOnce = 64;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

struct Job {
  pid_t process;
  int answer;  // where its tally comes
};

// "CASES DIFFERENCES", then one "TIMES MNEMONIC" each.
std::string to_text(const Tally& tally) {
  std::string text = fmt::format("{} {}\n", tally.cases, tally.differences);
  for (const auto& [name, times] : tally.summaries) text += fmt::format("{} {}\n", times, name);
  return text;
}

void add(Tally& sum, const std::string& text) {
  std::istringstream stream(text);
  uint64_t cases = 0, differences = 0, times = 0;
  stream >> cases >> differences;
  sum.cases += cases;
  sum.differences += differences;
  for (std::string name; stream >> times >> name;) sum.summaries[name] += times;
}

// Ends the process.
[[noreturn]] void work_in_child(const std::function<Tally()>& work, int answer) {
  int status = 1;
  try {
    const std::string text = to_text(work());
    if (write(answer, text.data(), text.size()) == static_cast<ssize_t>(text.size())) status = 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "calco-fuzz: {}\n", error.what());
  }
  std::fflush(nullptr);
  _exit(status);
}

Job start_job(const std::function<Tally()>& work) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) fail("pipe");
  std::fflush(nullptr);
  const pid_t process = fork();
  if (process < 0) fail("fork");
  if (process == 0) work_in_child(work, pipe_ends[1]);
  close(pipe_ends[1]);
  return {process, pipe_ends[0]};
}

std::string read_all(int file) {
  std::string text;
  char buffer[4096];
  for (ssize_t size; (size = read(file, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(size));
  close(file);
  return text;
}

}  // namespace

CaseNumbers::CaseNumbers(uint64_t first, uint64_t count) : end_(first + count) {
  void* const memory =
      mmap(nullptr, sizeof(*next_), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, /*fd=*/-1, /*offset=*/0);
  if (memory == MAP_FAILED) fail("mmap");
  next_ = new (memory) std::atomic<uint64_t>(first);
}

CaseNumbers::~CaseNumbers() { munmap(next_, sizeof(*next_)); }

CaseNumbers::Range CaseNumbers::take() {
  const uint64_t first = next_->fetch_add(kAtOnce);
  return {first, std::min(first + kAtOnce, end_)};
}

uint64_t CaseNumbers::next() const { return std::min(next_->load(), end_); }

Tally run_jobs(unsigned jobs, const std::function<Tally()>& work) {
  if (jobs <= 1) return work();
  std::vector<Job> running;
  for (unsigned i = 0; i < jobs; ++i) running.push_back(start_job(work));
  Tally sum;
  for (const Job& job : running) {
    const std::string answer = read_all(job.answer);
    int status = 0;
    waitpid(job.process, &status, 0);
    if (WIFSIGNALED(status)) fmt::print(stderr, "calco-fuzz: a process died of signal {}\n", WTERMSIG(status));
    sum.complete &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
    add(sum, answer);
  }
  return sum;
}

}  // namespace calco::oracle
