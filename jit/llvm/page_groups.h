// Which memory accesses of a region are likely to meet the same page.
#pragma once

#include <cstdint>
#include <vector>

#include "jit/llvm/region.h"
#include "jit/llvm/region_graph.h"

namespace calco::jit {

// Accesses whose addresses come from the same guest registers, whatever the displacement, make one group. A wrong guess
// costs time, not correctness: each access still checks its page.
class PageGroups {
 public:
  static constexpr int kNone = -1;

  // How an access takes part.
  struct Membership {
    int group = kNone;
    // The address is a new one, on no path known to be near the last: asking for the group's page first would be a
    // branch that the host mispredicts. The access asks the TLB, and the group remembers the answer.
    bool refreshes = false;
    // Into a table that begins in one page and ends in the next: the group keeps both.
    bool table = false;
  };

  PageGroups(const Region& region, const RegionGraph& graph, bool enabled);

  // Of an access (Load, Store, HostAddress), by its place in its block.
  Membership membership(size_t block, ir::Value access) const {
    return of_access_[block].empty() ? Membership{} : of_access_[block][access];
  }
  struct Group {
    unsigned maximum_size = 0;  // bytes, of its accesses
    bool reads = false, writes = false;
    bool table = false;
  };
  const std::vector<Group>& groups() const { return groups_; }

 private:
  std::vector<std::vector<Membership>> of_access_;
  std::vector<Group> groups_;
};

}  // namespace calco::jit
