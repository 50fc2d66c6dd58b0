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

// Sets rising bits of a plane of zeros. A word is made in a register, and stored for each of its
// bits: to read it back from memory would cost more than all the rest.
struct RisingBits {
    uint8_t* const out;
    const size_t full;  // words of 8 bytes that lie in the plane whole
    uint64_t word = 0, bits = 0;
    uint64_t last = 0;  // what lies behind the whole words

    void set(uint64_t position) {
        const uint64_t next = position / 64;
        bits = (next == word ? bits : 0) | uint64_t{1} << position % 64;
        word = next;
        if (next < full) {
            put(out + 8 * next, 0, bits);
        } else {
            last = bits;
        }
    }
};

// 2^8 * 255 a byte at most: no position of bytes that fit in a memory comes near 2^64.
static void gaps_to_plane(GapsToPlane& job) noexcept {
    // Stores of bytes may change anything that is not a local, as far as the compiler knows.
    const uint8_t* const high = job.high;
    const size_t count = job.bytes;
    const uint64_t n = job.n;
    const int k = job.k;
    const size_t bytes = (n + 7) / 8;
    memset(job.out, 0, bytes);
    LowBits low(job, job.count);
    RisingBits plane{job.out, bytes / 8};
    uint64_t position = 0, sum = 0;
    size_t found = 0;
    bool valid = count == 0 || high[count - 1] != 255;
    for (size_t i = 0; valid && i < count; ++i) {
        sum += high[i];
        if (high[i] == 255) continue;
        const size_t place = found % kChunk;
        if (k && place == 0) low.fill(found);
        position += (sum << k) + (k ? low.chunk[place] : 0);
        valid = position < n;
        if (valid) plane.set(position);
        ++position;
        ++found;
        sum = 0;
    }
    job.valid = valid;
    memcpy(job.out + bytes / 8 * 8, &plane.last, bytes % 8);
}
