// Differences and classes for Python.
#include "arguments.hpp"

namespace mcodec {
namespace {

// The patterns of a base: of two, four or eight bytes.
View take_base(Buffers& buffers, nb::handle base, size_t* size) {
    const View view = buffers.elements(base, size, false, "base");
    if (*size == 1) fail("base", "must be patterns of 16, 32 or 64 bits");
    return view;
}

uint8_t* take(Buffers& buffers, nb::handle array, size_t size, size_t n, bool writable,
              const char* name) {
    const View view = buffers.items(array, size, writable, name);
    if (view.size != n) fail(name, "must have " + std::to_string(n) + " elements");
    return view.data;
}

CountAbove counted(const uint8_t* lengths, size_t n, int most) {
    CountAbove job{};
    job.n = n;
    job.lengths = lengths;
    job.most = most;
    run<CountAbove>(active().count_above, job);
    return job;
}

Items take_packed(nb::handle packed, size_t size) {
    Items items(packed, "packed");
    const int width = static_cast<int>(8 * size);
    if (items.size() != width) fail("packed", "there must be " + std::to_string(width));
    return items;
}

void delta_lengths(nb::handle base, nb::handle values, nb::handle out) {
    Buffers buffers;
    DeltaLengths job{};
    const View below = take_base(buffers, base, &job.size);
    job.n = below.size;
    job.base = below.data;
    job.values = take(buffers, values, job.size, job.n, false, "values");
    job.out = buffers.bytes(out, job.n, true, "out");
    run<const DeltaLengths>(active().delta_lengths, job);
}

void pack_delta(nb::handle base, nb::handle values, nb::handle lengths, nb::handle packed) {
    Buffers buffers;
    PackDelta job{};
    const View below = take_base(buffers, base, &job.size);
    job.n = below.size;
    job.base = below.data;
    job.values = take(buffers, values, job.size, job.n, false, "values");
    job.lengths = buffers.bytes(lengths, job.n, false, "lengths");
    const Items items = take_packed(packed, job.size);
    const CountAbove above = counted(job.lengths, job.n, items.size());
    for (int i = 0; i < items.size(); ++i) {
        const size_t count = above.above[items.size() - 1 - i];
        const bool signs = i + 1 == items.size();
        job.packed[i] =
            buffers.bytes(items[i], plane_size(signs ? above.above[0] : count), true, "packed");
    }
    run<const PackDelta>(active().pack_delta, job);
}

void merge_delta(nb::handle base, nb::handle lengths, nb::handle packed, nb::handle out) {
    Buffers buffers;
    MergeDelta job{};
    const View below = take_base(buffers, base, &job.size);
    job.n = below.size;
    job.base = below.data;
    job.lengths = buffers.bytes(lengths, job.n, false, "lengths");
    const Items items = take_packed(packed, job.size);
    for (int i = 0; i < items.size(); ++i) {
        const View view = buffers.items(items[i], 1, false, "packed");
        job.packed[i] = view.data;
        job.bytes[i] = view.size;
    }
    job.out = take(buffers, out, job.size, job.n, true, "out");
    run<MergeDelta>(active().merge_delta, job);
    if (!job.valid) fail("packed", "must have as many bits as the lengths say");
}

nb::list count_above(nb::handle lengths, int most) {
    if (most < 0 || most > 256) fail("most", "must be 0 to 256");
    Buffers buffers;
    const View in = buffers.items(lengths, 1, false, "lengths");
    const CountAbove job = counted(in.data, in.size, most);
    nb::list counts;
    for (int k = 0; k < most; ++k) counts.append(job.above[k]);
    return counts;
}

View take_patterns(Buffers& buffers, const std::string& dtype, nb::handle base, Dtype* found) {
    *found = dtype_from(dtype);
    return buffers.items(base, item_size(*found), false, "base");
}

int max_exponent(const std::string& dtype, nb::handle base) {
    Buffers buffers;
    MaxExponent job{};
    const View in = take_patterns(buffers, dtype, base, &job.dtype);
    job.n = in.size;
    job.base = in.data;
    run<MaxExponent>(active().max_exponent, job);
    return job.exponent;
}

Classes take_classes(Buffers& buffers, const std::string& dtype, nb::handle base, int emax,
                     int count) {
    Classes job{};
    const View in = take_patterns(buffers, dtype, base, &job.dtype);
    job.n = in.size;
    job.base = in.data;
    if (emax < 0 || emax >= 1 << 11) fail("emax", "must be an exponent field");
    if (count < 1 || count > kMaxClasses || (count & (count - 1)) != 0) {
        fail("classes", "there must be 1, 2, 4, 8 or 16");
    }
    job.emax = emax;
    job.count = count;
    return job;
}

nb::list count_classes(const std::string& dtype, nb::handle base, int emax, int count) {
    Buffers buffers;
    Classes job = take_classes(buffers, dtype, base, emax, count);
    run<Classes>(active().count_classes, job);
    nb::list counts;
    for (int i = 0; i < count; ++i) counts.append(job.counts[i]);
    return counts;
}

void deal(const std::string& dtype, nb::handle base, int emax, nb::handle lengths,
          nb::handle streams, bool split) {
    Buffers buffers;
    const Items items(streams, "streams");
    Classes job = take_classes(buffers, dtype, base, emax, items.size());
    job.lengths = take(buffers, lengths, 1, job.n, !split, split ? "lengths" : "out");
    for (int i = 0; i < items.size(); ++i) {
        const View view = buffers.items(items[i], 1, split, "streams");
        job.streams[i] = view.data;
        job.sizes[i] = view.size;
    }
    run<Classes>(split ? active().split_classes : active().merge_classes, job);
    if (!job.valid) fail("streams", "must have the sizes of the classes");
}

void split_classes(const std::string& dtype, nb::handle base, int emax, nb::handle lengths,
                   nb::handle streams) {
    deal(dtype, base, emax, lengths, streams, true);
}

void merge_classes(const std::string& dtype, nb::handle base, int emax, nb::handle streams,
                   nb::handle out) {
    deal(dtype, base, emax, out, streams, false);
}

}  // namespace

void bind_delta(nb::module_& m) {
    m.def("delta_lengths", &delta_lengths);
    m.def("pack_delta", &pack_delta);
    m.def("merge_delta", &merge_delta);
    m.def("count_above", &count_above);
    m.def("max_exponent", &max_exponent);
    m.def("count_classes", &count_classes);
    m.def("split_classes", &split_classes);
    m.def("merge_classes", &merge_classes);
}

}  // namespace mcodec
