// split_bfp: numbers to integers, the sign above them, and those to planes.

// Elements from i on as float32.
template <Dtype D>
MC_INLINE u32v load_float(const uint8_t* in, size_t i) {
    if (D == Dtype::float16) return (u32v)load_half(in + 2 * i);
    if (D == Dtype::bfloat16) return load16(in + 2 * i) << 16;
    return (u32v)load(in + 4 * i);
}

// Scaled magnitudes are exact in float32 unless they are far below half or too large.
template <bool Truncate>
MC_INLINE u32v integers_of(u32v magnitude, f32v scale, f32v top) {
    const f32v scaled = least((f32v)magnitude * scale, top);
    return (u32v)(Truncate ? __builtin_convertvector(scaled, i32v) : round_to_int(scaled));
}

// A factor each.
template <Dtype D, bool Truncate>
static void quantize_floats(const uint8_t* in, const float* factors, float top, uint32_t* tile) {
    const f32v tops = f32v{} + top;
    for (size_t i = 0; i < kChunk; i += kW / 4) {
        const u32v bits = load_float<D>(in, i);
        const u32v m = integers_of<Truncate>(bits & 0x7FFFFFFF, (f32v)load(factors + i), tops);
        store(tile + i, (u8v)(m | (bits & 0x80000000)));
    }
}

// One factor: the bytes of the integers of vector v, the sign highest in the last of `Groups`.
template <Dtype D, int Groups, bool Truncate>
MC_INLINE void get_integers(const uint8_t* in, size_t v, f32v factor, f32v top, u8v (&b)[4]) {
    u32v x[4];
#pragma GCC unroll 4
    for (size_t m = 0; m < 4; ++m) {
        const u32v bits = load_float<D>(in, place(v, m, kW / 4));
        x[m] = integers_of<Truncate>(bits & 0x7FFFFFFF, factor, top) |
               (bits >> (32 - 8 * Groups) & 1u << (8 * Groups - 1));
    }
    if (Groups > 2) return bytes_of(x, &b[0], &b[1], &b[2], &b[3]);
    const u16v low = narrow32(x[0], x[1]), high = narrow32(x[2], x[3]);
    if (Groups == 1) {
        b[0] = gather32(narrow16(low, high));
    } else {
        b[0] = gather32(narrow16(low & 0xFF, high & 0xFF));
        b[1] = gather32(narrow16(low >> 8, high >> 8));
    }
}

template <Dtype D, int Groups, bool Truncate>
static void cut_scaled(const uint8_t* in, float factor, float top, uint8_t* const* planes,
                       size_t from) {
    const f32v factors = f32v{} + factor, tops = f32v{} + top;
    u8v g[Groups][8];
    for (size_t v = 0; v < 8; ++v) {
        u8v b[4] = {};
        get_integers<D, Groups, Truncate>(in, v, factors, tops, b);
#pragma GCC unroll 4
        for (int i = 0; i < Groups; ++i) g[i][v] = b[i];
    }
    for (int i = 0; i < Groups; ++i) cut_planes(g[i], planes + 8 * i, from / 8);
}

template <Dtype D, bool Truncate>
static void cut_scaled(const uint8_t* in, float factor, float top, uint8_t* const* planes,
                       int groups, size_t from) {
    switch (groups) {
        case 1: return cut_scaled<D, 1, Truncate>(in, factor, top, planes, from);
        case 2: return cut_scaled<D, 2, Truncate>(in, factor, top, planes, from);
        case 3: return cut_scaled<D, 3, Truncate>(in, factor, top, planes, from);
        default: return cut_scaled<D, 4, Truncate>(in, factor, top, planes, from);
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
        if constexpr (D != Dtype::float64) {
            float factor = scaling.factor;
            if (scaling.exact && (scaling.uniform || scaling.shared(at, count, &factor))) {
                return truncate ? cut_scaled<D, true>(in, factor, top, planes, groups, from)
                                : cut_scaled<D, false>(in, factor, top, planes, groups, from);
            }
        }
        alignas(64) uint32_t tile[kChunk];
        if (scaling.exact) {
            alignas(64) float factors[kChunk];
            scaling.fill_floats(at, count, factors);
            truncate ? quantize_floats<D, true>(in, factors, top, tile)
                     : quantize_floats<D, false>(in, factors, top, tile);
        } else {
            general(in, at, count, tile);
        }
        cut_integers(tile, planes, groups, from);
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
