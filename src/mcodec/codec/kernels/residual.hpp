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
    for (size_t i = 0; i < job.n; ++i) {
        const pattern a = get<pattern>(job.base, i), b = get<pattern>(job.values, i);
        const double difference = to_double<D>(b) - to_double<D>(a);
        const bool finite = is_finite<D>(a) & is_finite<D>(b);
        put<double>(job.out, i, finite ? difference : bits_as<double>(0x7FF8000000000000u));
    }
}

template <Dtype D>
static void add(const AddResidual& job) {
    typedef typename Number<D>::pattern pattern;
    constexpr float single = Number<Dtype::float32>::largest;
    constexpr double largest = Number<D>::largest;
    for (size_t i = 0; i < job.n; ++i) {
        const float a = static_cast<float>(to_double<D>(get<pattern>(job.base, i)));
        const float sum = a + get<float>(job.residual, i);
        const pattern sign = static_cast<pattern>(bits_as<uint32_t>(sum) >> 31);
        const float size = sum < 0.0f ? -sum : sum;
        double v = static_cast<double>(size < single ? size : single);
        v = v < largest ? v : largest;
        const pattern rounded = from_double<D>(v);
        put<pattern>(job.out, i, static_cast<pattern>(rounded | sign << Signs<D>::shift));
    }
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
        case Dtype::float16: return add<Dtype::float16>(job);
        case Dtype::bfloat16: return add<Dtype::bfloat16>(job);
        default: return add<Dtype::float32>(job);
    }
}
