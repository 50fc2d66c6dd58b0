// Bits packed and spread by a mask, four at a time by tables: for processors that lack the
// instructions or are slow at them.

struct Nibbles {
    // rows: the mask
    struct Rows {
        uint8_t at[16][16];
    };

    static constexpr Rows rows(bool spread) {
        Rows made{};
        for (int mask = 0; mask < 16; ++mask) {
            for (int bits = 0; bits < 16; ++bits) {
                int rank = 0, result = 0;
                for (int i = 0; i < 4; ++i) {
                    if (!(mask >> i & 1)) continue;
                    result |= spread ? (bits >> rank & 1) << i : (bits >> i & 1) << rank;
                    ++rank;
                }
                made.at[mask][bits] = static_cast<uint8_t>(result);
            }
        }
        return made;
    }

    static uint64_t ones4(uint64_t nibble) { return 0x4332322132212110 >> 4 * nibble & 15; }

    // The lowest bits of `bits` to where the mask has ones.
    static uint64_t spread(uint64_t bits, uint64_t mask) {
        static constexpr Rows table = rows(true);
        uint64_t result = 0;
        for (int i = 0; i < 64; i += 4) {
            const uint64_t nibble = mask >> i & 15;
            result |= static_cast<uint64_t>(table.at[nibble][bits & 15]) << i;
            bits >>= ones4(nibble);
        }
        return result;
    }

    // The inverse.
    static uint64_t gather(uint64_t bits, uint64_t mask) {
        static constexpr Rows table = rows(false);
        uint64_t result = 0;
        for (int i = 60; i >= 0; i -= 4) {
            const uint64_t nibble = mask >> i & 15;
            result = result << ones4(nibble) | table.at[nibble][bits >> i & 15];
        }
        return result;
    }
};
