#include "tests/oracle/oracle.h"

#include <cstring>

#include "tests/oracle/compare.h"
#include "tests/oracle/random.h"
#include "tests/oracle/report.h"

namespace calco::oracle {

namespace {
constexpr uint8_t kBreakpoint = 0xCC;

void write_pokes(const TestCase& test, std::span<uint8_t> data) {
  for (const Poke& poke : test.pokes) {
    std::memcpy(data.data() + (poke.address - kData), poke.bytes.data(), poke.bytes.size());
  }
}
}  // namespace

std::vector<uint8_t> complete_code(const TestCase& test) {
  std::vector<uint8_t> code = test.code;
  if (test.code_64()) {
    const auto displacement = static_cast<uint32_t>(kExit - (test.code_address + code.size() + 5));
    code.push_back(0xE9);  // JMP rel32
    for (unsigned i = 0; i < 4; ++i) code.push_back(static_cast<uint8_t>(displacement >> i * 8));
  } else {
    if (test.code_size == decode::CodeSize::Bits16) code.push_back(0x66);
    code.push_back(0xEA);  // JMP ptr16:32
    for (unsigned i = 0; i < 4; ++i) code.push_back(static_cast<uint8_t>(kExit >> i * 8));
    code.push_back(kCode64Selector);
    code.push_back(0);
  }
  return code;
}

Oracle::Oracle(Tier tier, LlvmLevel level)
    : interpreter_(tier, level), clean_data_(kDataPages * kPage), clean_code_(kCodePages * kPage, kBreakpoint) {
  std::memcpy(native_.code().data(), clean_code_.data(), clean_code_.size());
  interpreter_.write_code(kCode, clean_code_);
  fill_data(1);
}

void Oracle::fill_data(uint64_t seed) {
  data_seed_ = seed;
  Random random(seed);
  for (size_t at = 0; at < clean_data_.size(); at += 8) {
    const uint64_t word = random.memory_word();
    std::memcpy(clean_data_.data() + at, &word, 8);
  }
  std::memcpy(native_.data().data(), clean_data_.data(), clean_data_.size());
  std::memcpy(interpreter_.data().data(), clean_data_.data(), clean_data_.size());
}

void Oracle::prepare(const TestCase& test, const std::vector<uint8_t>& code) {
  if (test.memory_seed != data_seed_) fill_data(test.memory_seed);
  write_pokes(test, interpreter_.data());
  interpreter_.write_code(test.code_address, code);
  prepare_host(test, code);
}

void Oracle::prepare_host(const TestCase& test, const std::vector<uint8_t>& code) {
  write_pokes(test, native_.data());
  std::memcpy(native_.code().data() + (test.code_address - kCode), code.data(), code.size());
}

// Leaves the memory as the host's, which has not begun.
void Oracle::rehearse(const TestCase& test) {
  interpreter_.run(test.initial, *interpreted_);
  std::memcpy(interpreter_.data().data(), native_.data().data(), native_.data().size());
  if (std::memcmp(interpreter_.code().data(), native_.code().data(), native_.code().size()) != 0) {
    interpreter_.write_code(kCode, native_.code());
  }
}

// For a second opinion. A processor of AMD's loses the x87 pointers when Linux switches to another thread and back
// ("FXSAVE leak"), and then FNSTENV stores zeros.
void Oracle::ask_host_again(const TestCase& test, const std::vector<uint8_t>& code) {
  std::memcpy(native_.data().data(), clean_data_.data(), clean_data_.size());
  std::memcpy(native_.code().data(), clean_code_.data(), clean_code_.size());
  prepare_host(test, code);
  native_.run(test.initial, *host_);
}

void Oracle::clean_up(uint64_t address, size_t size) {
  std::memset(native_.code().data() + (address - kCode), kBreakpoint, size);
  interpreter_.write_code(address, {clean_code_.data(), size});
  for (uint64_t page = 0; page < kDataPages; ++page) {
    const auto clean = std::span(clean_data_).subspan(page * kPage, kPage);
    for (const auto data : {native_.data().subspan(page * kPage), interpreter_.data().subspan(page * kPage)}) {
      if (std::memcmp(data.data(), clean.data(), kPage) != 0) std::memcpy(data.data(), clean.data(), kPage);
    }
  }
  for (const uint8_t* code : {static_cast<const uint8_t*>(native_.code().data()), interpreter_.code().data()}) {
    if (std::memcmp(code, clean_code_.data(), clean_code_.size()) == 0) continue;
    std::memcpy(native_.code().data(), clean_code_.data(), clean_code_.size());
    interpreter_.write_code(kCode, clean_code_);
  }
}

// What is open counts as equal.
bool Oracle::agree(const TestCase& test) {
  if (test.open_memory >= kData && test.open_memory + test.open_memory_size <= kReadOnly) {
    const uint64_t offset = test.open_memory - kData;
    std::memcpy(interpreter_.data().data() + offset, native_.data().data() + offset, test.open_memory_size);
  }
  const MemoryPair data{kData, native_.data(), interpreter_.data()};
  const MemoryPair code{kCode, native_.code(), interpreter_.code()};
  return outcomes_agree(test, *host_, *interpreted_) && data.equal() && code.equal();
}

std::optional<Difference> Oracle::run(const TestCase& test) {
  const std::vector<uint8_t> code = complete_code(test);
  prepare(test, code);
  for (unsigned i = 0; i < interpreter_.rehearsals(); ++i) rehearse(test);
  native_.run(test.initial, *host_);
  interpreter_.run(test.initial, *interpreted_);
  if (!agree(test)) ask_host_again(test, code);
  std::optional<Difference> difference;
  if (!agree(test)) {
    difference = describe_difference(test, *host_, *interpreted_, {kData, native_.data(), interpreter_.data()},
                                     {kCode, native_.code(), interpreter_.code()});
  }
  clean_up(test.code_address, code.size());
  return difference;
}

}  // namespace calco::oracle
