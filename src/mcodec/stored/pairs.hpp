// Two blocks of Huffman codes (RFC 8878, section 4.2) decoded side by side. A code's length says
// where the next one begins, so that a stream's lookups wait for each other, and the four streams
// of one block are too few to fill that time: eight do. zstd's own code builds the tables.
//
// Whoever calls leaves a block to zstd that is not decoded to its very end, so that zstd alone says
// what is wrong with it.
#pragma once

#include "huffman.hpp"

#include <cstddef>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

extern "C" {
// Of zstd's huf.h, which its single file does not export.
size_t HUF_readDTableX1_wksp(uint32_t* table, const void* data, size_t size, void* work,
                             size_t work_size, int flags);
size_t HUF_decompress4X_hufOnly_wksp(uint32_t* table, void* out, size_t raw, const void* data,
                                     size_t size, void* work, size_t work_size, int flags);
}

namespace mcodec {

// The literals of a block: a table, then four streams.
struct Literals {
    const uint8_t* data;
    size_t size;
    uint8_t* out;
    size_t raw;

    size_t step() const { return (raw + 3) / 4; }  // bytes of a stream; the last has those left
};

constexpr size_t kPairLeast = 1024;  // decoded bytes of a block that is worth it
constexpr int kTableLog = 11;

// What the assembly works on (pairs_amd64.S, which knows the offsets).
struct Pair {
    struct Codes {
        uint8_t unused[60];
        uint32_t head;
        uint16_t entries[1 << kTableLog];  // a code's length, and its symbol above
    };
    alignas(64) Codes codes[2];
    // Of each stream the eight bytes at hand: where they are, and what of them is not used yet,
    // with a 1 below.
    const uint8_t* at[8];
    uint64_t bits[8];
    uint8_t* out[2];  // of the first stream of each block; the others are `step` apart
    size_t step;
    size_t rounds;
};

}  // namespace mcodec

#if defined(MCODEC_PAIRS) && defined(__x86_64__)
static_assert(offsetof(mcodec::Pair, codes[1].entries) == 64 + 4160);
static_assert(offsetof(mcodec::Pair, at) == 8320 && offsetof(mcodec::Pair, bits) == 8384);
static_assert(offsetof(mcodec::Pair, out) == 8448 && offsetof(mcodec::Pair, step) == 8464);
static_assert(offsetof(mcodec::Pair, rounds) == 8472);

extern "C" {
void mcodec_huffman_6(mcodec::Pair* pair);
void mcodec_huffman_8(mcodec::Pair* pair);
}

namespace mcodec {

inline bool has_pairs() {
    static const bool has = has_bmi2();
    return has;
}

class PairDecoder {
  public:
    // Returns whether both blocks were decoded, and each stream ended with its last code.
    bool run(const Literals& first, const Literals& second) {
        blocks_[0] = &first;
        blocks_[1] = &second;
        pair_.step = first.step();
        if (second.step() != pair_.step || !open(0) || !open(1)) return false;
        part();
        decode_both();
        return finish(0) && finish(1);
    }

  private:
    static uint64_t load(const uint8_t* from) {
        uint64_t value;
        std::memcpy(&value, from, sizeof value);
        return value;
    }

    // Reads a block's table, and where its streams are.
    bool open(int block) {
        const Literals& all = *blocks_[block];
        alignas(8) uint8_t work[2560];
        Pair::Codes& codes = pair_.codes[block];
        codes.head = (kTableLog - 1) * 0x01000001u;  // the room that zstd finds there
        const size_t head =
            HUF_readDTableX1_wksp(&codes.head, all.data, all.size, work, sizeof work, kUseBmi2);
        if (ZSTD_isError(head) || head >= all.size || all.size - head < 6) return false;
        const uint8_t* at = all.data + head;
        size_t left = all.size - head - 6;
        size_t lengths[4];
        for (int k = 0; k < 3; ++k) {
            lengths[k] = at[2 * k] | at[2 * k + 1] << 8;
            if (lengths[k] > left) return false;
            left -= lengths[k];
        }
        lengths[3] = left;
        at += 6;
        pair_.out[block] = all.out;
        for (int k = 0; k < 4; ++k) {
            const int stream = 4 * block + k;
            if (lengths[k] < 8) return false;
            starts_[stream] = at;
            at += lengths[k];
            if (at[-1] == 0) return false;  // its highest 1 is where the codes begin
            pair_.at[stream] = at - 8;
            const int unused = 8 - (31 - __builtin_clz(at[-1]));
            pair_.bits[stream] = (load(at - 8) | 1) << unused;
        }
        return true;
    }

    // How many bytes of the last stream, the shortest, are still to come.
    size_t left(int block) const {
        const Literals& all = *blocks_[block];
        return static_cast<size_t>(all.out + all.raw - pair_.out[block]) - 3 * pair_.step;
    }

    // How many rounds of so many symbols stay within a block's streams whatever they hold: of a
    // round's 63 bits or fewer 7 bytes may be used up.
    size_t rounds(int block, size_t symbols) const {
        size_t most = left(block) / symbols;
        for (int stream = 4 * block; stream < 4 * block + 4; ++stream) {
            const auto bytes = static_cast<size_t>(pair_.at[stream] - starts_[stream]);
            most = std::min(most, bytes / 7);
        }
        return most;
    }

    // Decodes 5 symbols of each stream of one block, 55 bits or fewer, so many times.
    void decode_one(int block, size_t rounds) {
        const uint16_t* const entries = pair_.codes[block].entries;
        const size_t step = pair_.step;
        uint8_t* out = pair_.out[block];
        uint64_t bits[4];
        const uint8_t* at[4];
        for (int k = 0; k < 4; ++k) bits[k] = pair_.bits[4 * block + k];
        for (int k = 0; k < 4; ++k) at[k] = pair_.at[4 * block + k];
        for (; rounds > 0; --rounds, out += 5) {
            for (int symbol = 0; symbol < 5; ++symbol) {
                for (int k = 0; k < 4; ++k) {
                    const unsigned entry = entries[bits[k] >> (64 - kTableLog)];
                    bits[k] <<= entry & 63;
                    out[k * step + symbol] = static_cast<uint8_t>(entry >> 8);
                }
            }
            for (int k = 0; k < 4; ++k) {
                const int used = __builtin_ctzll(bits[k]);
                at[k] -= used >> 3;
                bits[k] = (load(at[k]) | 1) << (used & 7);
            }
        }
        pair_.out[block] = out;
        for (int k = 0; k < 4; ++k) pair_.bits[4 * block + k] = bits[k];
        for (int k = 0; k < 4; ++k) pair_.at[4 * block + k] = at[k];
    }

    // Lets one block go ahead if all eight streams write at the same place of their pages, where
    // their lines would push each other out of the cache.
    void part() {
        constexpr uintptr_t kPageSize = 4096, kApart = 128;
        if (pair_.step % kPageSize != 0) return;
        const uintptr_t first = reinterpret_cast<uintptr_t>(pair_.out[0]);
        const uintptr_t second = reinterpret_cast<uintptr_t>(pair_.out[1]);
        const uintptr_t apart = (second - first) % kPageSize;
        if (apart >= kApart && apart <= kPageSize - kApart) return;
        const int block = apart < kApart ? 1 : 0;
        decode_one(block, std::min(rounds(block, 5), size_t{kApart / 5 + 1}));
    }

    void decode_both() {
        // Eight symbols a round where they nearly always are in the bytes at hand, else six.
        const auto wide = [](const Literals& all) { return all.size * 10 > all.raw * 7; };
        bool six = wide(*blocks_[0]) || wide(*blocks_[1]);
        size_t missed = 0;
        for (;;) {
            const size_t symbols = six ? 6 : 8;
            pair_.rounds = std::min(rounds(0, symbols), rounds(1, symbols));
            if (pair_.rounds == 0) return;
            six ? mcodec_huffman_6(&pair_) : mcodec_huffman_8(&pair_);
            if (pair_.rounds == 0) continue;
            decode_one(0, 1);
            decode_one(1, 1);
            if (++missed % 64 == 0) six = true;
        }
    }

    bool finish(int block) {
        for (size_t more = rounds(block, 5); more > 0; more = rounds(block, 5)) {
            decode_one(block, more);
        }
        const Literals& all = *blocks_[block];
        uint8_t* const end = all.out + all.raw;
        for (int k = 0; k < 4; ++k) {
            uint8_t* const own = all.out + (k + 1) * pair_.step;
            if (!finish_stream(4 * block + k, pair_.out[block] + k * pair_.step,
                               k < 3 ? own : end)) {
                return false;
            }
        }
        return true;
    }

    // Decodes what is left of a stream, code by code.
    bool finish_stream(int stream, uint8_t* out, const uint8_t* end) const {
        const uint16_t* const entries = pair_.codes[stream / 4].entries;
        const uint8_t* const start = starts_[stream];
        const ptrdiff_t held = pair_.at[stream] - start;
        ptrdiff_t bits = 8 * held + 64 - __builtin_ctzll(pair_.bits[stream]);
        while (out < end) {
            const ptrdiff_t low = bits - kTableLog;
            uint64_t index;
            if (low < 0) {
                index = (load(start) & ((uint64_t{1} << bits) - 1)) << -low;
            } else {
                const ptrdiff_t from = std::min(low / 8, held);
                index = load(start + from) >> (low - 8 * from) & ((1 << kTableLog) - 1);
            }
            const unsigned entry = entries[index];
            bits -= entry & 63;
            if (bits < 0) return false;
            *out++ = static_cast<uint8_t>(entry >> 8);
        }
        return bits == 0;
    }

    Pair pair_;
    const Literals* blocks_[2];
    const uint8_t* starts_[8];
};

// One block alone, by zstd.
inline bool decode_alone(const Literals& all) {
    constexpr uint32_t kLog = 12;
    uint32_t table[1 + (1 << kLog)];
    alignas(8) uint8_t work[2560];
    table[0] = kLog * 0x01000001u;
    const size_t made = HUF_decompress4X_hufOnly_wksp(table, all.out, all.raw, all.data, all.size,
                                                      work, sizeof work, kUseBmi2);
    return made == all.raw;
}

}  // namespace mcodec
#endif
