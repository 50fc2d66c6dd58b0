// One number at a time, for loops that the compiler turns into vectors: float64, and scales that
// are no normal float32.

// Pattern types, and the largest finite number.
template <Dtype D>
struct Number;
template <>
struct Number<Dtype::float16> {
    typedef uint16_t pattern;
    static constexpr double largest = 65504.0;
};
template <>
struct Number<Dtype::bfloat16> {
    typedef uint16_t pattern;
    static constexpr double largest = 0x1.FEp127;
};
template <>
struct Number<Dtype::float32> {
    typedef uint32_t pattern;
    static constexpr double largest = 0x1.FFFFFEp127;
};
template <>
struct Number<Dtype::float64> {
    typedef uint64_t pattern;
    static constexpr double largest = 0x1.FFFFFFFFFFFFFp1023;
};

template <Dtype D>
struct Signs {
    typedef typename Number<D>::pattern pattern;
    static constexpr int shift = 8 * sizeof(pattern) - 1;
    static constexpr pattern rest = static_cast<pattern>(~(pattern{1} << shift));
};

// Finite numbers of every dtype are exact in float64.
template <Dtype D>
MC_INLINE double to_double(typename Number<D>::pattern bits) {
    if constexpr (D == Dtype::float64) {
        return bits_as<double>(bits);
    } else if constexpr (D == Dtype::float32) {
        return static_cast<double>(bits_as<float>(bits));
    } else if constexpr (D == Dtype::bfloat16) {
        return static_cast<double>(bits_as<float>(static_cast<uint32_t>(bits) << 16));
    } else {
        const uint32_t magnitude = (bits & 0x7FFFu) << 13, sign = (bits & 0x8000u) << 16;
        // in float32's place a float16 is 2^112 too small
        return static_cast<double>(bits_as<float>(magnitude | sign)) * 0x1p112;
    }
}

// From 2^52 on a float64 has no bits after the point: 0 <= v < 2^51, ties to even.
MC_INLINE double round_to_even(double v) { return (v + 0x1p52) - 0x1p52; }

// v is not negative and at most the largest number of the dtype, and exact in float32 where that
// is not subnormal (float64: anything).
template <Dtype D>
MC_INLINE typename Number<D>::pattern from_double(double v) {
    typedef typename Number<D>::pattern pattern;
    if constexpr (D == Dtype::float64) {
        return bits_as<pattern>(v);
    } else if constexpr (D == Dtype::float32) {
        return bits_as<pattern>(static_cast<float>(v));
    } else if constexpr (D == Dtype::bfloat16) {
        const uint32_t bits = bits_as<uint32_t>(static_cast<float>(v));
        // subnormals are multiples of 2^-133; through float32 they would be rounded twice
        const double tiny = v < 0x1p-126 ? v : 0.0;
        const uint32_t subnormal = static_cast<int32_t>(round_to_even(tiny * 0x1p133));
        const uint32_t normal = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
        return static_cast<pattern>(v < 0x1p-126 ? subnormal : normal);
    } else {
        const uint32_t bits = bits_as<uint32_t>(static_cast<float>(v));
        const double tiny = v < 0x1p-14 ? v : 0.0;
        const uint32_t subnormal = static_cast<int32_t>(round_to_even(tiny * 0x1p24));
        const uint32_t normal = (bits - (112u << 23) + 0xFFF + (bits >> 13 & 1)) >> 13;
        return static_cast<pattern>(v < 0x1p-14 ? subnormal : normal);
    }
}
