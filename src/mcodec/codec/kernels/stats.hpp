// scope_max and error_stats: what is measured of numbers.

template <Dtype D>
static void largest_by_scope(const ScopeMax& job) {
    typedef typename Number<D>::pattern pattern;
    const bool runs = job.scopes.inner == 1;
    for_scopes(job.scopes, 0, job.n, [&](uint64_t scope, size_t offset, size_t length) {
        pattern largest = 0;
        for (size_t i = 0; i < length; ++i) {
            const pattern value = get<pattern>(job.values, offset + i) & Signs<D>::rest;
            if (runs) {
                const uint64_t before = get<uint64_t>(job.maxima, scope + i);
                put<uint64_t>(job.maxima, scope + i, before < value ? value : before);
            } else {
                largest = largest < value ? value : largest;
            }
        }
        if (runs) return;
        const uint64_t before = get<uint64_t>(job.maxima, scope);
        put<uint64_t>(job.maxima, scope, before < largest ? largest : before);
    });
}

static void scope_max(const ScopeMax& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return largest_by_scope<Dtype::float16>(job);
        case Dtype::bfloat16: return largest_by_scope<Dtype::bfloat16>(job);
        case Dtype::float32: return largest_by_scope<Dtype::float32>(job);
        case Dtype::float64: return largest_by_scope<Dtype::float64>(job);
    }
}

// Eight running values whatever the machine's vectors, so that every machine adds in one order:
// element i to lane i % 8, and at the end lanes 4 apart, 2 apart, 1 apart.
typedef double f64x8 __attribute__((vector_size(64)));
constexpr size_t kTile = 256;

static double sum_lanes(const f64x8& x) {
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

// `count` numbers from `at` on, zeros to the tile's end.
template <Dtype D>
static void load_doubles(const uint8_t* in, size_t at, size_t count, double* tile) {
    typedef typename Number<D>::pattern pattern;
    for (size_t i = 0; i < count; ++i) tile[i] = to_double<D>(get<pattern>(in, at + i));
    for (size_t i = count; i < kTile; ++i) tile[i] = 0.0;
}

template <Dtype D>
static void compare(ErrorStats& job) {
    f64x8 squares{}, signal{}, largest{};
    alignas(64) double source[kTile], decoded[kTile];
    for (size_t at = 0; at < job.n; at += kTile) {
        const size_t count = job.n - at < kTile ? job.n - at : kTile;
        load_doubles<D>(job.source, at, count, source);
        load_doubles<D>(job.decoded, at, count, decoded);
        for (size_t i = 0; i < kTile; i += 8) {
            f64x8 s, d;
            memcpy(&s, source + i, sizeof s);
            memcpy(&d, decoded + i, sizeof d);
            const f64x8 e = s - d, size = e < 0.0 ? -e : e;
            largest = largest < size ? size : largest;
            squares += e * e;
            signal += s * s;
        }
    }
    job.largest = 0.0;
    for (int i = 0; i < 8; ++i) job.largest = job.largest < largest[i] ? largest[i] : job.largest;
    job.squares = sum_lanes(squares);
    job.signal = sum_lanes(signal);
}

static void error_stats(ErrorStats& job) noexcept {
    switch (job.dtype) {
        case Dtype::float16: return compare<Dtype::float16>(job);
        case Dtype::bfloat16: return compare<Dtype::bfloat16>(job);
        case Dtype::float32: return compare<Dtype::float32>(job);
        case Dtype::float64: return compare<Dtype::float64>(job);
    }
}
