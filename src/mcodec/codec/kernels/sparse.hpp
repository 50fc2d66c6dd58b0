// Masks: bits and elements that a mask selects, packed and put back.

static void count_bits(CountBits& job) noexcept {
    uint64_t count = 0;
    for (size_t i = 0; i < job.bytes; i += 8) count += ones(word_at(job.plane, i, job.bytes));
    job.count = count;
}

template <size_t Size>
struct MarkNonzero {
    uint8_t* planes[8] = {};

    explicit MarkNonzero(const NonzeroPlane& job) { planes[0] = job.out; }
    template <class Visit>
    void outputs(Visit visit) {
        visit(planes[0], kW);
    }
    void chunk(size_t, size_t from, size_t, const uint8_t* in) const {
        u8v marks[8];
        for (size_t v = 0; v < 8; ++v) {
            u8v b[8];
            get_elements<Size>(in, v, b);
            for (size_t i = 1; i < Size; ++i) b[0] |= b[i];
            marks[v] = (u8v)(b[0] != 0);
        }
        cut_planes(marks, planes, from / 8);
    }
};

template <size_t Size>
static void mark_nonzero(const NonzeroPlane& job) {
    MarkNonzero<Size> mark(job);
    run_split(mark, job.n, Size, job.values);
}

// Element i is masked[i] or, if the mask is zero there, at most its top bit.
template <size_t Size>
struct Mask {
    static constexpr bool kStream = false;
    const uint8_t* planes[8];
    const uint8_t* base;
    uint8_t kept;  // of the top byte, where the mask is zero

    explicit Mask(const MaskElements& job) : base(job.base), kept(job.with_sign ? 0x80 : 0) {
        for (const uint8_t*& plane : planes) plane = job.mask;
    }
    template <class Visit>
    void inputs(Visit visit) {
        visit(planes[0], kW);
        for (const uint8_t*& plane : planes) plane = planes[0];
        visit(base, kChunk * Size);
    }
    void chunk(size_t, size_t from, size_t, uint8_t* out) const {
        u8v all[8];
        join_planes(planes, from / 8, all);  // eight times the mask: bytes of ones or zeros
        for (size_t v = 0; v < 8; ++v) {
            u8v b[8];
            for (size_t i = 0; i < Size; ++i) b[i] = all[v];
            b[Size - 1] |= kept;
            put_elements<Size>(out, v, b);
        }
        const uint8_t* in = base + from * Size;
        for (size_t i = 0; i < kChunk * Size; i += kW) store(out + i, load(out + i) & load(in + i));
    }
};

template <size_t Size>
static void mask(const MaskElements& job) {
    Mask<Size> masked(job);
    run_merge(masked, job.n, Size, job.out);
}

// --- bits ---

template <class Bits>
static void gather_words(const MaskedBits& job) {
    BitWriter writer{job.out};
    for (size_t i = 0; i < job.bytes; i += 8) {
        const uint64_t chosen = word_at(job.mask, i, job.bytes);
        writer.add(Bits::gather(word_at(job.in, i, job.bytes), chosen), ones(chosen));
    }
    writer.finish();
}

template <class Bits>
static void spread_words(const MaskedBits& job) {
    BitReader reader{job.in, job.in_bytes};
    const size_t full = job.bytes / 8 * 8;
    for (size_t i = 0; i < full; i += 8) {
        const uint64_t chosen = get<uint64_t>(job.mask + i, 0);
        put(job.out + i, 0, Bits::spread(reader.next_at_end(), chosen));
        reader.at += ones(chosen);
    }
    const uint64_t last = Bits::spread(reader.next_at_end(), word_at(job.mask, full, job.bytes));
    memcpy(job.out + full, &last, job.bytes - full);
}

// --- elements, 64 at a time ---

template <size_t Size>
MC_INLINE uint8_t* compress64(uint64_t chosen, const uint8_t* in, uint8_t* out) {
    if (!chosen) return out;
#pragma GCC unroll 8
    for (size_t i = 0; i < 64; i += kGroup<Size>) {
        const uint64_t group = chosen >> i & low_bits(kGroup<Size>);
        compress<Size>(group, in + i * Size, out);
        out += ones(group) * Size;
    }
    return out;
}

template <size_t Size>
static void spread(const MaskedElements& job) {
    constexpr size_t most = 64 * Size + kReach;
    const uint8_t* in = job.in;
    const uint8_t* const end = in + job.count * Size;
    size_t at = 0;
    while (at + 64 <= job.n && static_cast<size_t>(end - in) >= most) {
        if (empty_ahead(job.mask, at, job.n)) {
            memset(job.out + at * Size, 0, kEmpty * Size);
            at += kEmpty;
            continue;
        }
        in = expand64<Size>(get<uint64_t>(job.mask + at / 8, 0), in, job.out + at * Size);
        at += 64;
    }
    // the last elements, which one may read past
    uint8_t pad[most + kReach], last[64 * Size];
    const size_t left = static_cast<size_t>(end - in);
    if (left < most) {
        memcpy(pad, in, left);
        in = pad;
    }
    for (; at + 64 <= job.n; at += 64) {
        in = expand64<Size>(get<uint64_t>(job.mask + at / 8, 0), in, job.out + at * Size);
    }
    expand64<Size>(word_at(job.mask, at / 8, (job.n + 7) / 8), in, last);
    memcpy(job.out + at * Size, last, (job.n - at) * Size);
}

template <size_t Size>
static void gather(const MaskedElements& job) {
    constexpr size_t most = 64 * Size + kReach;
    uint8_t pad[64 * Size] = {}, packed[most];
    uint8_t* out = job.out;
    const uint8_t* const end = out + job.count * Size;
    for (size_t at = 0; at < job.n; at += 64) {
        const uint64_t chosen = word_at(job.mask, at / 8, (job.n + 7) / 8);
        const uint8_t* in = job.in + at * Size;
        if (job.n - at < 64) in = static_cast<uint8_t*>(memcpy(pad, in, (job.n - at) * Size));
        if (static_cast<size_t>(end - out) >= most) {
            out = compress64<Size>(chosen, in, out);
        } else {
            const size_t bytes = static_cast<size_t>(compress64<Size>(chosen, in, packed) - packed);
            memcpy(out, packed, bytes);
            out += bytes;
        }
    }
}

static void gather_bits(const MaskedBits& job) noexcept {
    with_bits([&](auto bits) { gather_words<decltype(bits)>(job); });
}
static void spread_bits(const MaskedBits& job) noexcept {
    with_bits([&](auto bits) { spread_words<decltype(bits)>(job); });
}

static void nonzero_plane(const NonzeroPlane& job) noexcept {
    with_size(job.size, [&](auto size) { mark_nonzero<size>(job); });
}
static void mask_elements(const MaskElements& job) noexcept {
    with_size(job.size, [&](auto size) { mask<size>(job); });
}
static void gather_elements(const MaskedElements& job) noexcept {
    with_size(job.size, [&](auto size) { gather<size>(job); });
}
static void spread_elements(const MaskedElements& job) noexcept {
    with_size(job.size, [&](auto size) { spread<size>(job); });
}
