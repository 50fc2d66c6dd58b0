// How a stream is coded: one byte repeated, as it is, or Huffman codes (spec/container.md, section
// 4). What takes no part in the choice is left to others: matches.
#pragma once

#include "huffman.hpp"

#include <vector>

// Compiled for the machine's wide vectors too, where the compiler can choose when it is loaded.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define MCODEC_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define MCODEC_CLONES
#endif

namespace mcodec {

constexpr size_t kPieces = 8;   // of a stream that are looked at
constexpr size_t kPiece = 256;  // bytes each
constexpr size_t kSampled = kPieces * kPiece;

// Whether a sample of a stream says that codes would save less than about a hundredth. The sample's
// own entropy is 0.09 bits below that of what it is drawn from: 7.91 for noise, 7.83 is told.
inline bool is_noise(const uint8_t* data, size_t size) {
    if (size < 4 * kSampled) return false;
    Counter counter;
    const size_t step = (size - kPiece) / (kPieces - 1);
    for (size_t i = 0; i < kPieces; ++i) counter.add(data + i * step, kPiece);
    return bits_of(counter.counts(), kSampled) * 100 > uint64_t{783} * kSampled * 65536;
}

inline bool is_fill(const uint8_t* data, size_t size) {
    return data[0] == data[size - 1] && std::memcmp(data, data + 1, size - 1) == 0;
}

// Whether windows of some bytes come again: rows that are alike, which only matches make small.
// Words are elements, or pairs of those that are half as wide; one that its hash picks is looked up
// together with the next. Signs, which `mask` leaves out, are a plane of their own.
// One word of 2^`rate` is picked, and 0 if `salt` is 0.
MCODEC_CLONES static bool repeats(const uint8_t* data, size_t size, uint32_t mask, uint32_t salt,
                                  int rate) {
    constexpr size_t kSlots = 1 << 12;
    constexpr size_t kAtOnce = 32;
    constexpr uint32_t kMultiplier = 2654435761u;
    const uint32_t limit = UINT32_MAX >> rate;
    uint64_t seen[kSlots] = {};
    size_t picked = 0, known = 0;
    const size_t words = size / 4;
    for (size_t i = 0; i + kAtOnce < words; i += kAtOnce) {
        uint32_t hashes[kAtOnce];
        uint32_t least = UINT32_MAX;
        for (size_t k = 0; k < kAtOnce; ++k) {
            uint32_t word;
            std::memcpy(&word, data + 4 * (i + k), 4);
            hashes[k] = ((word & mask) ^ salt) * kMultiplier;
            least = std::min(least, hashes[k]);
        }
        if (least > limit) continue;
        for (size_t k = 0; k < kAtOnce; ++k) {
            if (hashes[k] > limit) continue;
            uint64_t window;
            std::memcpy(&window, data + 4 * (i + k), 8);
            window &= uint64_t{mask} << 32 | mask;
            uint64_t& slot = seen[(window * 0x9E3779B97F4A7C15ull) >> 52];
            ++picked;
            known += slot == window;
            slot = window;
        }
    }
    return known * 128 > picked && known >= 8;
}

struct Coded {
    enum Kind : int { kFill = 0, kRaw = 1, kZstd = 2, kRepeats = 3 } kind;
    size_t at = 0, size = 0;  // of the frame, in the output
};

// Appends a frame to `out` where codes are smaller by more than `cost` bytes.
inline Coded code(const uint8_t* data, size_t size, size_t cost, std::vector<uint8_t>& out,
                  Counts* counts = nullptr) {
    if (size == 0 || is_fill(data, size)) return {Coded::kFill};
    if (size <= std::max(cost, kHuffmanLeast) || is_noise(data, size)) return {Coded::kRaw};
    const size_t at = out.size();
    out.resize(at + frame_room(size));
    const size_t made = huffman_frame(out.data() + at, data, size, counts);
    if (made + cost >= size) {
        out.resize(at);
        return {Coded::kRaw};
    }
    out.resize(at + made);
    return {Coded::kZstd, at, made};
}

// Codes streams of one block. Of planes that codes do not make much smaller every fourth is looked
// at for repeats: the low bits of sums come again where the sums do not. They and those that follow
// are left to who looks for matches.
class Coder {
  public:
    Coder(size_t cost, std::vector<uint8_t>& out) : cost_(cost), out_(out) {}

    Coded next(const uint8_t* data, size_t size) {
        const Coded coded = code(data, size, cost_, out_);
        const bool dense = coded.kind == Coded::kRaw || coded.size > size / 4 * 3;
        if (coded.kind == Coded::kFill || !dense) return coded;
        const int rate = size > kShort ? 3 : 0;  // short ones have few words to pick from
        if (since_ == 0) repeats_ = repeats(data, size, UINT32_MAX, 0, rate);
        since_ = (since_ + 1) % kEvery;
        return repeats_ ? Coded{Coded::kRepeats} : coded;
    }

  private:
    static constexpr int kEvery = 4;
    static constexpr size_t kShort = size_t{8} << 10;
    size_t cost_;
    std::vector<uint8_t>& out_;
    int since_ = 0;
    bool repeats_ = false;
};

// The bytes that symbols of these counts would take as exponents and `bits` planes apart, by their
// entropies; codes of whole bits take some hundredths more for exponents.
inline size_t apart(const Counts& counts, size_t size, int bits) {
    const uint64_t whole = n_log_n(size);
    uint64_t used = 0;
    for (size_t first = 0; first < 256; first += size_t{1} << bits) {
        uint64_t own = 0;
        for (size_t k = 0; k < size_t{1} << bits; ++k) own += counts[first + k];
        used += n_log_n(own);
    }
    uint64_t total = whole - used;
    for (int bit = 0; bit < bits; ++bit) {
        uint64_t ones = 0;
        for (size_t s = 0; s < 256; ++s) ones += (s >> bit & 1) * counts[s];
        const uint64_t plane = whole - n_log_n(ones) - n_log_n(size - ones);
        const uint64_t raw = uint64_t{size} << 16;
        total += plane + raw / 64 < raw ? plane : raw;  // as `huffman_block` stores it
    }
    return static_cast<size_t>(total / (8 * 65536));
}

MCODEC_CLONES static uint8_t greatest(const uint8_t* data, size_t size) {
    uint8_t found = 0;
    for (size_t i = 0; i < size; ++i) found = std::max(found, data[i]);
    return found;
}

// Joins exponents and two mantissa bits as symbols of a window that begins at exponent `first`:
// above 0 its first exponent would need the symbol 0, which is that of the number zero. Returns
// whether there is none of that exponent, and none below it but zero.
MCODEC_CLONES static bool join(const uint8_t* exponents, const uint8_t* mantissas, size_t size,
                               uint8_t first, uint8_t* symbols) {
    uint8_t lost = 0;
    const uint8_t least = first == 0 ? 0 : first + 1;
    for (size_t i = 0; i < size; ++i) {
        const uint8_t high = exponents[i], low = mantissas[i];
        const uint8_t kept = high >= least ? 0xFF : 0;
        lost |= static_cast<uint8_t>((high | low) & ~kept);
        // Vectors of bytes are added, not shifted.
        const auto above = static_cast<uint8_t>(high - first);
        const auto twice = static_cast<uint8_t>(above + above);
        symbols[i] = static_cast<uint8_t>(twice + twice + low) & kept;
    }
    return lost == 0;
}

// By a byte, its bits as bytes of 0 or 1, the lowest first.
using Spread = std::array<uint64_t, 256>;

inline const Spread& spread_bits() {
    static const Spread table = [] {
        Spread made{};
        for (size_t byte = 0; byte < 256; ++byte) {
            uint8_t bits[8];
            for (size_t k = 0; k < 8; ++k) bits[k] = byte >> k & 1;
            std::memcpy(&made[byte], bits, 8);
        }
        return made;
    }();
    return table;
}

// Joins exponents and two planes as symbols of the first window, of those that begin at multiples
// of `step` and go `last` exponents further, in which the largest exponent lies. Returns that
// window's first exponent, or -1 if another number has no symbol in it.
inline int join_planes(const uint8_t* exponents, const uint8_t* high, const uint8_t* low,
                       size_t size, int last, int step, uint8_t* symbols) {
    const Spread& spread = spread_bits();
    constexpr size_t kPart = 4096;  // elements, whose mantissas stay in the nearest cache
    const int above = greatest(exponents, size) - last;
    const int first = above > 0 ? (above + step - 1) / step * step : 0;
    for (size_t start = 0; start < size; start += kPart) {
        const size_t part = std::min(size - start, kPart);
        uint64_t mantissas[kPart / 8];
        for (size_t i = 0, at = start / 8; i < (part + 7) / 8; ++i, ++at) {
            mantissas[i] = spread[high[at]] << 1 | spread[low[at]];
        }
        if (!join(exponents + start, reinterpret_cast<const uint8_t*>(mantissas), part,
                  static_cast<uint8_t>(first), symbols + start)) {
            return -1;
        }
    }
    return first;
}

}  // namespace mcodec
