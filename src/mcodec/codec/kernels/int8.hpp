// quantize_int8, dequantize_int8: numbers as signed bytes under scales.

MC_INLINE float scale_of(const Int8& job, uint64_t scope) { return get<float>(job.scales, scope); }

// Codes to integers with the sign in bit 31, as `scale_floats` and `scale_doubles` take them.
MC_INLINE void widen_codes(const uint8_t* codes, uint32_t* tile) {
    for (size_t i = 0; i < kChunk; i += kW / 4) {
        const u32v code = load8(codes + i);
        store(tile + i, (u8v)((code & 0x7F) | (code & 0x80) << 24));
    }
}

template <Dtype D>
struct Dequantize {
    static constexpr bool kStream = false;
    const Int8& job;
    const uint8_t* codes;
    bool uniform;
    float scale;

    explicit Dequantize(const Int8& of)
        : job(of),
          codes(of.in),
          uniform(one_scope(of.scopes, of.n)),
          scale(of.n ? scale_of(of, of.scopes.first / of.scopes.inner % of.scopes.count) : 0.0f) {}

    template <class Visit>
    void inputs(Visit visit) {
        visit(codes, kChunk);
    }

    template <class T>
    void fill(uint64_t at, size_t count, T* scales) const {
        fill_factors(job.scopes, at, count, scales,
                     [&](uint64_t scope) { return static_cast<T>(scale_of(job, scope)); });
    }

    void chunk(size_t at, size_t from, size_t count, uint8_t* out) const {
        alignas(64) uint32_t tile[kChunk];
        widen_codes(codes + from, tile);
        if constexpr (D == Dtype::float64) {
            alignas(64) double scales[kChunk], one[kChunk];
            fill(at, count, scales);
            for (double& factor : one) factor = 1.0;
            scale_doubles<D>(tile, true, scales, one, out);
        } else if (uniform) {
            scale_floats<D, true>(tile, scale, nullptr, out);
        } else {
            alignas(64) float scales[kChunk];
            fill(at, count, scales);
            scale_floats<D, false>(tile, 0.0f, scales, out);
        }
    }
};

template <Dtype D>
static void dequantize(const Int8& job) {
    Dequantize<D> merge(job);
    run_merge(merge, job.n, sizeof(typename Number<D>::pattern), job.out);
}

// The quotients are float64's, and no product with an inverse. Plain loops, which compilers turn
// into vectors.
template <Dtype D>
static void quantize(const Int8& job) {
    typedef typename Number<D>::pattern pattern;
    for (size_t at = 0; at < job.n; at += kChunk) {
        const size_t count = job.n - at < kChunk ? job.n - at : kChunk;
        const uint8_t* in = job.in + at * sizeof(pattern);
        uint8_t* out = job.out + at;
        alignas(64) double numbers[kChunk];  // scales, then quotients
        fill_factors(job.scopes, at, count, numbers,
                     [&](uint64_t scope) { return static_cast<double>(scale_of(job, scope)); });
        for (size_t i = 0; i < count; ++i) {
            const double quotient = to_double<D>(get<pattern>(in, i) & Signs<D>::rest) / numbers[i];
            numbers[i] = quotient < 127.0 ? quotient : 127.0;
        }
        for (size_t i = 0; i < count; ++i) {
            const int32_t m = static_cast<int32_t>(round_to_even(numbers[i]));
            const int32_t sign = static_cast<int32_t>(get<pattern>(in, i) >> Signs<D>::shift);
            out[i] = static_cast<uint8_t>(m | (m ? sign << 7 : 0));
        }
    }
}

static void quantize_int8(const Int8& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return quantize<Dtype::float16>(job);
        case Dtype::bfloat16: return quantize<Dtype::bfloat16>(job);
        case Dtype::float32: return quantize<Dtype::float32>(job);
        case Dtype::float64: return quantize<Dtype::float64>(job);
    }
}

static void dequantize_int8(const Int8& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return dequantize<Dtype::float16>(job);
        case Dtype::bfloat16: return dequantize<Dtype::bfloat16>(job);
        case Dtype::float32: return dequantize<Dtype::float32>(job);
        case Dtype::float64: return dequantize<Dtype::float64>(job);
    }
}
