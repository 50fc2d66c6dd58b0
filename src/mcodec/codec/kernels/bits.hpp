// Packed bits as streams of 64-bit words of any number of bits.

MC_INLINE uint64_t low_bits(uint64_t count) {
    return count < 64 ? (uint64_t{1} << count) - 1 : ~uint64_t{0};
}

// A plane's word of up to 64 elements that begins at `byte`; no byte from `bytes` on is read.
MC_INLINE uint64_t word_at(const uint8_t* plane, size_t byte, size_t bytes) {
    if (byte + 8 <= bytes) return get<uint64_t>(plane + byte, 0);
    uint64_t word = 0;
    if (byte < bytes) memcpy(&word, plane + byte, bytes - byte);
    return word;
}

// Bits past the end are zero, however far one goes.
struct BitReader {
    const uint8_t* data = nullptr;
    size_t bytes = 0;
    uint64_t at = 0;  // in bits

    // Whether 64 bits can surely be read by next() after `ahead` that one goes on.
    bool has(uint64_t ahead) const { return at + ahead + 72 <= 8 * bytes; }

    // The next 64 bits, without going on: from two words that overlap, a byte apart.
    uint64_t next() const {
        const uint8_t* from = data + at / 8;
        const int shift = at % 8;
        return get<uint64_t>(from, 0) >> shift | get<uint64_t>(from + 1, 0) << (8 - shift);
    }

    // The same near the end.
    uint64_t next_at_end() const {
        return at / 8 + 9 <= bytes ? next() : word_at(data, at / 8, bytes) >> at % 8;
    }
};

// Writes whole words, and the bytes that the last bits need at the end.
struct BitWriter {
    uint8_t* to = nullptr;
    uint64_t word = 0;
    uint64_t filled = 0;  // bits of `word`, below 64

    // The bits from `count` on are zero.
    void add(uint64_t bits, uint64_t count) {
        word |= bits << filled;
        const uint64_t total = filled + count;
        if (total >= 64) {
            put(to, 0, word);
            to += 8;
            word = filled ? bits >> (64 - filled) : 0;
        }
        filled = total % 64;
    }

    void finish() { memcpy(to, &word, (filled + 7) / 8); }
};
