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

#include "delta_jobs.hpp"
#include "dtypes.hpp"

namespace mcodec {

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

// Where a merge puts its elements: one after another where the mask is null, else where a plane of
// n elements has its ones, with zeros elsewhere.
struct Spread {
    const uint8_t* mask;
    size_t n;
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
    Spread to;
    const uint8_t* sign;
    const uint8_t* exponent[2];
    uint8_t fill[2];
    int count;
    const uint8_t* planes[kMaxMantissa];
    bool near = false;  // the output is in the caches, or is to be: no store goes past them
};

// exponent[1] has symbols: 0, or 4 (exponent - first) + the first two mantissa bits; `planes` begin
// with the third. Not for float64.
struct MergeFloatSymbols : MergeFloat {
    uint8_t first;  // even; 0 for float16
    bool valid;     // written: no exponent is wider than its field
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

// Where there are `symbols`, bytes of the top 8 bits or of all there are, `planes` begin below
// them.
struct MergeBfp {
    Dtype dtype;
    size_t n;
    uint8_t* out;
    int bits;
    int count;  // of the bits that are there, at most `bits`, and at most 23 with `mid`
    bool mid;
    Scale scale;
    const uint8_t* sign;
    const uint8_t* symbols;
    const uint8_t* planes[kMaxBits];
    bool near = false;  // as above

    int above() const { return symbols == nullptr ? 0 : bits < 8 ? bits : 8; }
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

// `count` is the number of bytes of `high` other than 255; n is at most 2^31.
struct GapsToPlane {
    size_t n, bytes, count;
    const uint8_t* high;
    int k;  // 0 to 8
    const uint8_t* low[8];
    uint8_t* out;
    bool valid;  // written
};

// Scales are positive normal float32s. `in` and `out` are values and codes, or the other way round;
// codes may also come as planes, by bit, where `in` is null.
struct Int8 {
    Dtype dtype;
    size_t n;
    Scopes scopes;
    const uint8_t* scales;
    const uint8_t* in;
    const uint8_t* planes[8];
    uint8_t* out;
    Spread to;   // of dequantize_int8 alone
    bool valid;  // written by it: no code is 128
};

struct Table {
    const char* name;
    void (*split_float)(const SplitFloat&) noexcept;
    void (*merge_float)(const MergeFloat&) noexcept;
    void (*merge_symbols)(MergeFloatSymbols&) noexcept;
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
    void (*dequantize_int8)(Int8&) noexcept;
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
extern const Table avx512_gfni;
#endif
#ifdef MCODEC_NEON
extern const Table neon;
#endif

// dispatch.cpp
constexpr int kMaxTargets = 4;
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
