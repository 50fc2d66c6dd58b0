// The contract between the bindings and the targets.
//
// A target is one `Table` of plain functions, compiled in one file with one set of instructions.
// Kernels allocate nothing, throw nothing, know no Python and hold no state. What a caller has
// checked, they trust: sizes, ranges, and that outputs overlap nothing. The caller also holds a
// `RoundingGuard`. Given that, no kernel can fail.
//
// Words and bit order: design, section 2. n is the number of elements; a plane has (n + 7) / 8
// bytes. Nothing need be aligned.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <type_traits>

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

constexpr int kMaxMantissa = 52;
constexpr int kMaxBits = 24;
constexpr int16_t kZeroScope = -32768;

// Element i has the exponent ((i + first) / inner) % count; inner and count are at least 1 and
// first + n does not overflow.
struct Scopes {
    uint64_t inner, count, first;
};

// The exponents or the step of block floating point: `exponents` is null where there is a step.
struct Scale {
    Scopes scopes;
    const int16_t* exponents;
    float step;
};

struct SplitFloat {
    Dtype dtype;
    size_t n;
    const uint8_t* values;
    uint8_t* sign;
    uint8_t* exponent[2];  // the last is the low byte; the first is there for float64 only
    int count;             // of the planes
    uint8_t* planes[kMaxMantissa];
};

// A null plane is zeros. A null exponent is n times the byte of the same place in `fill`.
struct MergeFloat {
    Dtype dtype;
    size_t n;
    uint8_t* out;
    const uint8_t* sign;
    const uint8_t* exponent[2];
    uint8_t fill[2];
    int count;
    const uint8_t* planes[kMaxMantissa];
};

struct SplitBfp {
    Dtype dtype;
    size_t n;
    const uint8_t* values;
    int bits;
    bool truncate;
    Scale scale;
    uint8_t* sign;
    uint8_t* planes[kMaxBits];  // `bits` of them, none null
};

struct MergeBfp {
    Dtype dtype;
    size_t n;
    uint8_t* out;
    int bits;
    int count;  // of the planes, at most `bits`, and at most 23 with `mid`
    bool mid;
    Scale scale;
    const uint8_t* sign;
    const uint8_t* planes[kMaxBits];
};

struct PlanesToBytes {
    size_t n;
    int count;  // 1 to 8
    const uint8_t* planes[8];
    uint8_t* out;
};

struct BytesToPlanes {
    size_t n;
    int count;  // 1 to 8
    const uint8_t* values;
    uint8_t* planes[8];
};

struct ScopeMax {
    Dtype dtype;
    size_t n;
    const uint8_t* values;
    Scopes scopes;
    uint8_t* maxima;  // uint64 each
};

struct ErrorStats {
    Dtype dtype;
    size_t n;
    const uint8_t* source;
    const uint8_t* decoded;
    double largest, squares, signal;  // written
};

struct CountBits {
    size_t bytes;
    const uint8_t* plane;
    uint64_t count;  // written
};

struct NonzeroPlane {
    size_t n, size;  // elements, bytes of one: 1, 2, 4 or 8
    const uint8_t* values;
    uint8_t* out;
};

// Bits: `in` and `out` are a plane of `bytes` like the mask, and the packed bits.
struct MaskedBits {
    size_t bytes, in_bytes;
    const uint8_t* mask;
    const uint8_t* in;
    uint8_t* out;
};

// Elements: `in` and `out` have n of them and the mask's count, or the other way round. The bits
// of the mask past n are zero.
struct MaskedElements {
    size_t n, size, count;
    const uint8_t* mask;
    const uint8_t* in;
    uint8_t* out;
};

struct MaskElements {
    size_t n, size;
    bool with_sign;
    const uint8_t* mask;
    const uint8_t* base;
    uint8_t* out;
};

// `count` is the number of bytes of `high` other than 255.
struct GapsToPlane {
    size_t n, bytes, count;
    const uint8_t* high;
    int k;  // 0 to 8
    const uint8_t* low[8];
    uint8_t* out;
    bool valid;  // written
};

// Scales are positive normal float32s. `in` and `out` are values and codes, or the other way round.
struct Int8 {
    Dtype dtype;
    size_t n;
    Scopes scopes;
    const uint8_t* scales;
    const uint8_t* in;
    uint8_t* out;
};

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

struct Table {
    const char* name;
    void (*split_float)(const SplitFloat&) noexcept;
    void (*merge_float)(const MergeFloat&) noexcept;
    void (*split_bfp)(const SplitBfp&) noexcept;
    void (*merge_bfp)(const MergeBfp&) noexcept;
    void (*planes_to_bytes)(const PlanesToBytes&) noexcept;
    void (*bytes_to_planes)(const BytesToPlanes&) noexcept;
    void (*scope_max)(const ScopeMax&) noexcept;
    void (*error_stats)(ErrorStats&) noexcept;
    void (*count_bits)(CountBits&) noexcept;
    void (*nonzero_plane)(const NonzeroPlane&) noexcept;
    void (*gather_bits)(const MaskedBits&) noexcept;
    void (*spread_bits)(const MaskedBits&) noexcept;
    void (*gather_elements)(const MaskedElements&) noexcept;
    void (*spread_elements)(const MaskedElements&) noexcept;
    void (*mask_elements)(const MaskElements&) noexcept;
    void (*gaps_to_plane)(GapsToPlane&) noexcept;
    void (*quantize_int8)(const Int8&) noexcept;
    void (*dequantize_int8)(const Int8&) noexcept;
    void (*delta_lengths)(const DeltaLengths&) noexcept;
    void (*pack_delta)(const PackDelta&) noexcept;
    void (*merge_delta)(MergeDelta&) noexcept;
    void (*count_above)(CountAbove&) noexcept;
    void (*max_exponent)(MaxExponent&) noexcept;
    void (*count_classes)(Classes&) noexcept;
    void (*split_classes)(Classes&) noexcept;
    void (*merge_classes)(Classes&) noexcept;
    void (*subtract_base)(const SubtractBase&) noexcept;
    void (*add_residual)(const AddResidual&) noexcept;
};

extern const Table portable;
#ifdef MCODEC_X86
extern const Table avx2;
extern const Table avx512;
#endif

// dispatch.cpp
constexpr int kMaxTargets = 3;
int usable(const Table* (&found)[kMaxTargets]) noexcept;  // best first; returns how many
const Table& active() noexcept;
#ifdef MCODEC_X86
bool fast_bmi2() noexcept;  // where it is not microcode
#endif
bool use(const char* name) noexcept;  // false if this machine has no such target

// Rounds to nearest and keeps subnormals while it lives, whatever the caller had set.
class RoundingGuard {
  public:
    RoundingGuard() noexcept;
    ~RoundingGuard();
    RoundingGuard(const RoundingGuard&) = delete;
    RoundingGuard& operator=(const RoundingGuard&) = delete;

  private:
    alignas(16) unsigned char saved_[64];
};

}  // namespace mcodec
