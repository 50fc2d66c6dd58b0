// Planes and bytes to numbers, one block a call, or the blocks of many calls without the GIL
// between.
#include "arguments.hpp"

#include <nanobind/nanobind.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <variant>
#include <vector>

namespace nb = nanobind;

namespace mcodec {
namespace {

void take_output(Buffers& buffers, MergeFloat& job, nb::handle out, nb::handle mask) {
    const View to = buffers.items(out, item_size(job.dtype), true, "out");
    job.n = take_spread(buffers, mask, to.size, &job.to);
    job.out = to.data;
}

// What merge_float and merge_symbols have in common; `above` mantissa bits are no planes.
void take_merge(Buffers& buffers, MergeFloat& job, const std::string& dtype, nb::handle out,
                nb::handle sign, nb::handle planes, int above, nb::handle mask) {
    job.dtype = dtype_from(dtype);
    take_output(buffers, job, out, mask);
    job.sign = take_sign(buffers, sign, job.n);
    const int most = format_of(job.dtype).mantissa - above;
    job.count = take_planes(buffers, planes, job.n, 0, most, job.planes);
}

void take_float(Buffers& buffers, MergeFloat& job, const std::string& dtype, nb::handle out,
                nb::handle sign, nb::handle exponent, nb::handle planes, nb::handle mask) {
    take_merge(buffers, job, dtype, out, sign, planes, 0, mask);
    const Items parts(exponent, "exponent");
    const int wanted = job.dtype == Dtype::float64 ? 2 : 1;
    if (parts.size() != wanted) fail("exponent", "there must be " + std::to_string(wanted));
    for (int i = 0; i < wanted; ++i) {
        const int place = 2 - wanted + i;
        if (nb::isinstance<nb::int_>(parts[i])) {
            const long fill = PyLong_AsLong(parts[i].ptr());
            if (fill == -1) PyErr_Clear();
            if (fill < 0 || fill > 255) fail("exponent", "a fill must be 0 to 255");
            job.fill[place] = static_cast<uint8_t>(fill);
        } else {
            job.exponent[place] = buffers.bytes(parts[i], job.n, false, "exponent");
        }
    }
}

Dtype symbols_dtype(const std::string& name) {
    if (name == "float64") fail("dtype", "float64 has no symbols");
    return dtype_from(name);
}

uint8_t first_exponent(Dtype dtype, int first) {
    const int end = dtype == Dtype::float16 ? 1 : 1 << format_of(dtype).exponent;
    if (first < 0 || first >= end || first % 2) fail("first", "must be an even exponent");
    return static_cast<uint8_t>(first);
}

void take_symbols(Buffers& buffers, MergeFloatSymbols& job, const std::string& dtype,
                  nb::handle out, nb::handle sign, nb::handle symbols, int first, nb::handle planes,
                  nb::handle mask) {
    symbols_dtype(dtype);
    take_merge(buffers, job, dtype, out, sign, planes, 2, mask);
    job.exponent[1] = buffers.bytes(symbols, job.n, false, "symbols");
    job.first = first_exponent(job.dtype, first);
}

// Streams of a block that lie in one memory, at some offsets; -1 stands for zeros.
class Placed {
  public:
    Placed(Buffers& buffers, nb::handle memory, nb::handle offsets)
        : memory_(buffers.items(memory, 1, false, "memory")),
          offsets_(buffers.items(offsets, sizeof(int64_t), false, "offsets")) {}

    // `size` bytes of the next stream, behind the first `skip`; null for zeros.
    const uint8_t* take(size_t size, size_t skip = 0) {
        int64_t offset = kNone;
        if (next_ < offsets_.size) {
            std::memcpy(&offset, offsets_.data + next_ * sizeof offset, sizeof offset);
        }
        ++next_;
        if (offset == -1) return nullptr;
        const auto at = static_cast<uint64_t>(offset);
        const size_t left = at > memory_.size ? 0 : memory_.size - at;
        if (offset < 0 || at > memory_.size || skip > left || size > left - skip) {
            fail("offsets", "a stream is not in the memory");
        }
        return memory_.data + at + skip;
    }

    const uint8_t* take_symbols(size_t size, size_t skip = 0) {
        const uint8_t* found = take(size, skip);
        if (found == nullptr) fail("offsets", "symbols must be in the memory");
        return found;
    }

    // All that are left, bit-planes of n elements.
    int take_planes(size_t n, int most, const uint8_t** to, size_t start = 0) {
        const size_t count = offsets_.size - std::min(offsets_.size, next_);
        if (count > static_cast<size_t>(most)) fail("offsets", "there are too many");
        for (size_t i = 0; i < count; ++i) to[i] = take(plane_size(n), start / 8);
        return static_cast<int>(count);
    }

  private:
    static constexpr int64_t kNone = INT64_MIN;
    View memory_, offsets_;
    size_t next_ = 0;
};

void take_placed_symbols(Buffers& buffers, MergeFloatSymbols& job, const std::string& dtype,
                         nb::handle out, nb::handle memory, nb::handle offsets, int first,
                         nb::handle mask) {
    job.dtype = symbols_dtype(dtype);
    take_output(buffers, job, out, mask);
    Placed streams(buffers, memory, offsets);
    job.sign = streams.take(plane_size(job.n));
    job.exponent[1] = streams.take_symbols(job.n);
    job.count = streams.take_planes(job.n, format_of(job.dtype).mantissa - 2, job.planes);
    job.first = first_exponent(job.dtype, first);
}

// What a block is decoded by, but for its streams.
void take_scaled(Buffers& buffers, MergeBfp& job, const std::string& dtype, nb::handle out,
                 int bits, bool mid, const ScopeTuple& scopes, nb::handle exponents, Step step) {
    job.dtype = dtype_from(dtype);
    const View to = buffers.items(out, item_size(job.dtype), true, "out");
    job.n = to.size;
    job.out = to.data;
    check_bits(bits);
    job.bits = bits;
    job.mid = mid;
    job.scale = take_scale(buffers, scopes, exponents, step, job.n);
}

void check_middle(const MergeBfp& job) {
    if (job.mid && job.count == kMaxBits) fail("mid", "at most 23 planes");
}

void take_placed_bfp(Buffers& buffers, MergeBfp& job, nb::handle memory, nb::handle offsets,
                     bool symbols, size_t start) {
    if (start % 8) fail("start", "must be a multiple of 8");
    Placed streams(buffers, memory, offsets);
    job.sign = streams.take(plane_size(job.n), start / 8);
    if (symbols) job.symbols = streams.take_symbols(job.n, start);
    job.count = job.above();
    job.count += streams.take_planes(job.n, job.bits - job.count, job.planes, start);
    check_middle(job);
}

void take_bfp(Buffers& buffers, MergeBfp& job, const std::string& dtype, nb::handle out, int bits,
              bool mid, const ScopeTuple& scopes, nb::handle exponents, Step step, nb::handle sign,
              nb::handle planes, nb::handle symbols) {
    take_scaled(buffers, job, dtype, out, bits, mid, scopes, exponents, step);
    job.sign = take_sign(buffers, sign, job.n);
    if (!symbols.is_none()) job.symbols = buffers.bytes(symbols, job.n, false, "symbols");
    const int above = job.above();
    job.count = above + take_planes(buffers, planes, job.n, 0, bits - above, job.planes);
    check_middle(job);
}

void merge_float(const std::string& dtype, nb::handle out, nb::handle sign, nb::handle exponent,
                 nb::handle planes, nb::handle mask) {
    Buffers buffers;
    MergeFloat job{};
    take_float(buffers, job, dtype, out, sign, exponent, planes, mask);
    run<const MergeFloat>(active().merge_float, job);
}

bool merge_symbols(const std::string& dtype, nb::handle out, nb::handle sign, nb::handle symbols,
                   int first, nb::handle planes, nb::handle mask) {
    Buffers buffers;
    MergeFloatSymbols job{};
    take_symbols(buffers, job, dtype, out, sign, symbols, first, planes, mask);
    run<MergeFloatSymbols>(active().merge_symbols, job);
    return job.valid;
}

void merge_bfp(const std::string& dtype, nb::handle out, int bits, bool mid,
               const ScopeTuple& scopes, nb::handle exponents, Step step, nb::handle sign,
               nb::handle planes, nb::handle symbols) {
    Buffers buffers;
    MergeBfp job{};
    take_bfp(buffers, job, dtype, out, bits, mid, scopes, exponents, step, sign, planes, symbols);
    run<const MergeBfp>(active().merge_bfp, job);
}

struct Merge {
    Buffers buffers;
    std::variant<MergeBfp, MergeFloat, MergeFloatSymbols> job;
};

void take_call(Merge& to, const std::string& name, const nb::tuple& a) {
    const std::string dtype = nb::cast<std::string>(a[0]);
    if ((name == "merge_bfp" && a.size() == 10) || (name == "placed_bfp" && a.size() == 11)) {
        Step step;
        if (!a[6].is_none()) step = nb::cast<double>(a[6]);
        auto& job = to.job.emplace<MergeBfp>();
        const int bits = nb::cast<int>(a[2]);
        const bool mid = nb::cast<bool>(a[3]);
        const auto scopes = nb::cast<ScopeTuple>(a[4]);
        if (name == "merge_bfp") {
            take_bfp(to.buffers, job, dtype, a[1], bits, mid, scopes, a[5], step, a[7], a[8], a[9]);
        } else {
            take_scaled(to.buffers, job, dtype, a[1], bits, mid, scopes, a[5], step);
            take_placed_bfp(to.buffers, job, a[7], a[8], nb::cast<bool>(a[9]),
                            nb::cast<size_t>(a[10]));
        }
    } else if (name == "placed_symbols" && a.size() == 6) {
        take_placed_symbols(to.buffers, to.job.emplace<MergeFloatSymbols>(), dtype, a[1], a[2],
                            a[3], nb::cast<int>(a[4]), a[5]);
    } else if (name == "merge_float" && a.size() == 6) {
        take_float(to.buffers, to.job.emplace<MergeFloat>(), dtype, a[1], a[2], a[3], a[4], a[5]);
    } else if (name == "merge_symbols" && a.size() == 7) {
        take_symbols(to.buffers, to.job.emplace<MergeFloatSymbols>(), dtype, a[1], a[2], a[3],
                     nb::cast<int>(a[4]), a[5], a[6]);
    } else {
        fail("calls", "no merge '" + name + "' of so many arguments");
    }
}

bool run_call(Merge& merge) {
    if (auto* bfp = std::get_if<MergeBfp>(&merge.job)) {
        active().merge_bfp(*bfp);
    } else if (auto* fields = std::get_if<MergeFloat>(&merge.job)) {
        active().merge_float(*fields);
    } else if (auto* symbols = std::get_if<MergeFloatSymbols>(&merge.job)) {
        active().merge_symbols(*symbols);
        return symbols->valid;
    }
    return true;
}

std::vector<bool> merge_all(nb::handle calls, nb::handle near) {
    const Items items(calls, "calls"), nears(near, "near");
    if (nears.size() != items.size()) fail("near", "there must be as many as calls");
    std::deque<Merge> merges;
    for (int i = 0; i < items.size(); ++i) {
        const auto call = nb::cast<nb::tuple>(items[i]);
        if (call.size() != 2) fail("calls", "must be pairs of a name and arguments");
        merges.emplace_back();
        take_call(merges.back(), nb::cast<std::string>(call[0]), nb::cast<nb::tuple>(call[1]));
        const bool is_near = nb::cast<bool>(nears[i]);
        std::visit([=](auto& job) { job.near = is_near; }, merges.back().job);
    }
    std::vector<bool> valid;
    {
        nb::gil_scoped_release released;
        RoundingGuard guard;
        for (Merge& merge : merges) valid.push_back(run_call(merge));
    }
    return valid;
}

}  // namespace

void bind_merge(nb::module_& m) {
    using nb::arg;
    m.def("merge_float", &merge_float, arg(), arg(), arg().none(), arg(), arg(), arg().none());
    m.def("merge_symbols", &merge_symbols, arg(), arg(), arg().none(), arg(), arg(), arg(),
          arg().none());
    m.def("merge_bfp", &merge_bfp, arg(), arg(), arg(), arg(), arg(), arg().none(), arg().none(),
          arg().none(), arg(), arg().none());
    m.def("merge_all", &merge_all);
}

}  // namespace mcodec
