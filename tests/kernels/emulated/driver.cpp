// Runs the kernels of one target beside the portable ones and exits 1 where a byte differs.
//
// Compiled with -DMCODEC_TARGET=<name>, together with that target and portable.cpp as they are
// shipped, for a machine that may be emulated; test_emulated_targets.py does so.
#include "jobs.hpp"

int main() {
    using namespace mcodec;
    Pair pair(MCODEC_TARGET);
    // all tails of a chunk of 128, and those of larger ones around their ends
    std::vector<size_t> lengths;
    for (size_t n = 0; n <= 257; n = n < 140 ? n + 1 : n + 13) lengths.push_back(n);
    for (size_t n : {511, 512, 513, 1023, 1025, 2047, 4096 + 77}) lengths.push_back(n);
    for (size_t n : lengths) {
        compare_planes(pair, n);
        compare_bfp(pair, n, static_cast<int>(1 + n % 24));
        compare_sparse(pair, n);
        compare_deltas(pair, n);
    }
    for (int bits = 1; bits <= 24; ++bits) compare_bfp(pair, 1100, bits);
    // past the cache
    compare_planes(pair, (size_t{1} << 17) + 5);
    compare_bfp(pair, (size_t{1} << 17) + 5, 12);
    std::printf("%zu comparisons\n", pair.count());
    return 0;
}
