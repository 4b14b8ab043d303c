#include "jit/runtime/guest_symbols.h"

#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <tuple>

namespace calco::jit {

namespace {

// Functions without a size end here at the latest: what lies far behind the last one is something else.
constexpr uint64_t kLongestFunction = uint64_t{1} << 20;

template <typename T>
std::optional<T> item_at(std::string_view contents, uint64_t offset) {
  if (offset > contents.size() || contents.size() - offset < sizeof(T)) return std::nullopt;
  T item;
  std::memcpy(&item, contents.data() + offset, sizeof(T));
  return item;
}

std::string_view string_at(std::string_view contents, const Elf64_Shdr& table, uint64_t offset) {
  if (table.sh_offset > contents.size() || offset >= table.sh_size) return {};
  const std::string_view strings = contents.substr(table.sh_offset, table.sh_size);
  if (offset >= strings.size()) return {};
  return strings.substr(offset, strings.find('\0', offset) - offset);
}

}  // namespace

// System V ABI, "Symbol Table".
std::vector<GuestSymbols::Function> GuestSymbols::parse_elf(std::string_view contents) {
  std::vector<Function> functions;
  const auto header = item_at<Elf64_Ehdr>(contents, 0);
  if (!header || header->e_ident[EI_CLASS] != ELFCLASS64) return functions;
  const auto section = [&](uint64_t index) {
    return item_at<Elf64_Shdr>(contents, header->e_shoff + index * sizeof(Elf64_Shdr));
  };
  for (unsigned index = 0; index < header->e_shnum; ++index) {
    const auto table = section(index);
    if (!table || table->sh_type != SHT_SYMTAB) continue;
    const auto strings = section(table->sh_link);
    if (!strings) continue;
    for (uint64_t offset = 0; offset + sizeof(Elf64_Sym) <= table->sh_size; offset += sizeof(Elf64_Sym)) {
      const auto symbol = item_at<Elf64_Sym>(contents, table->sh_offset + offset);
      if (!symbol) break;
      if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_shndx == SHN_UNDEF) continue;
      functions.push_back(
          {symbol->st_value, symbol->st_size, std::string(string_at(contents, *strings, symbol->st_name))});
    }
  }
  return functions;
}

std::vector<GuestSymbols::Function> GuestSymbols::parse_lines(std::string_view contents) {
  std::vector<Function> functions;
  for (size_t begin = 0; begin < contents.size();) {
    const size_t end = std::min(contents.find('\n', begin), contents.size());
    const std::string_view line = contents.substr(begin, end - begin);
    begin = end + 1;
    uint64_t address = 0;
    const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), address, 16);
    const size_t type = static_cast<size_t>(rest - line.data()) + 1;
    if (error != std::errc() || type + 2 >= line.size() || line[type - 1] != ' ' || line[type + 1] != ' ') continue;
    if (std::string_view("tTwW").find(line[type]) == std::string_view::npos) continue;
    const std::string_view name = line.substr(type + 2);
    functions.push_back({address, 0, std::string(name.substr(0, name.find_first_of("\t\r ")))});
  }
  return functions;
}

GuestSymbols GuestSymbols::of(std::vector<Function> functions) {
  std::erase_if(functions, [](const Function& function) { return function.name.empty(); });
  if (functions.empty())
    throw std::runtime_error("no functions in it; an ELF file, a System.map or kallsyms is needed");
  std::ranges::sort(functions, [](const Function& a, const Function& b) {
    return std::tie(a.address, a.name) < std::tie(b.address, b.name);
  });
  GuestSymbols symbols;
  symbols.functions_ = std::move(functions);
  return symbols;
}

GuestSymbols GuestSymbols::parse(std::string_view contents) {
  return of(contents.starts_with(std::string_view(ELFMAG, SELFMAG)) ? parse_elf(contents) : parse_lines(contents));
}

GuestSymbols GuestSymbols::read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string contents{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw std::runtime_error(std::strerror(errno));
  return parse(contents);
}

std::string GuestSymbols::name(uint64_t address) const {
  const auto behind = std::ranges::upper_bound(functions_, address, {}, &Function::address);
  if (behind == functions_.begin()) return {};
  const Function& function = *std::prev(behind);
  const uint64_t offset = address - function.address;
  if (offset >= (function.size != 0 ? function.size : kLongestFunction)) return {};
  return offset == 0 ? function.name : fmt::format("{}+{:#x}", function.name, offset);
}

}  // namespace calco::jit
