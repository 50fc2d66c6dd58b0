// Target neon: what every AArch64 processor has; 16-byte vectors, one lane.
#include "kernels.hpp"

#include <arm_neon.h>
#include <string.h>

namespace mcodec {
namespace {

constexpr size_t kW = 16;
#include "lanes.hpp"
#include "nibbles.hpp"
#include "one_lane.hpp"
#include "places.hpp"

template <int Bits, bool High>
MC_INLINE u8v zip(u8v a, u8v b) {
    const uint8x16_t x = (uint8x16_t)a, y = (uint8x16_t)b;
    const uint16x8_t x16 = vreinterpretq_u16_u8(x), y16 = vreinterpretq_u16_u8(y);
    const uint32x4_t x32 = vreinterpretq_u32_u8(x), y32 = vreinterpretq_u32_u8(y);
    if (Bits == 8) return (u8v)(High ? vzip2q_u8(x, y) : vzip1q_u8(x, y));
    if (Bits == 16) return (u8v)(High ? vzip2q_u16(x16, y16) : vzip1q_u16(x16, y16));
    return (u8v)(High ? vzip2q_u32(x32, y32) : vzip1q_u32(x32, y32));
}

MC_INLINE u16v narrow32(u32v a, u32v b) { return (u16v)vuzp1q_u16((uint16x8_t)a, (uint16x8_t)b); }
MC_INLINE u8v narrow16(u16v a, u16v b) { return (u8v)vuzp1q_u8((uint8x16_t)a, (uint8x16_t)b); }

template <bool Odd>
MC_INLINE u32v halves32(u8v a, u8v b) {
    const uint32x4_t x = (uint32x4_t)a, y = (uint32x4_t)b;
    return (u32v)(Odd ? vuzp2q_u32(x, y) : vuzp1q_u32(x, y));
}

MC_INLINE f32v least(f32v a, f32v b) { return (f32v)vminq_f32((float32x4_t)a, (float32x4_t)b); }
MC_INLINE i32v round_to_int(f32v a) { return (i32v)vcvtnq_s32_f32((float32x4_t)a); }

MC_INLINE u32v load8(const uint8_t* p) {
    const uint8x8_t bytes = vcreate_u8(get<uint32_t>(p, 0));
    return (u32v)vmovl_u16(vget_low_u16(vmovl_u8(bytes)));
}
MC_INLINE u32v load16(const uint8_t* p) {
    return (u32v)vmovl_u16(vcreate_u16(get<uint64_t>(p, 0)));
}
MC_INLINE void store16(uint8_t* p, u32v v) {
    vst1_u8(p, vreinterpret_u8_u16(vmovn_u32((uint32x4_t)v)));
}
MC_INLINE f32v load_half(const uint8_t* p) {
    return (f32v)vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}
MC_INLINE void store_half(uint8_t* p, f32v v) {
    vst1_u8(p, vreinterpret_u8_f16(vcvt_f16_f32((float32x4_t)v)));
}

// Bytes: to higher places, by index, the top bit of each, and 16 from each of some addresses.
#define MC_SHUFFLES
template <int Count>
MC_INLINE u8v shift_up(u8v v) {
    return (u8v)vextq_u8(vdupq_n_u8(0), (uint8x16_t)v, 16 - Count);
}
MC_INLINE u8v shuffle(u8v v, u8v index) {
    return (u8v)vqtbl1q_u8((uint8x16_t)v, (uint8x16_t)index);
}
MC_INLINE uint64_t tops(u8v v) {
    constexpr u8v weights = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t bits = (uint8x16_t)((v >> 7) * weights);
    return vaddv_u8(vget_low_u8(bits)) | static_cast<uint64_t>(vaddv_u8(vget_high_u8(bits))) << 8;
}
MC_INLINE u8v join_lanes(const uint8_t* const (&from)[1]) { return load(from[0]); }

MC_INLINE u32v running_sums(u32v v) {
    const uint32x4_t zeros = vdupq_n_u32(0);
    v += (u32v)vextq_u32(zeros, (uint32x4_t)v, 3);
    return v + (u32v)vextq_u32(zeros, (uint32x4_t)v, 2);
}

constexpr bool kCountsOnes = true;
MC_INLINE uint64_t ones(uint64_t word) { return vaddv_u8(vcnt_u8(vcreate_u8(word))); }

// The instructions that spread and gather bits are SVE2's and no part of every processor.
template <class F>
MC_INLINE void with_bits(F f) {
    f(Nibbles{});
}

template <size_t Size>
constexpr size_t kGroup = 16 / (Size < 2 ? 2 : Size);

// For each byte of a vector: which element it is of, and which of its bytes.
struct BytesOf {
    uint8_t element[16], within[16];
};
template <size_t Size>
static constexpr BytesOf bytes_within() {
    BytesOf made{};
    for (size_t i = 0; i < 16; ++i) {
        made.element[i] = static_cast<uint8_t>(i / Size);
        made.within[i] = static_cast<uint8_t>(i % Size);
    }
    return made;
}
template <size_t Size>
alignas(16) constexpr BytesOf kBytesOf = bytes_within<Size>();

// Moves elements as a row of a table says: each place becomes those of its bytes, and what is out
// of range stays so.
template <size_t Size>
MC_INLINE void move(const uint8_t* row, const uint8_t* in, uint8_t* out) {
    const uint8x8_t places = vld1_u8(row);
    if (Size == 1) return vst1_u8(out, vtbl1_u8(vld1_u8(in), places));
    constexpr int shift = Size == 8 ? 3 : Size == 4 ? 2 : 1;
    const BytesOf& of = kBytesOf<Size>;
    const uint8x16_t first = vqshlq_n_u8(vcombine_u8(places, places), shift);
    const uint8x16_t each = vqtbl1q_u8(first, vld1q_u8(of.element));
    const uint8x16_t index = vqaddq_u8(each, vld1q_u8(of.within));
    vst1q_u8(out, vqtbl1q_u8(vld1q_u8(in), index));
}

template <size_t Size>
MC_INLINE void expand(uint64_t chosen, const uint8_t* in, uint8_t* out) {
    move<Size>(kExpanding.row[chosen], in, out);
}
template <size_t Size>
MC_INLINE void compress(uint64_t chosen, const uint8_t* in, uint8_t* out) {
    move<Size>(kCompressing.row[chosen], in, out);
}

// There is no store of one vector that goes past the cache.
constexpr bool kStreams = false;
MC_INLINE void stream(uint8_t* p, u8v v) { store(p, v); }
MC_INLINE void stream_end() {}

#include "body.hpp"

}  // namespace

const Table neon = table("neon");

}  // namespace mcodec
