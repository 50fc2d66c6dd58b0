// What the kernels of delta and of residuals are told: see kernels.hpp, which includes this.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dtypes.hpp"

namespace mcodec {

constexpr int kMaxWidth = 64;
constexpr int kMaxClasses = 16;

// Differences of patterns of `size` bytes, 2, 4 or 8; lengths are 0 to 8 size.
struct DeltaLengths {
    size_t n, size;
    const uint8_t* base;
    const uint8_t* values;
    uint8_t* out;
};

// 8 size arrays: low.k from the top down, and the signs. They have the sizes that `lengths` say.
struct PackDelta {
    size_t n, size;
    const uint8_t* base;
    const uint8_t* values;
    const uint8_t* lengths;
    uint8_t* packed[kMaxWidth];
};

struct MergeDelta {
    size_t n, size;
    const uint8_t* base;
    const uint8_t* lengths;
    const uint8_t* packed[kMaxWidth];
    size_t bytes[kMaxWidth];  // of the packed
    uint8_t* out;
    bool valid;  // written: the sizes are those that the lengths say
};

struct CountAbove {
    size_t n;
    const uint8_t* lengths;
    int most;             // of `above` that matter, 0 to 256
    uint64_t above[256];  // written
};

struct MaxExponent {
    Dtype dtype;
    size_t n;
    const uint8_t* base;
    int exponent;  // written
};

// Lengths and streams are each the other's input or output, and both absent where one counts.
struct Classes {
    Dtype dtype;
    size_t n;
    const uint8_t* base;
    int emax, count;  // a field, and how many classes
    uint8_t* lengths;
    uint8_t* streams[kMaxClasses];
    size_t sizes[kMaxClasses];
    uint64_t counts[kMaxClasses];  // written by count_classes
    bool valid;                    // written by the others: the sizes are those of the classes
};

// dtype is not float64. `out` has float64s, NaN where a number is not finite.
struct SubtractBase {
    Dtype dtype;
    size_t n;
    const uint8_t* base;
    const uint8_t* values;
    uint8_t* out;
};

// dtype is not float64, the base is finite. `residual` has finite float32s.
struct AddResidual {
    Dtype dtype;
    size_t n;
    const uint8_t* base;
    const uint8_t* residual;
    uint8_t* out;
};

}  // namespace mcodec
