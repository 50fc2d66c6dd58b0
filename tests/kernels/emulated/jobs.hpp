// Jobs of random data for the kernels, run by two targets whose outputs must have the same bytes.
#pragma once

#include "kernels.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace mcodec {

constexpr Dtype kDtypes[] = {Dtype::float16, Dtype::bfloat16, Dtype::float32, Dtype::float64};

inline size_t size_of(Dtype dtype) { return static_cast<size_t>(format_of(dtype).width) / 8; }
inline size_t plane_size(size_t n) { return (n + 7) / 8; }

// Bytes at an address that is a multiple of nothing, with none behind them.
class Bytes {
  public:
    explicit Bytes(size_t size, uint8_t value = 0, size_t shift = 3)
        : whole_(size + shift, value), shift_(shift) {}
    uint8_t* data() { return whole_.data() + shift_; }
    size_t size() const { return whole_.size() - shift_; }
    bool operator==(const Bytes& other) const { return whole_ == other.whole_; }

  private:
    std::vector<uint8_t> whole_;
    size_t shift_;
};

class Random {
  public:
    uint64_t word() { return engine_(); }
    uint64_t below(uint64_t end) { return engine_() % end; }

    // Random bytes that live as long as this does.
    uint8_t* bytes(size_t size) {
        kept_.push_back(std::make_unique<Bytes>(size, 0, below(17)));
        uint8_t* data = kept_.back()->data();
        for (size_t i = 0; i < size; ++i) data[i] = static_cast<uint8_t>(engine_());
        return data;
    }
    uint8_t* bytes_below(size_t size, unsigned end) {
        uint8_t* data = bytes(size);
        for (size_t i = 0; i < size; ++i) data[i] = static_cast<uint8_t>(data[i] % end);
        return data;
    }
    uint8_t* plane(size_t n) { return bytes(plane_size(n)); }
    uint8_t* mask(size_t n) {
        uint8_t* data = plane(n);
        for (size_t i = 0; i < plane_size(n); ++i) data[i] &= thinned_ & 1 ? data[i] : 0x11;
        ++thinned_;
        if (n % 8) data[n / 8] &= static_cast<uint8_t>((1 << n % 8) - 1);
        return data;
    }
    // Any patterns; `finite`: none with an exponent of all ones.
    uint8_t* patterns(Dtype dtype, size_t n, bool finite = false);

  private:
    std::mt19937_64 engine_{1};
    std::vector<std::unique_ptr<Bytes>> kept_;
    unsigned thinned_ = 0;
};

inline uint8_t* Random::patterns(Dtype dtype, size_t n, bool finite) {
    const size_t size = size_of(dtype);
    const Format format = format_of(dtype);
    const uint64_t field = ((uint64_t{1} << format.exponent) - 1) << format.mantissa;
    uint8_t* data = bytes(n * size);
    for (size_t i = 0; i < n; ++i) {
        uint64_t pattern = 0;
        std::memcpy(&pattern, data + i * size, size);
        const uint64_t kind = below(8);
        if (kind == 0) pattern &= ~field;                         // subnormal
        if (kind == 1) pattern &= uint64_t{1} << (8 * size - 1);  // zero
        if (kind == 2) pattern |= field;                          // infinite or NaN
        if (finite && (pattern & field) == field) pattern ^= uint64_t{1} << format.mantissa;
        std::memcpy(data + i * size, &pattern, size);
    }
    return data;
}

inline uint64_t ones(const uint8_t* mask, size_t n) {
    uint64_t count = 0;
    for (size_t i = 0; i < n; ++i) count += mask[i / 8] >> i % 8 & 1;
    return count;
}

// What a kernel writes: arrays between guards, and numbers.
class Outputs {
  public:
    explicit Outputs(size_t shift) : shift_(shift) {}
    uint8_t* array(size_t size) {
        arrays_.emplace_back(new Bytes(size + 128, 0xA5, shift_));
        return arrays_.back()->data() + 64;
    }
    template <class T>
    void number(T value) {
        std::memcpy(array(sizeof value), &value, sizeof value);
    }
    void expect_same(const Outputs& other, const std::string& what) const {
        bool same = arrays_.size() == other.arrays_.size();
        for (size_t i = 0; same && i < arrays_.size(); ++i) same = *arrays_[i] == *other.arrays_[i];
        for (const auto& array : arrays_) {
            for (size_t i = 0; i < 64; ++i) {
                same &= array->data()[i] == 0xA5 && array->data()[array->size() - 1 - i] == 0xA5;
            }
        }
        if (same) return;
        std::printf("differs: %s\n", what.c_str());
        std::exit(1);
    }

  private:
    size_t shift_;
    std::vector<std::unique_ptr<Bytes>> arrays_;
};

// A target beside the portable one.
class Pair {
  public:
    explicit Pair(const Table& target) : target_(target) {}

    template <class Run>
    void compare(const std::string& what, Run run) {
        Outputs expected(count_ % 16), found(count_ % 16);
        run(portable, expected);
        run(target_, found);
        found.expect_same(expected, what);
        ++count_;
    }
    size_t count() const { return count_; }

  private:
    const Table& target_;
    size_t count_ = 0;
};

// Each compares a family of kernels on n elements.
void compare_planes(Pair& pair, size_t n);
void compare_bfp(Pair& pair, size_t n, int bits);
void compare_sparse(Pair& pair, size_t n);
void compare_deltas(Pair& pair, size_t n);

}  // namespace mcodec
