#include "machine/firmware/aml.h"

#include <stdexcept>

#include "machine/firmware/byte_writer.h"

namespace calco::machine::aml {
namespace {

constexpr uint8_t kExtended = 0x5B;

Term join(std::initializer_list<Term> parts) {
  Term joined;
  for (const Term& part : parts) joined.insert(joined.end(), part.begin(), part.end());
  return joined;
}
Term join(const Terms& parts) {
  Term joined;
  for (const Term& part : parts) joined.insert(joined.end(), part.begin(), part.end());
  return joined;
}

// 20.2.4: the length counts its own bytes; the first holds the number of the others.
Term with_length(const Term& body) {
  if (body.size() + 1 < 0x40) return join({{static_cast<uint8_t>(body.size() + 1)}, body});
  for (unsigned others = 1; others <= 3; ++others) {
    const uint64_t length = body.size() + 1 + others;
    if (length >= uint64_t{1} << (4 + 8 * others)) continue;
    Term encoded = {static_cast<uint8_t>(others << 6 | (length & 0xF))};
    for (unsigned i = 0; i < others; ++i) encoded.push_back(static_cast<uint8_t>(length >> (4 + 8 * i)));
    return join({encoded, body});
  }
  throw std::length_error("AML package of 256 MiB or more");
}

Term segment(std::string_view text) {
  if (text.empty() || text.size() > 4) throw std::invalid_argument("AML name segment of more than 4 characters");
  return ByteWriter().text(text, 4, '_').take();
}

Term binary(uint8_t opcode, const Term& left, const Term& right) { return join({{opcode}, left, right}); }

// 6.4.3.5: an address space descriptor of the host bridge: everything inside is produced, both ends are fixed.
template <typename Value>
Term address_space(uint8_t tag, uint8_t kind, uint8_t specific, Value first, Value last) {
  ByteWriter writer;
  const auto put = [&](uint64_t value) { sizeof(Value) == 2 ? writer.u16(value) : writer.u32(value); };
  writer.u8(tag).u16(3 + 5 * sizeof(Value)).u8(kind).u8(0x0C).u8(specific);
  put(0);  // granularity
  put(first);
  put(last);
  put(0);  // translation offset
  put(uint64_t{last} - first + 1);
  return writer.take();
}

}  // namespace

Term integer(uint64_t value) {
  if (value <= 1) return {static_cast<uint8_t>(value)};
  if (value <= 0xFF) return ByteWriter().u8(0x0A).u8(value).take();
  if (value <= 0xFFFF) return ByteWriter().u8(0x0B).u16(value).take();
  if (value <= 0xFFFFFFFF) return ByteWriter().u8(0x0C).u32(value).take();
  return ByteWriter().u8(0x0E).u64(value).take();
}

Term string(std::string_view text) { return ByteWriter().u8(0x0D).text(text, text.size() + 1).take(); }

Term buffer(const std::vector<uint8_t>& bytes) {
  return join({{0x11}, with_length(join({integer(bytes.size()), bytes}))});
}

Term package(const Terms& elements) {
  if (elements.size() > 255) throw std::length_error("AML package of more than 255 elements");
  return join({{0x12}, with_length(join({{static_cast<uint8_t>(elements.size())}, join(elements)}))});
}

// Three letters of 5 bits, four hexadecimal digits, big-endian (6.1.5).
Term eisa_id(std::string_view id) {
  const auto digit = [](char c) { return static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'A' + 10); };
  uint32_t value = 0;
  for (size_t i = 0; i < 3; ++i) value = value << 5 | (static_cast<uint32_t>(id[i] - 0x40) & 0x1F);
  for (size_t i = 3; i < 7; ++i) value = value << 4 | digit(id[i]);
  return integer(__builtin_bswap32(value));
}

Term path(std::string_view name) {
  Term encoded;
  while (!name.empty() && (name.front() == '\\' || name.front() == '^')) {
    encoded.push_back(static_cast<uint8_t>(name.front()));
    name.remove_prefix(1);
  }
  Terms segments;
  while (!name.empty()) {
    const size_t dot = name.find('.');
    segments.push_back(segment(name.substr(0, dot)));
    name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  }
  if (segments.empty()) encoded.push_back(0x00);
  if (segments.size() == 2) encoded.push_back(0x2E);
  if (segments.size() > 2) encoded.insert(encoded.end(), {0x2F, static_cast<uint8_t>(segments.size())});
  return join({encoded, join(segments)});
}

Term local(unsigned index) { return {static_cast<uint8_t>(0x60 + index)}; }
Term argument(unsigned index) { return {static_cast<uint8_t>(0x68 + index)}; }
Term call(std::string_view method, const Terms& arguments) { return join({path(method), join(arguments)}); }

Term name(std::string_view name, const Term& value) { return join({{0x08}, path(name), value}); }

Term scope(std::string_view name, const Terms& body) {
  return join({{0x10}, with_length(join({path(name), join(body)}))});
}

Term device(std::string_view name, const Terms& body) {
  return join({{kExtended, 0x82}, with_length(join({path(name), join(body)}))});
}

Term method(std::string_view name, unsigned arguments, Serialization serialization, const Terms& body) {
  const auto flags = static_cast<uint8_t>(arguments | (serialization == Serialization::Yes ? 8u : 0u));
  return join({{0x14}, with_length(join({path(name), {flags}, join(body)}))});
}

Term pci_config_bytes(std::string_view region, uint8_t offset, const std::vector<std::string_view>& fields) {
  constexpr uint8_t kPciConfig = 2, kByteAccess = 1;
  Term list;
  for (std::string_view field : fields) list = join({list, segment(field), {8}});
  return join({{kExtended, 0x80},
               path(region),
               {kPciConfig},
               integer(offset),
               integer(fields.size()),
               {kExtended, 0x81},
               with_length(join({path(region), {kByteAccess}, list}))});
}

Term create_dword_field(const Term& buffer, uint8_t offset, std::string_view field) {
  return join({{0x8A}, buffer, integer(offset), path(field)});
}

Term store(const Term& value, const Term& target) { return binary(0x70, value, target); }
// The third operand, the target, is the null name.
Term bit_and(const Term& left, const Term& right) { return join({binary(0x7B, left, right), {0x00}}); }
Term bit_or(const Term& left, const Term& right) { return join({binary(0x7D, left, right), {0x00}}); }
Term less(const Term& left, const Term& right) { return binary(0x95, left, right); }
Term if_then(const Term& condition, const Terms& body) {
  return join({{0xA0}, with_length(join({condition, join(body)}))});
}
Term return_value(const Term& value) { return join({{0xA4}, value}); }

Term resource_template(const Terms& descriptors) { return buffer(join({join(descriptors), {0x79, 0x00}})); }

Term io_ports(uint16_t base, uint8_t length) {
  return ByteWriter().u8(0x47).u8(0x01).u16(base).u16(base).u8(1).u8(length).take();
}

Term isa_interrupt(unsigned irq) { return ByteWriter().u8(0x22).u16(1u << irq).take(); }

Term pci_interrupts(const std::vector<uint32_t>& choices) {
  constexpr uint8_t kConsumerLevelHighShared = 0x09;
  ByteWriter writer;
  writer.u8(0x89).u16(2 + 4 * choices.size()).u8(kConsumerLevelHighShared).u8(choices.size());
  for (uint32_t choice : choices) writer.u32(choice);
  return writer.take();
}

Term fixed_memory(uint32_t base, uint32_t length, bool writable) {
  return ByteWriter().u8(0x86).u16(9).u8(writable ? 1 : 0).u32(base).u32(length).take();
}

Term bus_range(uint16_t first, uint16_t last) { return address_space<uint16_t>(0x88, 2, 0, first, last); }
// 3: the whole range, not only its ISA part.
Term io_window(uint16_t first, uint16_t last) { return address_space<uint16_t>(0x88, 1, 3, first, last); }
Term memory_window(uint32_t first, uint32_t last, bool cacheable) {
  return address_space<uint32_t>(0x87, 0, cacheable ? 0x03 : 0x01, first, last);
}

}  // namespace calco::machine::aml
