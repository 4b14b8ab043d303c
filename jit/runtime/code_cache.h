// Memory for translated code and what belongs to it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace calco::jit {

// Code is executed at one address and written at another; no page is writable and executable at once. Right behind the
// executable view lies plain data (counters, link cells) that code reaches relative to RIP.
//
// Space is handed out from segments in turn. When the last one is full the first is used again: whatever was in it must
// be gone by then (the owner evicts it).
//
// Threads: none of its own; the owner locks. Written code is visible to other processors once its address was published
// under a lock or by an atomic store.
class CodeCache {
 public:
  // Bytes of code, kMinimumBytes at least; data of the same size is reserved, but used only as needed. Throws
  // std::system_error.
  explicit CodeCache(size_t size);
  CodeCache(const CodeCache&) = delete;
  CodeCache& operator=(const CodeCache&) = delete;
  ~CodeCache();

  static constexpr unsigned kSegments = 8;
  // Each segment has room for the longest block, which is reserved while it is emitted, and for the entries.
  static constexpr size_t kMinimumBytes = kSegments * (size_t{64} << 10);

  // `bytes` of code space, aligned to 16, in the current segment: the address to write at, or null where the segment is
  // full.
  uint8_t* allocate_code(size_t bytes);
  // Gives back what allocate_code() handed out last, from `end` (a writable address) on.
  void trim(uint8_t* end);
  // The same of data, zeroed, aligned to 8; the address to use.
  uint8_t* allocate_data(size_t bytes);
  // What was handed out until now stays for good. Only in the first segment, before the others were used.
  void keep() { kept_ = code_used_; }
  // Starts to use the next segment and answers its number.
  unsigned next_segment();
  unsigned current_segment() const { return segment_; }

  // Between the two addresses of the same code.
  const uint8_t* executable(const void* writable) const {
    return static_cast<const uint8_t*>(writable) - writable_ + executable_;
  }
  uint8_t* writable(const void* executable) const {
    return const_cast<uint8_t*>(static_cast<const uint8_t*>(executable)) - executable_ + writable_;
  }
  // What an address of the data is called by code that is being written at its writable address, relative to RIP.
  uint8_t* as_seen_from_writable(void* data) const { return static_cast<uint8_t*>(data) - executable_ + writable_; }
  bool contains(const void* executable) const { return executable >= executable_ && executable < executable_ + size_; }

  size_t size() const { return size_; }
  size_t used() const;  // bytes of code in all segments

 private:
  void share_file();
  size_t segment_bytes() const { return size_ / kSegments; }

  size_t size_;
  uint8_t* executable_ = nullptr;
  uint8_t* writable_ = nullptr;
  uint8_t* data_ = nullptr;
  unsigned segment_ = 0;
  size_t code_used_ = 0, data_used_ = 0;  // of the current segment
  size_t kept_ = 0;                       // code at the beginning of the first segment
  size_t segment_used_[kSegments] = {};
};

}  // namespace calco::jit
