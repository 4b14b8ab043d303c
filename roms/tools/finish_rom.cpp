// Finishes an option ROM: pads it to 512-byte blocks, sets its length and checksums, and writes it both as an image
// and as a C++ array for the program that carries it.
//
//   finish_rom LINKED IMAGE SOURCE NAME
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <numeric>
#include <string>
#include <vector>

namespace {

constexpr size_t kBlock = 512;
constexpr size_t kLengthOffset = 2;
constexpr size_t kPnpPointerOffset = 0x1A;
constexpr size_t kPnpLengthOffset = 5;
constexpr size_t kPnpChecksumOffset = 9;

// The byte that makes the sum of the range 0.
uint8_t balance(const std::vector<uint8_t>& image, size_t begin, size_t length) {
  const auto first = image.begin() + static_cast<std::ptrdiff_t>(begin);
  return static_cast<uint8_t>(-std::accumulate(first, first + static_cast<std::ptrdiff_t>(length), 0));
}

void finish(std::vector<uint8_t>& image) {
  const size_t pnp = image.at(kPnpPointerOffset) | image.at(kPnpPointerOffset + 1) << 8;
  image.at(pnp + kPnpChecksumOffset) = balance(image, pnp, image.at(pnp + kPnpLengthOffset) * size_t{16});
  // One byte more than the code: the last of the image takes the checksum.
  image.resize((image.size() / kBlock + 1) * kBlock);
  image.at(kLengthOffset) = static_cast<uint8_t>(image.size() / kBlock);
  image.back() = balance(image, 0, image.size());
}

void write_array(std::ostream& out, const std::string& name, const std::vector<uint8_t>& image) {
  out << "#include \"roms/option_roms.h\"\n\nnamespace calco::roms {\nnamespace {\nconst uint8_t kImage[] = {";
  for (size_t i = 0; i < image.size(); ++i) out << (i % 16 == 0 ? "\n    " : " ") << +image[i] << ',';
  out << "\n};\n}  // namespace\nstd::span<const uint8_t> " << name
      << "() { return kImage; }\n}  // namespace calco::roms\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return std::cerr << "usage: finish_rom LINKED IMAGE SOURCE NAME\n", 1;
  std::ifstream linked(argv[1], std::ios::binary);
  std::vector<uint8_t> image{std::istreambuf_iterator<char>(linked), {}};
  finish(image);
  std::ofstream(argv[2], std::ios::binary)
      .write(reinterpret_cast<const char*>(image.data()), static_cast<std::streamsize>(image.size()));
  std::ofstream source(argv[3]);
  write_array(source, argv[4], image);
  return source.good() ? 0 : 1;
}
