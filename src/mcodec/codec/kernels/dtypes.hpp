// The float formats.
#pragma once

#include <stdint.h>

namespace mcodec {

enum class Dtype : uint8_t { float16, bfloat16, float32, float64 };

struct Format {
    int width, exponent, mantissa;  // in bits
};

constexpr Format format_of(Dtype dtype) {
    switch (dtype) {
        case Dtype::float16: return {16, 5, 10};
        case Dtype::bfloat16: return {16, 8, 7};
        case Dtype::float32: return {32, 8, 23};
        case Dtype::float64: break;
    }
    return {64, 11, 52};
}

}  // namespace mcodec
