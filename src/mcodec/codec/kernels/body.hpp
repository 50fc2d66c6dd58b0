// The kernels, in terms of the vectors and the few functions that a target has defined before it
// includes this inside its anonymous namespace:
//
//   zip<Bits, High>(a, b)        interleaves the low or high halves of each 16-byte lane
//   narrow32, narrow16           join two vectors of small numbers, lane by lane, at half the width
//   halves32<Odd>(a, b)          every second 32-bit element of a and b, lane by lane
//   spread32, gather32           order the bytes of 4 kW elements so that zips by lanes leave them
//   spread64, gather64           in order, for 32-bit and for wider or narrower steps; and back
//   load_lanes, store_lanes      16 bytes a lane, lanes 128 elements apart
//   store_lanes32                4 elements of 32 bits a lane, lanes 128 elements apart; used if
//   kStoresLanes                 is true, else lanes are put in order first
//   load_words, store_words      16-bit elements, pieces of 16 elements 128 elements apart
//   least, round_to_int          a < b ? a : b; to nearest, ties to even
//   load8, load16, store16       bytes and 16-bit patterns to and from 32-bit elements
//   load_half, store_half        float16 to and from float32, finite
//   running_sums                 of 32-bit elements
//   ones, kCountsOnes            counts the bits of a word; whether by one instruction
//   with_bits(f)                 f(Bits{}), where Bits::spread and gather are pdep and pext
//   kGroup<Size>                 how many elements expand and compress move by a mask
//   expand, compress             packed elements to their places, zeros elsewhere, and back; they
//                                may reach kReach bytes into the packed ones
//   stream, stream_end           a store past the cache, at a multiple of kW; the end of them;
//   kStreams                     whether there is such a store
//   transpose8                   if MC_TRANSPOSES is defined: network.hpp

#include "network.hpp"
#include "bits.hpp"
#include "elements.hpp"
#include "chunks.hpp"
#include "spread.hpp"
#include "floats.hpp"
#include "symbols.hpp"
#include "scalar.hpp"
#include "scaling.hpp"
#include "bfp_merge.hpp"
#include "bfp_split.hpp"
#include "stats.hpp"
#include "sparse.hpp"
#include "gaps.hpp"
#include "int8.hpp"
#include "delta.hpp"
#include "classes.hpp"
#include "residual.hpp"

static constexpr Table table(const char* name) {
    return {name,          split_float,   merge_float,     merge_symbols,
            split_bfp,     merge_bfp,     planes_to_bytes, bytes_to_planes,
            scope_max,     error_stats,   count_bits,      nonzero_plane,
            gather_bits,   spread_bits,   gather_elements, spread_elements,
            mask_elements, gaps_to_plane, quantize_int8,   dequantize_int8,
            delta_lengths, pack_delta,    merge_delta,     count_above,
            max_exponent,  count_classes, split_classes,   merge_classes,
            subtract_base, add_residual};
}
