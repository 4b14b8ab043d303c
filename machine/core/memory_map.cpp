#include "machine/core/memory_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "machine/core/log.h"

namespace calco {

const MemoryRange* FlatView::find(uint64_t address) const {
  auto after = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                [](uint64_t value, const MemoryRange& range) { return value < range.first; });
  if (after == ranges_.begin()) return nullptr;
  const MemoryRange& range = *std::prev(after);
  return address <= range.last ? &range : nullptr;
}

MemoryMap::MemoryMap(GuestMemory& memory, std::recursive_mutex& device_lock, Log& log)
    : memory_(memory), device_lock_(device_lock), log_(log) {
  commit();
}

MemoryMap::~MemoryMap() = default;

MemoryMap::RegionId MemoryMap::add_memory(std::string name, uint64_t address, uint64_t length, uint64_t offset,
                                          bool writable, int priority) {
  regions_.push_back(
      {std::move(name), address, length, offset, true, writable, nullptr, priority, Visibility::Always, true, false});
  changed_ = true;
  return regions_.size() - 1;
}

MemoryMap::RegionId MemoryMap::add_window(std::string name, uint64_t address, uint64_t length, RegisterWindow& window,
                                          int priority) {
  regions_.push_back(
      {std::move(name), address, length, 0, false, false, &window, priority, Visibility::Always, true, false});
  changed_ = true;
  return regions_.size() - 1;
}

void MemoryMap::set_enabled(RegionId region, bool enabled) {
  changed_ |= regions_.at(region).enabled != enabled;
  regions_.at(region).enabled = enabled;
}

void MemoryMap::set_writable(RegionId region, bool writable) {
  changed_ |= regions_.at(region).writable != writable;
  regions_.at(region).writable = writable;
}

void MemoryMap::set_address(RegionId region, uint64_t address) {
  changed_ |= regions_.at(region).address != address;
  regions_.at(region).address = address;
}

void MemoryMap::set_visibility(RegionId region, Visibility visibility) {
  changed_ |= regions_.at(region).visibility != visibility;
  regions_.at(region).visibility = visibility;
}

void MemoryMap::remove(RegionId region) {
  regions_.at(region).removed = true;
  changed_ = true;
}

// Cuts the address space at every region's ends and picks the winner of each piece; neighbours of one region are
// joined again. Quadratic in the number of regions, which is a few dozen, and layouts change rarely.
std::unique_ptr<FlatView> MemoryMap::flatten(bool smm) const {
  std::vector<const Region*> active;
  std::vector<uint64_t> cuts;
  for (const Region& region : regions_) {
    const bool visible = region.visibility == Visibility::Always || (region.visibility == Visibility::OnlyInSmm) == smm;
    if (!region.enabled || region.removed || region.length == 0 || !visible) continue;
    active.push_back(&region);
    cuts.push_back(region.address);
    cuts.push_back(region.address + region.length);
  }
  std::sort(active.begin(), active.end(), [](const Region* a, const Region* b) {
    return a->priority != b->priority ? a->priority < b->priority : a < b;  // a < b: a was added before b
  });
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());

  auto view = std::make_unique<FlatView>();
  const Region* previous = nullptr;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    const Region* winner = nullptr;
    for (const Region* region : active) {
      if (region->address <= cuts[i] && cuts[i] - region->address < region->length) winner = region;
    }
    if (winner != nullptr && winner == previous && view->ranges_.back().last + 1 == cuts[i]) {
      view->ranges_.back().last = cuts[i + 1] - 1;
    } else if (winner != nullptr) {
      const uint64_t inside = cuts[i] - winner->address;
      MemoryRange range{.first = cuts[i],
                        .last = cuts[i + 1] - 1,
                        .writable = winner->writable,
                        .window = winner->window,
                        .window_offset = inside};
      if (winner->is_memory) range.host = memory_.data() + winner->memory_offset + inside;
      view->ranges_.push_back(range);
    }
    previous = winner;
  }
  return view;
}

// Readers hold a view without a lock, so none is ever freed; but a layout that was seen before gets its old view again,
// so that a guest which switches shadow RAM or SMRAM back and forth does not make memory grow.
const FlatView* MemoryMap::keep(std::unique_ptr<FlatView> view) {
  for (const auto& known : history_) {
    if (known->ranges_ == view->ranges_) return known.get();
  }
  history_.push_back(std::move(view));
  return history_.back().get();
}

void MemoryMap::commit() {
  if (!changed_) return;
  changed_ = false;
  for (bool smm : {false, true}) views_[smm ? 1 : 0].store(keep(flatten(smm)), std::memory_order_release);
  for (const auto& listener : listeners_) listener();
}

uint64_t MemoryMap::read_window(const MemoryRange& range, uint64_t address, unsigned size) {
  RegisterWindow& window = *range.window;
  const uint64_t offset = range.window_offset + (address - range.first);
  std::unique_lock lock(device_lock_, std::defer_lock);
  if (!window.locks_itself()) lock.lock();
  const unsigned step = std::min(size, window.maximum_access_size());
  uint64_t value = 0;
  for (unsigned done = 0; done < size; done += step) {
    value |= (window.read(offset + done, step) & floating_bus(step)) << (done * 8);
  }
  return value;
}

void MemoryMap::write_window(const MemoryRange& range, uint64_t address, unsigned size, uint64_t value) {
  RegisterWindow& window = *range.window;
  const uint64_t offset = range.window_offset + (address - range.first);
  std::unique_lock lock(device_lock_, std::defer_lock);
  if (!window.locks_itself()) lock.lock();
  const unsigned step = std::min(size, window.maximum_access_size());
  for (unsigned done = 0; done < size; done += step) {
    window.write(offset + done, step, value >> (done * 8) & floating_bus(step));
  }
}

namespace {

// The largest naturally aligned access that a bus master makes at `address` with `left` bytes to go.
unsigned access_size(uint64_t address, uint64_t left) {
  unsigned size = 8;
  while (size > 1 && (size > left || address % size != 0)) size /= 2;
  return size;
}

}  // namespace

bool MemoryMap::read(uint64_t address, void* data, uint64_t size, bool smm) {
  auto* out = static_cast<uint8_t*>(data);
  bool complete = true;
  while (size != 0) {
    const MemoryRange* range = view(smm).find(address);
    uint64_t part = 1;
    if (range == nullptr) {
      *out = 0xFF;
      complete = false;
    } else if (range->host != nullptr) {
      part = std::min(size, range->last - address + 1);
      std::memcpy(out, range->host + (address - range->first), part);
    } else {
      part = access_size(address, std::min(size, range->last - address + 1));
      const uint64_t value = read_window(*range, address, static_cast<unsigned>(part));
      std::memcpy(out, &value, part);
    }
    address += part;
    out += part;
    size -= part;
  }
  if (!complete)
    log_.print(LogItem::GuestErrors, "read of guest physical address {:#x}, where nothing is", address - 1);
  return complete;
}

bool MemoryMap::write(uint64_t address, const void* data, uint64_t size, bool smm) {
  const auto* in = static_cast<const uint8_t*>(data);
  bool complete = true;
  while (size != 0) {
    const MemoryRange* range = view(smm).find(address);
    uint64_t part = 1;
    if (range == nullptr) {
      complete = false;
    } else if (range->host != nullptr) {
      part = std::min(size, range->last - address + 1);
      uint8_t* host = range->host + (address - range->first);
      if (range->writable) {
        memory_.before_store(memory_.offset_of(host), part);
        std::memcpy(host, in, part);
        memory_.after_store(memory_.offset_of(host), part);
      }
    } else {
      part = access_size(address, std::min(size, range->last - address + 1));
      uint64_t value = 0;
      std::memcpy(&value, in, part);
      write_window(*range, address, static_cast<unsigned>(part), value);
    }
    address += part;
    in += part;
    size -= part;
  }
  if (!complete)
    log_.print(LogItem::GuestErrors, "write to guest physical address {:#x}, where nothing is", address - 1);
  return complete;
}

uint8_t MemoryMap::read_byte_below(RegionId region, uint64_t address) const {
  const Region* winner = nullptr;
  for (const Region& candidate : regions_) {
    if (!candidate.enabled || candidate.removed || candidate.visibility == Visibility::OnlyInSmm) continue;
    if (candidate.priority >= regions_.at(region).priority || address < candidate.address) continue;
    if (address - candidate.address >= candidate.length) continue;
    if (winner == nullptr || candidate.priority >= winner->priority) winner = &candidate;
  }
  if (winner == nullptr) return 0xFF;
  const uint64_t inside = address - winner->address;
  return winner->is_memory ? memory_.data()[winner->memory_offset + inside]
                           : static_cast<uint8_t>(winner->window->read(inside, 1));
}

std::string MemoryMap::describe() const {
  std::string text;
  for (const MemoryRange& range : view().ranges()) {
    const Region* owner = nullptr;
    for (const Region& region : regions_) {
      if (!region.enabled || region.removed || range.first < region.address) continue;
      if (range.first - region.address >= region.length || region.window != range.window) continue;
      if (owner == nullptr || region.priority >= owner->priority) owner = &region;
    }
    text += fmt::format("{:016x}-{:016x} {} {}\n", range.first, range.last,
                        range.host == nullptr ? "i/o" : (range.writable ? "ram" : "rom"),
                        owner == nullptr ? "" : owner->name);
  }
  return text;
}

}  // namespace calco
