// Several processes that share the work of one run of calco-fuzz. (Not threads: tests lie at fixed addresses.)
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace calco::oracle {

// Hands out the numbers of test cases, each once, to this process and those it forks.
class CaseNumbers {
 public:
  CaseNumbers(uint64_t first, uint64_t count);
  CaseNumbers(const CaseNumbers&) = delete;
  CaseNumbers& operator=(const CaseNumbers&) = delete;
  ~CaseNumbers();

  struct Range {
    uint64_t first, end;  // empty: all are taken
  };
  Range take();
  // All below have been taken.
  uint64_t next() const;

 private:
  std::atomic<uint64_t>* next_;  // shared between the processes
  const uint64_t end_;
};

// What came of some cases.
struct Tally {
  uint64_t cases = 0, differences = 0;
  std::map<std::string, uint64_t> summaries;  // differences by mnemonic
  bool complete = true;                       // false: the process failed, and its cases are not counted
};

// Runs `work` in so many processes at once, in this one if it is 1, and adds up what they return.
Tally run_jobs(unsigned jobs, const std::function<Tally()>& work);

}  // namespace calco::oracle
