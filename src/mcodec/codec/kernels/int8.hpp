// quantize_int8, dequantize_int8: numbers as signed bytes under scales.

MC_INLINE float scale_of(const Int8& job, uint64_t scope) { return get<float>(job.scales, scope); }

// One chunk of codes to numbers, in float32 but for float64: see scaling.hpp of block floating
// point, whose products these are.
template <Dtype D, bool Uniform>
MC_INLINE void scale_codes(const uint8_t* codes, float factor, const void* factors, uint8_t* out) {
    const uint8_t* each = static_cast<const uint8_t*>(factors);  // at any address
    for (size_t i = 0; i < kChunk; i += kW / 4) {
        const u32v code = load8(codes + i);
        const f32v scale = Uniform ? f32v{} + factor : (f32v)load(each + 4 * i);
        const f32v product = __builtin_convertvector((i32v)(code & 0x7F), f32v) * scale;
        put_float<D>(product, (code & 0x80) << 24, out, i);
    }
}

template <Dtype D>
struct Dequantize {
    static constexpr bool kStream = false;
    const Int8& job;
    const uint8_t* codes;
    const uint8_t* planes[8];
    bool uniform;
    float scale;
    u8v wrong{};

    explicit Dequantize(const Int8& of)
        : job(of),
          codes(of.in),
          uniform(one_scope(of.scopes, of.n)),
          scale(of.n ? scale_of(of, of.scopes.first / of.scopes.inner % of.scopes.count) : 0.0f) {
        memcpy(planes, of.planes, sizeof planes);
    }

    template <class Visit>
    void inputs(Visit visit) {
        if (codes) return visit(codes, kChunk);
        for (const uint8_t*& plane : planes) {
            if (plane) visit(plane, kW);
        }
    }

    template <class T>
    void fill(uint64_t at, size_t count, T* scales) const {
        fill_factors(job.scopes, at, count, scales,
                     [&](uint64_t scope) { return static_cast<T>(scale_of(job, scope)); });
    }

    void check(u8v bytes) { wrong |= (u8v)(bytes == 0x80); }

    // The codes of a chunk, where they are or joined in `bytes`.
    const uint8_t* join(size_t from, uint8_t* bytes) {
        if (codes) {
            for (size_t i = 0; i < kChunk; i += kW) check(load(codes + from + i));
            return codes + from;
        }
        u8v joined[8];
        join_planes(planes, from / 8, joined);
        for (size_t v = 0; v < 8; ++v) {
            check(joined[v]);
            store_lanes(bytes + 16 * v, joined[v]);
        }
        return bytes;
    }

    void chunk(size_t at, size_t from, size_t count, uint8_t* out) {
        alignas(64) uint8_t bytes[kChunk];
        const uint8_t* in = join(from, bytes);
        if constexpr (D == Dtype::float64) {
            alignas(64) uint32_t tile[kChunk];
            for (size_t i = 0; i < kChunk; ++i) tile[i] = (in[i] & 0x7Fu) | (in[i] & 0x80u) << 24;
            alignas(64) double scales[kChunk], one[kChunk];
            fill(at, count, scales);
            for (double& factor : one) factor = 1.0;
            scale_doubles<D>(tile, true, scales, one, out);
        } else {
            scale_chunk(in, at, count, out);
        }
    }

    // One scale for all of a chunk, or scales that lie as they are needed, need no copies.
    void scale_chunk(const uint8_t* in, size_t at, size_t count, uint8_t* out) const {
        if (uniform) return scale_codes<D, true>(in, scale, nullptr, out);
        const Scopes& s = job.scopes;
        const uint64_t place = s.first + at, scope = place / s.inner % s.count;
        if (s.inner == 1 && count == kChunk && s.count - scope >= kChunk) {
            return scale_codes<D, false>(in, 0.0f, job.scales + 4 * scope, out);
        }
        if (s.inner - place % s.inner >= count) {
            return scale_codes<D, true>(in, scale_of(job, scope), nullptr, out);
        }
        alignas(64) float scales[kChunk];
        fill(at, count, scales);
        scale_codes<D, false>(in, 0.0f, scales, out);
    }
};

template <Dtype D>
static void dequantize(Int8& job) {
    Dequantize<D> merge(job);
    run_placed<sizeof(typename Number<D>::pattern)>(merge, job.n, job.to, job.out);
    job.valid = none(merge.wrong);
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

static void dequantize_int8(Int8& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return dequantize<Dtype::float16>(job);
        case Dtype::bfloat16: return dequantize<Dtype::bfloat16>(job);
        case Dtype::float32: return dequantize<Dtype::float32>(job);
        case Dtype::float64: return dequantize<Dtype::float64>(job);
    }
}
