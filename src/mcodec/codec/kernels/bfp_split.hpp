// split_bfp: numbers to integers in a chunk of uint32, the sign in bit 31, and those to planes.

// Scaled magnitudes are exact in float32 unless they are far below half or too large.
template <Dtype D, bool Uniform, bool Truncate>
static void quantize_floats(const uint8_t* in, float factor, const float* factors, float top,
                            uint32_t* tile) {
    const f32v tops = f32v{} + top;
    for (size_t i = 0; i < kChunk; i += kW / 4) {
        u32v bits;
        if (D == Dtype::float16) {
            bits = (u32v)load_half(in + 2 * i);
        } else if (D == Dtype::bfloat16) {
            bits = load16(in + 2 * i) << 16;
        } else {
            bits = (u32v)load(in + 4 * i);
        }
        const f32v scale = Uniform ? f32v{} + factor : (f32v)load(factors + i);
        const f32v scaled = least((f32v)(bits & 0x7FFFFFFF) * scale, tops);
        const i32v m = Truncate ? __builtin_convertvector(scaled, i32v) : round_to_int(scaled);
        store(tile + i, (u8v)((u32v)m | (bits & 0x80000000)));
    }
}

// Anything else: |w| first second, or |w| / step.
template <Dtype D>
static void quantize_doubles(const uint8_t* in, double step, const double* first,
                             const double* second, double top, bool truncate, uint32_t* tile) {
    typedef typename Number<D>::pattern pattern;
    for (size_t i = 0; i < kChunk; ++i) {
        const pattern bits = get<pattern>(in, i);
        const double w = to_double<D>(bits & Signs<D>::rest);
        double m = step != 0.0 ? w / step : w * first[i] * second[i];
        m = m < top ? m : top;
        m = truncate ? m : round_to_even(m);
        const uint32_t sign = static_cast<uint32_t>(bits >> Signs<D>::shift);
        tile[i] = static_cast<uint32_t>(static_cast<int32_t>(m)) | sign << 31;
    }
}

template <int Groups>
static void cut_integers(const uint32_t* tile, uint8_t* const* planes, size_t from) {
    constexpr int last = Groups - 1;
    u8v g[Groups][8];
    for (size_t v = 0; v < 8; ++v) {
        u8v b[4];
        get32(reinterpret_cast<const uint8_t*>(tile), v, b);
        b[last] |= b[3] & 0x80;
#pragma GCC unroll 4
        for (int i = 0; i < Groups; ++i) g[i][v] = b[i];
    }
    for (int i = 0; i < Groups; ++i) cut_planes(g[i], planes + 8 * i, from / 8);
}

static void cut_integers(const uint32_t* tile, uint8_t* const* planes, int groups, size_t from) {
    switch (groups) {
        case 1: return cut_integers<1>(tile, planes, from);
        case 2: return cut_integers<2>(tile, planes, from);
        case 3: return cut_integers<3>(tile, planes, from);
        default: return cut_integers<4>(tile, planes, from);
    }
}

template <Dtype D>
struct SplitIntegers {
    uint8_t* planes[32] = {};
    int groups;
    float top;
    bool truncate;
    Scaling scaling;

    explicit SplitIntegers(const SplitBfp& job)
        : groups(job.bits / 8 + 1),
          top(static_cast<float>((1u << job.bits) - 1)),
          truncate(job.truncate),
          scaling{job.scale, -1, job.bits, true, false, 0.0f} {
        for (int i = 0; i < job.bits; ++i) planes[job.bits - 1 - i] = job.planes[i];
        planes[8 * groups - 1] = job.sign;
        scaling.prepare(job.n);
        if (D == Dtype::float64) scaling.exact = false;
    }

    template <class Visit>
    void outputs(Visit visit) {
        for (uint8_t*& plane : planes) {
            if (plane) visit(plane, kW);
        }
    }

    void chunk(size_t at, size_t from, size_t count, const uint8_t* in) const {
        alignas(64) uint32_t tile[kChunk];
        if (!scaling.exact) {
            general(in, at, count, tile);
        } else if (scaling.uniform) {
            quantize<true>(in, nullptr, tile);
        } else {
            alignas(64) float factors[kChunk];
            scaling.fill_floats(at, count, factors);
            quantize<false>(in, factors, tile);
        }
        cut_integers(tile, planes, groups, from);
    }

    template <bool Uniform>
    void quantize(const uint8_t* in, const float* factors, uint32_t* tile) const {
        if (truncate) {
            quantize_floats<D, Uniform, true>(in, scaling.factor, factors, top, tile);
        } else {
            quantize_floats<D, Uniform, false>(in, scaling.factor, factors, top, tile);
        }
    }

    void general(const uint8_t* in, size_t at, size_t count, uint32_t* tile) const {
        alignas(64) double first[kChunk], second[kChunk];
        const bool stepped = !scaling.source.exponents;
        if (!stepped) scaling.fill_doubles(at, count, first, second);
        const double step = stepped ? static_cast<double>(scaling.source.step) : 0.0;
        quantize_doubles<D>(in, step, first, second, static_cast<double>(top), truncate, tile);
    }
};

template <Dtype D>
static void split_integers(const SplitBfp& job) {
    SplitIntegers<D> split(job);
    run_split(split, job.n, sizeof(typename Number<D>::pattern), job.values);
}

static void split_bfp(const SplitBfp& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return split_integers<Dtype::float16>(job);
        case Dtype::bfloat16: return split_integers<Dtype::bfloat16>(job);
        case Dtype::float32: return split_integers<Dtype::float32>(job);
        case Dtype::float64: return split_integers<Dtype::float64>(job);
    }
}
