#include "jit/llvm/stack_maps.h"

#include <fmt/format.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Object/StackMapParser.h>

#include <array>
#include <optional>

namespace calco::jit {

namespace {

using Parser = llvm::StackMapParser<llvm::endianness::little>;
using Kind = Parser::LocationKind;

// A statepoint's first locations: calling convention, flags, number of operands.
constexpr unsigned kHeader = 3;

// DWARF's numbers of registers (System V ABI for x86-64, figure 3.36).
constexpr unsigned kFirstVector = 17;
constexpr std::array<uint8_t, 16> kGeneral = {0, 2, 1, 3, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15};

std::optional<StateLocation> general(StateLocation::Kind kind, const Parser::LocationAccessor& location) {
  const unsigned number = location.getDwarfRegNum();
  if (number >= kGeneral.size()) return std::nullopt;
  return StateLocation{
      .kind = kind, .index = kGeneral[number], .bytes = static_cast<uint16_t>(location.getSizeInBytes())};
}

std::optional<StateLocation> location_of(const Parser& parser, const Parser::LocationAccessor& location,
                                         uint16_t bytes) {
  switch (location.getKind()) {
    case Kind::Register: {
      const unsigned number = location.getDwarfRegNum();
      if (number < kFirstVector || number >= kFirstVector + 16) return general(StateLocation::Kind::General, location);
      return StateLocation{.kind = StateLocation::Kind::Vector,
                           .index = static_cast<uint8_t>(number - kFirstVector),
                           .bytes = static_cast<uint16_t>(location.getSizeInBytes())};
    }
    case Kind::Indirect: {
      auto result = general(StateLocation::Kind::Memory, location);
      if (result) result->offset = location.getOffset();
      return result;
    }
    case Kind::Constant:
      return StateLocation{.kind = StateLocation::Kind::Constant,
                           .bytes = bytes,
                           .value = static_cast<uint64_t>(int64_t{static_cast<int32_t>(location.getSmallConstant())})};
    case Kind::ConstantIndex:
      return StateLocation{.kind = StateLocation::Kind::Constant,
                           .bytes = bytes,
                           .value = parser.getConstant(location.getConstantIndex()).getValue()};
    default:
      return std::nullopt;
  }
}

// What is wrong, or nothing.
std::string complete(const Parser& parser, const Parser::RecordAccessor& record, StateTable& table) {
  // Code that was made twice would need two tables.
  if (table.complete) return "a call was copied";
  uint16_t next = kHeader;
  for (StateTable::Entry& entry : table.entries) {
    if (entry.location.kind != StateLocation::Kind::Unknown) continue;
    const uint16_t bytes = entry.location.bytes;
    if (next >= record.getNumLocations()) return "a stack map lacks locations";
    const auto location = location_of(parser, record.getLocation(next++), bytes);
    if (!location) return "a stack map has an unknown location";
    if (location->bytes < bytes) return "a stack map has too small a location";
    entry.location = *location;
    entry.location.bytes = bytes;
  }
  table.complete = true;
  return {};
}

}  // namespace

bool read_stack_maps(std::span<const char> object, std::deque<StateTable>& tables, std::string& error) {
  if (tables.empty()) return true;
  const llvm::MemoryBufferRef buffer(llvm::StringRef(object.data(), object.size()), "region");
  auto file = llvm::object::ObjectFile::createELFObjectFile(buffer);
  if (!file) {
    error = llvm::toString(file.takeError());
    return false;
  }
  for (const llvm::object::SectionRef& section : (*file)->sections()) {
    llvm::Expected<llvm::StringRef> name = section.getName();
    if (!name) {
      error = llvm::toString(name.takeError());
      return false;
    }
    if (*name != ".llvm_stackmaps") continue;
    llvm::Expected<llvm::StringRef> contents = section.getContents();
    if (!contents) {
      error = llvm::toString(contents.takeError());
      return false;
    }
    const Parser parser({reinterpret_cast<const uint8_t*>(contents->data()), contents->size()});
    for (const Parser::RecordAccessor& record : parser.records()) {
      if (record.getID() >= tables.size()) continue;
      error = complete(parser, record, tables[record.getID()]);
      if (!error.empty()) return false;
    }
  }
  return true;
}

}  // namespace calco::jit
