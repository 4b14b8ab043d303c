// Which memory accesses of a region are likely to meet the same page.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "jit/llvm/region.h"

namespace calco::jit {

// Accesses whose addresses come from the same guest registers, whatever the displacement, make one group. A wrong guess
// costs time, not correctness: each access still checks its page.
class PageGroups {
 public:
  static constexpr int kNone = -1;

  // `loops`: the region has loops, so that even a single access meets its page again.
  PageGroups(const Region& region, bool enabled, bool loops);

  // The group of an access (Load, Store, HostAddress), by its place in its block.
  int group_of(size_t block, ir::Value access) const {
    return of_access_[block].empty() ? kNone : of_access_[block][access];
  }
  unsigned count() const { return count_; }

 private:
  std::vector<std::vector<int>> of_access_;
  unsigned count_ = 0;
};

}  // namespace calco::jit
