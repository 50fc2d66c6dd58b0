// Packed elements to the places that a mask has, 64 at a time, and merges whose elements go there.

// How much expand and compress may read or write of a packed array at a time.
constexpr size_t kReach = 64;

template <size_t Size>
MC_INLINE const uint8_t* expand64(uint64_t chosen, const uint8_t* in, uint8_t* out) {
#pragma GCC unroll 8
    for (size_t i = 0; i < 64; i += kGroup<Size>) {
        const uint64_t group = chosen >> i & low_bits(kGroup<Size>);
        expand<Size>(group, in, out + i * Size);
        in += ones(group) * Size;
    }
    return in;
}

// Whether no element from `at` on, a multiple of 64, has one of the next 256 places. Words of 64
// are zeros so often, and so often not, that a branch for each would cost more than it saves.
constexpr size_t kEmpty = 256;
MC_INLINE bool empty_ahead(const uint8_t* mask, size_t at, size_t n) {
    if (at % kEmpty || n - at < kEmpty) return false;
    uint64_t any = 0;
    for (size_t i = 0; i < kEmpty / 64; ++i) any |= get<uint64_t>(mask + at / 8, i);
    return !any;
}

// How far ahead lines of the output are fetched: they arrive while the next batch is made.
constexpr size_t kFetched = 8192;

// `count` elements of a job as in run_merge, which has them a batch at a time: what it makes is
// still in the nearest cache when it goes to its place.
template <size_t Size, class Job>
MC_INLINE void run_spread(Job& job, size_t count, const Spread& to, uint8_t* out) {
    constexpr size_t batch = 32 / Size * kChunk;
    static_assert(kReach <= 64, "what expand may read past the elements");
    // 64 left of the last batch, and as many behind, which may be read in vain
    alignas(64) uint8_t held[(64 + batch + 64) * Size];
    alignas(64) uint8_t pad[kPad];
    const uint8_t* in = held;
    size_t have = 0, done = 0, at = 0;
    const auto refill = [&] {
        memmove(held, in, 64 * Size);  // fewer than 64 are left
        in = held;
        for (const size_t end = done + batch; done < end && done < count;) {
            const size_t length = count - done < kChunk ? count - done : kChunk;
            const bool whole = length == kChunk;
            if (!whole) pad_inputs(job, done, length, pad);
            job.chunk(done, whole ? done : 0, length, held + have * Size);
            have += length;
            done += length;
        }
    };
    while (at + 64 <= to.n) {
        if (empty_ahead(to.mask, at, to.n)) {
            memset(out + at * Size, 0, kEmpty * Size);
            at += kEmpty;
            continue;
        }
        if (have < 64 && done < count) refill();
        for (size_t i = 0; i < 64 * Size; i += 64) {
            __builtin_prefetch(out + at * Size + kFetched + i, 1);
        }
        const uint64_t chosen = get<uint64_t>(to.mask + at / 8, 0);
        in = expand64<Size>(chosen, in, out + at * Size);
        have -= ones(chosen);
        at += 64;
    }
    if (done < count) refill();
    uint8_t last[64 * Size];
    expand64<Size>(word_at(to.mask, at / 8, (to.n + 7) / 8), in, last);
    memcpy(out + at * Size, last, (to.n - at) * Size);
}

template <size_t Size, class Job>
MC_INLINE void run_placed(Job& job, size_t n, const Spread& to, uint8_t* out, bool near = false) {
    if (to.mask) {
        run_spread<Size>(job, n, to, out);
    } else {
        run_merge(job, n, Size, out, near);
    }
}

// Calls f with the size of an element as a constant.
template <class F>
MC_INLINE void with_size(size_t size, F f) {
    switch (size) {
        case 1: return f(std::integral_constant<size_t, 1>{});
        case 2: return f(std::integral_constant<size_t, 2>{});
        case 4: return f(std::integral_constant<size_t, 4>{});
        default: return f(std::integral_constant<size_t, 8>{});
    }
}
