// The module `_stored`: chunks of several blocks in one call, without the GIL; and row tables.
#include "held.hpp"
#include "places.hpp"

#include <deque>

namespace nb = nanobind;

namespace mcodec {
namespace {

// Offsets and lengths of streams, one after the other.
nb::object packed(const Places& places) {
    const size_t size = places.offsets.size() * sizeof(int64_t);
    nb::object made =
        nb::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(2 * size)));
    if (!made.is_valid()) throw nb::python_error();
    if (size != 0) {
        std::memcpy(PyBytes_AS_STRING(made.ptr()), places.offsets.data(), size);
        std::memcpy(PyBytes_AS_STRING(made.ptr()) + size, places.lengths.data(), size);
    }
    return made;
}

nb::object outcome(const Failure& failure, const Places& places) {
    static const char* const kKinds[] = {"", "hash", "frame", "short"};
    if (failure.kind == Failure::kSystem) {
        errno = failure.error;
        PyErr_SetFromErrno(PyExc_OSError);
        throw nb::python_error();
    }
    if (failure.kind != Failure::kNone) {
        return nb::make_tuple(failure.row, kKinds[failure.kind], failure.what);
    }
    return packed(places);
}

// See `mcodec.stored.Scratch.place`.
nb::object place(nb::handle source, nb::handle rows, nb::handle scratch, bool verify,
                 nb::handle lengths) {
    const Held packed(rows, 0);
    const Held sizes(lengths, 0);
    Places places;
    const Held room(scratch, PyBUF_WRITABLE);
    const bool is_file = nb::isinstance<nb::int_>(source);
    const bool mapped = !is_file && PyObject_CheckBuffer(source.ptr());
    const Plan found = plan(packed.data(), packed.size() / sizeof(Row), mapped);
    if (found.room > room.size()) return nb::int_(found.room);
    const int file = is_file ? nb::cast<int>(source) : -1;
    std::deque<Held> held;
    std::vector<Segment> segments;
    if (mapped) {
        held.emplace_back(source, 0);
        segments.push_back({0, held.back().data(), held.back().size()});
    } else if (!is_file) {
        for (nb::handle item : nb::iter(source)) {
            const nb::tuple pair = nb::cast<nb::tuple>(item);
            held.emplace_back(pair[1], 0);
            segments.push_back(
                {nb::cast<uint64_t>(pair[0]), held.back().data(), held.back().size()});
        }
    }
    Failure failure;
    {
        nb::gil_scoped_release released;
        for (const Extent& extent : found.extents) {
            failure =
                file >= 0 ? pull(file, extent, room.data()) : copy(segments, extent, room.data());
            if (failure.kind != Failure::kNone) break;
        }
        if (failure.kind == Failure::kNone) {
            failure = decode(found, mapped ? segments.data() : nullptr, room.data(), verify);
        }
        if (failure.kind == Failure::kNone &&
            !place_streams(found, mapped ? segments.data() : nullptr, room.data(),
                           reinterpret_cast<const uint64_t*>(sizes.data()),
                           sizes.size() / sizeof(uint64_t), places)) {
            failure = {Failure::kFrame, 0, "streams are not as long as they should be", 0};
        }
    }
    return outcome(failure, places);
}

// See `mcodec.stored.plain_rows`.
size_t count_plain(nb::handle rows, size_t index, nb::handle lengths, uint8_t mode, uint64_t end) {
    const Held packed(rows, 0);
    const Held table(lengths, 0);
    const size_t count = packed.size() / sizeof(Row);
    if (index >= count) return 0;
    return plain_rows(packed.data() + index * sizeof(Row), count - index,
                      reinterpret_cast<const uint64_t*>(table.data()),
                      table.size() / sizeof(uint64_t), mode, end);
}

// See `mcodec.stored.overlap`.
uint64_t find_overlap(nb::handle rows, uint64_t front, uint64_t length) {
    const Held packed(rows, 0);
    return overlap(packed.data(), packed.size() / sizeof(Row), front, length);
}

}  // namespace
}  // namespace mcodec

namespace mcodec {
void bind_coders(nb::module_& m);  // bindings_coders.cpp
void bind_lists(nb::module_& m);   // bindings_lists.cpp
}  // namespace mcodec

NB_MODULE(_stored, m) {
    // A thread that a program leaves behind may hold a file until there is no interpreter any more.
    nb::set_leak_warnings(false);
    m.def("place", &mcodec::place);
    m.def("plain_rows", &mcodec::count_plain);
    m.def("overlap", &mcodec::find_overlap);
    mcodec::bind_coders(m);
    mcodec::bind_lists(m);
}
