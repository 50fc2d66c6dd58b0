// Elements of 1, 2, 4 or 8 bytes from and to vectors of their bytes.

// The bytes of vector v to the chunk `out` of whole elements.
template <size_t Size>
MC_INLINE void put_elements(uint8_t* out, size_t v, const u8v* b) {
    if (Size == 1) {
        store_lanes(out + 16 * v, b[0]);
    } else if (Size == 2) {
        u8v low = spread64(b[0]), high = spread64(b[1]);
        zip_pair<8>(low, high);
        store_words(out + 2 * place(v, 0, kW / 2), low);
        store_words(out + 2 * place(v, 1, kW / 2), high);
    } else if (Size == 4) {
        put32(out, v, b[0], b[1], b[2], b[3]);
    } else {
        alignas(64) uint8_t words[2][4 * kChunk];
        put32(words[0], v, b[0], b[1], b[2], b[3]);
        put32(words[1], v, b[4], b[5], b[6], b[7]);
#pragma GCC unroll 4
        for (size_t m = 0; m < 4; ++m) {
            const size_t at = place(v, m, kW / 4);
            u8v low = spread64(load(words[0] + 4 * at)), high = spread64(load(words[1] + 4 * at));
            zip_pair<32>(low, high);
            store(out + 8 * at, low);
            store(out + 8 * at + kW, high);
        }
    }
}

template <size_t Size>
MC_INLINE void get_elements(const uint8_t* in, size_t v, u8v* b) {
    if (Size == 1) {
        b[0] = load_lanes(in + 16 * v);
    } else if (Size == 2) {
        const u16v x = (u16v)load_words(in + 2 * place(v, 0, kW / 2));
        const u16v y = (u16v)load_words(in + 2 * place(v, 1, kW / 2));
        b[0] = gather64(narrow16(x & 0xFF, y & 0xFF));
        b[1] = gather64(narrow16(x >> 8, y >> 8));
    } else {
        u32v low[4], high[4];
#pragma GCC unroll 4
        for (size_t m = 0; m < 4; ++m) {
            const uint8_t* at = in + Size * place(v, m, kW / 4);
            low[m] = (u32v)load(at);
            if (Size == 8) {
                const u8v first = load(at), second = load(at + kW);
                low[m] = (u32v)gather64((u8v)halves32<false>(first, second));
                high[m] = (u32v)gather64((u8v)halves32<true>(first, second));
            }
        }
        bytes_of(low, &b[0], &b[1], &b[2], &b[3]);
        if (Size == 8) bytes_of(high, &b[4], &b[5], &b[6], &b[7]);
    }
}
