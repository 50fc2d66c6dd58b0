// gaps_to_plane: positions that are stored as the gaps between them.

// The low bits of gaps, a chunk of them at a time.
struct LowBits {
    const uint8_t* planes[8] = {};
    size_t bytes;  // of a plane
    alignas(64) uint8_t chunk[kChunk];

    LowBits(const GapsToPlane& job, size_t count) : bytes((count + 7) / 8) {
        for (int i = 0; i < job.k; ++i) planes[job.k - 1 - i] = job.low[i];
    }

    void fill(size_t from) {
        alignas(64) uint8_t pad[8][kW];
        const uint8_t* copies[8] = {};
        const size_t left = bytes - from / 8 < kW ? bytes - from / 8 : kW;
        for (int k = 0; k < 8; ++k) {
            if (!planes[k]) continue;
            memcpy(pad[k], planes[k] + from / 8, left);
            memset(pad[k] + left, 0, kW - left);
            copies[k] = pad[k];
        }
        u8v joined[8];
        join_planes(copies, 0, joined);
        for (size_t v = 0; v < 8; ++v) store_lanes(chunk + 16 * v, joined[v]);
    }
};

// Gaps to positions, a chunk of them at a time: as many at once as a vector has 32-bit elements,
// and one alone where an escape or the end is near. Positions become bits when a chunk of them is
// there, so that neither waits for the other. n is at most 2^31, and a chunk of gaps adds less than
// 2^26.
struct Gaps {
    static constexpr size_t kGroup = kW / 4;
    const uint8_t* high;
    size_t bytes, at = 0;
    int k;
    uint64_t n, position = 0;  // the first that is free
    LowBits low;
    alignas(64) uint32_t ends[kChunk];  // positions, each plus one

    explicit Gaps(const GapsToPlane& job)
        : high(job.high), bytes(job.bytes), k(job.k), n(job.n), low(job, job.count) {}

    bool escapes() const {
        uint64_t found = 0;
        for (size_t i = 0; i < kGroup; i += 4) {
            const uint64_t rest = ~uint64_t{get<uint32_t>(high + at + i, 0)};
            found |= (rest - 0x0101010101010101) & ~rest & 0x8080808080808080;
        }
        return found;
    }

    // Returns how many positions there are then.
    size_t groups(size_t filled) {
        u32v free = u32v{} + static_cast<uint32_t>(position);
        while (at + kGroup <= bytes && filled + kGroup <= kChunk && !escapes()) {
            u32v gaps = (load8(high + at) << k) + 1;
            if (k) gaps += load8(low.chunk + filled);
            const u32v sums = running_sums(gaps);
            store(ends + filled, (u8v)(sums + free));
            free += sums[kGroup - 1];
            at += kGroup;
            filled += kGroup;
        }
        position = free[0];
        return filled;
    }

    // False if the position is too large. 2^8 * 255 a byte at most: no sum of bytes that fit in a
    // memory comes near 2^64.
    bool one(size_t filled) {
        uint64_t sum = 0;
        for (; high[at] == 255; ++at) sum += 255;
        sum += high[at++];
        position += (sum << k) + (k ? low.chunk[filled] : 0) + 1;
        ends[filled] = static_cast<uint32_t>(position);
        return position <= n;
    }

    // The last byte is no escape.
    bool set(uint8_t* plane) {
        for (size_t found = 0; at < bytes; found += kChunk) {
            if (k) low.fill(found);
            size_t filled = 0;
            for (;;) {
                filled = groups(filled);
                if (position > n) return false;
                if (filled == kChunk || at == bytes) break;
                if (!one(filled++)) return false;
            }
            for (size_t i = 0; i < filled; ++i) {
                const uint32_t place = ends[i] - 1;
                plane[place / 8] |= static_cast<uint8_t>(1 << place % 8);
            }
        }
        return true;
    }
};

static void gaps_to_plane(GapsToPlane& job) noexcept {
    memset(job.out, 0, (job.n + 7) / 8);
    Gaps gaps(job);
    job.valid = job.bytes == 0 || (job.high[job.bytes - 1] != 255 && gaps.set(job.out));
}
