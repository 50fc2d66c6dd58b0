// subtract_base, add_residual: the difference of two tensors as numbers, and the sum again.

template <Dtype D>
MC_INLINE bool is_finite(typename Number<D>::pattern bits) {
    constexpr Format format = format_of(D);
    constexpr int field = (1 << format.exponent) - 1;
    return (static_cast<int>(bits >> format.mantissa) & field) != field;
}

template <Dtype D>
static void subtract(const SubtractBase& job) {
    typedef typename Number<D>::pattern pattern;
    const uint8_t *base = job.base, *values = job.values;
    uint8_t* __restrict out = job.out;
    for (size_t i = 0, n = job.n; i < n; ++i) {
        const pattern a = get<pattern>(base, i), b = get<pattern>(values, i);
        const double difference = to_double<D>(b) - to_double<D>(a);
        const bool finite = is_finite<D>(a) & is_finite<D>(b);
        put<double>(out, i, finite ? difference : bits_as<double>(0x7FF8000000000000u));
    }
}

// float32 and bfloat16.
template <Dtype D>
static void add(const AddResidual& job) {
    typedef typename Number<D>::pattern pattern;
    constexpr float largest = static_cast<float>(Number<D>::largest);
    const uint8_t *base = job.base, *residual = job.residual;
    uint8_t* __restrict out = job.out;
    for (size_t i = 0, n = job.n; i < n; ++i) {
        const float a = static_cast<float>(to_double<D>(get<pattern>(base, i)));
        const float sum = a + get<float>(residual, i);
        const uint32_t bits = bits_as<uint32_t>(sum);
        const float size = bits_as<float>(bits & 0x7FFFFFFF);
        const uint32_t v = bits_as<uint32_t>(size < largest ? size : largest) | (bits & 0x80000000);
        constexpr bool whole = D == Dtype::float32;
        put<pattern>(out, i, static_cast<pattern>(whole ? v : (v + 0x7FFF + (v >> 16 & 1)) >> 16));
    }
}

// A vector of float16.
MC_INLINE void add_halves(const uint8_t* base, const uint8_t* residual, uint8_t* out) {
    const f32v largest = f32v{} + static_cast<float>(Number<Dtype::float16>::largest);
    const u32v bits = (u32v)(load_half(base) + (f32v)load(residual));
    const u32v size = (u32v)least((f32v)(bits & 0x7FFFFFFF), largest);
    store_half(out, (f32v)(size | (bits & 0x80000000)));
}

static void add_halves(const AddResidual& job) {
    constexpr size_t step = kW / 4;
    size_t at = 0;
    for (; at + step <= job.n; at += step) {
        add_halves(job.base + 2 * at, job.residual + 4 * at, job.out + 2 * at);
    }
    if (at == job.n) return;
    uint8_t base[2 * step] = {}, residual[4 * step] = {}, out[2 * step];
    memcpy(base, job.base + 2 * at, 2 * (job.n - at));
    memcpy(residual, job.residual + 4 * at, 4 * (job.n - at));
    add_halves(base, residual, out);
    memcpy(job.out + 2 * at, out, 2 * (job.n - at));
}

static void subtract_base(const SubtractBase& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return subtract<Dtype::float16>(job);
        case Dtype::bfloat16: return subtract<Dtype::bfloat16>(job);
        default: return subtract<Dtype::float32>(job);
    }
}

static void add_residual(const AddResidual& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return add_halves(job);
        case Dtype::bfloat16: return add<Dtype::bfloat16>(job);
        default: return add<Dtype::float32>(job);
    }
}
