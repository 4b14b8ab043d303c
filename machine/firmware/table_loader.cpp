#include "machine/firmware/table_loader.h"

namespace calco::machine {
namespace {

constexpr uint32_t kAllocate = 1, kAddPointer = 2, kAddChecksum = 3;

}  // namespace

void TableLoader::allocate(std::string_view file, uint32_t alignment, Zone zone) {
  commands_.u32(kAllocate).text(file, kNameSize).u32(alignment).u8(static_cast<uint8_t>(zone));
  finish();
}

void TableLoader::add_pointer(std::string_view file, uint32_t offset, uint8_t size, std::string_view target_file) {
  commands_.u32(kAddPointer).text(file, kNameSize).text(target_file, kNameSize).u32(offset).u8(size);
  finish();
}

void TableLoader::add_checksum(std::string_view file, uint32_t offset, uint32_t start, uint32_t length) {
  commands_.u32(kAddChecksum).text(file, kNameSize).u32(offset).u32(start).u32(length);
  finish();
}

}  // namespace calco::machine
