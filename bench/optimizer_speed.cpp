// What frontend and passes cost: translates the code of an x86-64 ELF file block by block and prints nanoseconds for
// each step, per operation of the IR that it was given and per guest instruction.
//
//   optimizer_speed [/bin/bash]
#include <elf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <vector>

#include "jit/frontend/frontend.h"
#include "jit/opt/pipeline.h"

namespace {

using calco::jit::ir::Block;

constexpr size_t kPageBytes = 4096;
constexpr int kRuns = 5;
constexpr size_t kBatch = 64;  // blocks that a step is timed on at once; they stay in the caches from step to step

// Processor time of this thread: what other programs on the machine take does not count.
double thread_nanoseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

// The first executable segment, without what the file lacks of it.
std::vector<uint8_t> code_of(const char* path) {
  std::ifstream stream(path, std::ios::binary);
  const std::vector<uint8_t> file{std::istreambuf_iterator<char>(stream), {}};
  Elf64_Ehdr header{};
  if (file.size() < sizeof header) return {};
  std::memcpy(&header, file.data(), sizeof header);
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment{};
    const size_t at = header.e_phoff + i * sizeof segment;
    if (at + sizeof segment > file.size()) return {};
    std::memcpy(&segment, file.data() + at, sizeof segment);
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
    if (segment.p_offset > file.size() || segment.p_filesz > file.size() - segment.p_offset) return {};
    return {file.begin() + static_cast<ptrdiff_t>(segment.p_offset),
            file.begin() + static_cast<ptrdiff_t>(segment.p_offset + segment.p_filesz)};
  }
  return {};
}

struct Work {
  std::vector<Block> blocks;
  size_t operations = 0;
  size_t guest_instructions = 0;
  double frontend = 0;
};

Work translate_all(const std::vector<uint8_t>& code) {
  const calco::decode::FeatureSet features = calco::decode::FeatureSet().set();
  Work work;
  const double start = thread_nanoseconds();
  for (size_t at = 0; at + 16 < code.size();) {
    const size_t page_end = std::min((at / kPageBytes + 1) * kPageBytes, code.size());
    Block block;
    const calco::jit::CodeSource source{
        .bytes = {code.data() + at, page_end - at}, .memory_offset = at, .mode_key = 0, .features = features};
    const bool translated = calco::jit::translate(source, block);
    at += translated && block.byte_length != 0 ? block.byte_length : 1;
    if (!translated) continue;
    work.operations += block.code.size();
    work.guest_instructions += block.guest.size();
    work.blocks.push_back(std::move(block));
  }
  work.frontend = thread_nanoseconds() - start;
  return work;
}

size_t operations(const std::vector<Block>& blocks) {
  size_t sum = 0;
  for (const Block& block : blocks) sum += block.code.size();
  return sum;
}

void print_step(std::string_view name, double nanoseconds, size_t before, size_t after, size_t guest_instructions) {
  fmt::print("{:<24} {:>7.2f} ns/operation {:>8.1f} ns/guest instruction   {} -> {} operations\n", name,
             nanoseconds / static_cast<double>(before), nanoseconds / static_cast<double>(guest_instructions), before,
             after);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<uint8_t> code = code_of(argc > 1 ? argv[1] : "/bin/bash");
  const Work work = translate_all(code);
  if (work.blocks.empty()) {
    fmt::print(stderr, "no code\n");
    return 1;
  }
  fmt::print("{} blocks, {} guest instructions, {} operations\n", work.blocks.size(), work.guest_instructions,
             work.operations);
  print_step("frontend", work.frontend, work.operations, work.operations, work.guest_instructions);

  const auto passes = calco::jit::opt::passes();
  std::vector<double> best(passes.size(), 1e30);
  std::vector<std::pair<size_t, size_t>> sizes;
  calco::jit::opt::Scratch scratch;
  for (int run = 0; run < kRuns; ++run) {
    std::vector<double> times(passes.size());
    sizes.assign(passes.size(), {});
    for (size_t first = 0; first < work.blocks.size(); first += kBatch) {
      const size_t count = std::min(kBatch, work.blocks.size() - first);
      std::vector<Block> blocks(work.blocks.begin() + static_cast<ptrdiff_t>(first),
                                work.blocks.begin() + static_cast<ptrdiff_t>(first + count));
      for (size_t i = 0; i < passes.size(); ++i) {
        sizes[i].first += operations(blocks);
        const double start = thread_nanoseconds();
        for (Block& block : blocks) passes[i].run(block, scratch);
        times[i] += thread_nanoseconds() - start;
        sizes[i].second += operations(blocks);
      }
    }
    std::ranges::transform(best, times, best.begin(), [](double a, double b) { return std::min(a, b); });
  }
  double sum = 0;
  for (size_t i = 0; i < passes.size(); ++i) {
    print_step(passes[i].name, best[i], sizes[i].first, sizes[i].second, work.guest_instructions);
    sum += best[i];
  }
  print_step("all passes", sum, work.operations, sizes.back().second, work.guest_instructions);
}
