// Which power of two, or step, scales which element of block floating point.

// Calls visit(scope, offset, length) for every piece of `count` elements from `at` on that shares
// a scope; with inner == 1, for every piece whose scopes follow each other.
template <class Visit>
MC_INLINE void for_scopes(const Scopes& s, uint64_t at, size_t count, Visit visit) {
    const uint64_t place = s.first + at;
    uint64_t scope = place / s.inner % s.count;
    uint64_t left = s.inner == 1 ? s.count - scope : s.inner - place % s.inner;
    for (size_t done = 0; done < count;) {
        const size_t length = left < count - done ? static_cast<size_t>(left) : count - done;
        visit(scope, done, length);
        done += length;
        scope = s.inner == 1 || scope + 1 == s.count ? 0 : scope + 1;
        left = s.inner == 1 ? s.count : s.inner;
    }
}

// factors[i] = make(scope of element at + i) for `count` elements, zero to the chunk's end.
template <class T, class Make>
MC_INLINE void fill_factors(const Scopes& s, uint64_t at, size_t count, T* factors, Make make) {
    for_scopes(s, at, count, [&](uint64_t scope, size_t offset, size_t length) {
        if (s.inner == 1) {
            for (size_t i = 0; i < length; ++i) factors[offset + i] = make(scope + i);
        } else {
            const T value = make(scope);
            for (size_t i = 0; i < length; ++i) factors[offset + i] = value;
        }
    });
    for (size_t i = count; i < kChunk; ++i) factors[i] = T{};
}

MC_INLINE double power_of_two(int p) {
    return bits_as<double>(static_cast<uint64_t>(p + 1023) << 52);
}

MC_INLINE bool one_scope(const Scopes& s, size_t n) {
    return s.count == 1 || n <= s.inner - s.first % s.inner;
}

// Multiplies integers or magnitudes by 2^(sign E + offset).
struct Scaling {
    Scale source;
    int sign, offset;
    bool uniform;  // one factor for all elements
    bool exact;    // every factor is zero or a normal float32: `factor` and float32 are enough
    float factor;  // if uniform and exact

    int power(int16_t e) const { return sign * e + offset; }

    int16_t exponent(uint64_t scope) const {
        int16_t e;
        memcpy(&e, source.exponents + scope, sizeof e);
        return e;
    }

    static bool is_normal(int power) { return power >= -126 && power <= 127; }

    float float_factor(int16_t e) const {
        if (e == kZeroScope) return 0.0f;
        return bits_as<float>(static_cast<uint32_t>(power(e) + 127) << 23);
    }

    // Two factors that make 2^power(e) together: the first product is exact or far from mattering,
    // so that only the second rounds.
    static double half_factor(int power, bool second) {
        const int p = power < -1200 ? -1200 : power > 1200 ? 1200 : power;
        return power_of_two(second ? p - p / 2 : p / 2);
    }

    double double_factor(int16_t e, bool second) const {
        return e == kZeroScope ? 0.0 : half_factor(power(e), second);
    }

    void prepare(size_t n) {
        uniform = !source.exponents || one_scope(source.scopes, n);
        if (!source.exponents || n == 0) return;
        const Scopes& s = source.scopes;
        const uint64_t touched = (s.first % s.inner + n - 1) / s.inner + 1;
        uint64_t scope = s.first / s.inner % s.count;
        exact = true;
        factor = 0.0f;
        for (uint64_t i = 0; exact && i < (touched < s.count ? touched : s.count); ++i) {
            const int16_t e = exponent(scope);
            exact = e == kZeroScope || is_normal(power(e));
            if (uniform && exact) factor = float_factor(e);
            scope = scope + 1 == s.count ? 0 : scope + 1;
        }
    }

    // Whether these elements have one factor, which is exact.
    bool shared(uint64_t at, size_t count, float* found) const {
        const Scopes& s = source.scopes;
        const uint64_t place = s.first + at;
        if (s.inner - place % s.inner < count) return false;
        *found = float_factor(exponent(place / s.inner % s.count));
        return true;
    }

    template <class T, class Make>
    void fill(uint64_t at, size_t count, T* factors, Make make) const {
        fill_factors(source.scopes, at, count, factors,
                     [&](uint64_t scope) { return make(exponent(scope)); });
    }
    void fill_floats(uint64_t at, size_t count, float* factors) const {
        fill(at, count, factors, [&](int16_t e) { return float_factor(e); });
    }
    void fill_doubles(uint64_t at, size_t count, double* first, double* second) const {
        fill(at, count, first, [&](int16_t e) { return double_factor(e, false); });
        fill(at, count, second, [&](int16_t e) { return double_factor(e, true); });
    }
};
