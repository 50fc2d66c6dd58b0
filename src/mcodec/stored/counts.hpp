// How often bytes occur, and what that says of their codes, by whole numbers alone: what is chosen
// by it is one on every machine.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace mcodec {

// n·log2(n) in 1/65536 bits.
inline uint64_t n_log_n(uint64_t n) {
    if (n < 2) return 0;
    const int top = 63 - __builtin_clzll(n);
    uint64_t x = n << (31 - top);  // 1 to 2, with 31 bits behind the point; n < 2^32
    uint64_t bits = static_cast<uint64_t>(top);
    for (int i = 0; i < 16; ++i) {
        x = (x * x) >> 31;
        bits <<= 1;
        if (x >> 32) {
            bits |= 1;
            x >>= 1;
        }
    }
    return n * bits;
}

constexpr size_t kTabled = 4096;

// The same, from a table for small numbers.
inline uint64_t n_log_n_fast(uint64_t n) {
    static const std::array<uint64_t, kTabled> table = [] {
        std::array<uint64_t, kTabled> made{};
        for (size_t i = 0; i < kTabled; ++i) made[i] = n_log_n(i);
        return made;
    }();
    return n < kTabled ? table[n] : n_log_n(n);
}

using Counts = std::array<uint32_t, 256>;

// Counts in four places each: bytes that repeat would wait for each other in one.
class Counter {
  public:
    void add(const uint8_t* data, size_t size) {
        size_t i = 0;
        for (; i + 4 <= size; i += 4) {
            for (size_t k = 0; k < 4; ++k) ++lanes_[k][data[i + k]];
        }
        for (; i < size; ++i) ++lanes_[0][data[i]];
    }

    Counts counts() const {
        Counts sums;
        for (size_t s = 0; s < 256; ++s) {
            sums[s] = lanes_[0][s] + lanes_[1][s] + lanes_[2][s] + lanes_[3][s];
        }
        return sums;
    }

  private:
    uint32_t lanes_[4][256] = {};
};

inline Counts count(const uint8_t* data, size_t size) {
    Counter counter;
    counter.add(data, size);
    return counter.counts();
}

// The entropy of all `size` bytes that were counted, in 1/65536 bits.
inline uint64_t bits_of(const Counts& counts, size_t size) {
    uint64_t used = 0;
    for (const uint32_t n : counts) used += n_log_n_fast(n);
    return n_log_n_fast(size) - used;
}

}  // namespace mcodec
