// The part of `_stored` that codes streams, without the GIL.
#include "coders.hpp"
#include "hash.hpp"
#include "held.hpp"

#include <cstring>
#include <deque>
#include <sys/mman.h>

namespace mcodec {
namespace {

// Fresh pages cost more than copying to them, and huge ones a third of it.
void ask_for_huge_pages(char* memory, size_t size) {
#ifdef MADV_HUGEPAGE
    constexpr uintptr_t page = 4096;
    const uintptr_t first = (reinterpret_cast<uintptr_t>(memory) + page - 1) / page * page;
    const uintptr_t last = (reinterpret_cast<uintptr_t>(memory) + size) / page * page;
    if (size >= size_t{4} << 20) {
        (void)madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
    }
#else
    (void)memory, (void)size;
#endif
}

constexpr uint32_t kSalt = 0x5bd1e995u;

nb::object bytes_of(const uint8_t* data, size_t size) {
    return nb::bytes(reinterpret_cast<const char*>(data), size);
}

// See `mcodec.stored.code`.
nb::list code_streams(nb::handle streams, size_t cost) {
    std::deque<Held> held;
    for (nb::handle stream : nb::iter(streams)) held.emplace_back(stream, 0);
    // Memory that the thread keeps: fresh pages cost as much as coding.
    thread_local std::vector<uint8_t> out;
    std::vector<Coded> coded;
    coded.reserve(held.size());
    {
        nb::gil_scoped_release released;
        out.clear();
        Coder coder(cost, out);
        for (const Held& stream : held) coded.push_back(coder.next(stream.data(), stream.size()));
    }
    nb::list found;
    for (size_t i = 0; i < coded.size(); ++i) {
        const Coded& one = coded[i];
        const bool fill = one.kind == Coded::kFill;
        const int value = fill && held[i].size() > 0 ? held[i].data()[0] : 0;
        nb::object frame = nb::none();
        if (one.kind == Coded::kZstd) frame = bytes_of(out.data() + one.at, one.size);
        found.append(nb::make_tuple(static_cast<int>(one.kind), value, frame));
    }
    return found;
}

// See `mcodec.stored.code_symbols`.
nb::tuple code_symbols(nb::handle symbols, size_t cost, int bits) {
    const Held held(symbols, 0);
    thread_local std::vector<uint8_t> out;
    Coded coded{Coded::kFill};
    Counts counts{};
    size_t parted = 0;
    {
        nb::gil_scoped_release released;
        out.clear();
        coded = code(held.data(), held.size(), cost, out, &counts);
        if (coded.kind == Coded::kZstd) parted = apart(counts, held.size(), bits);
    }
    nb::object frame = nb::none();
    if (coded.kind == Coded::kZstd) frame = bytes_of(out.data() + coded.at, coded.size);
    return nb::make_tuple(frame, parted);
}

// See `mcodec.stored.join_bytes`.
nb::bytes join_bytes(nb::handle parts) {
    std::deque<Held> held;
    size_t size = 0;
    for (nb::handle part : nb::iter(parts)) size += held.emplace_back(part, 0).size();
    PyObject* made = PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(size));
    if (made == nullptr) throw nb::python_error();
    nb::bytes joined = nb::steal<nb::bytes>(made);
    char* out = PyBytes_AS_STRING(made);
    nb::gil_scoped_release released;
    ask_for_huge_pages(out, size);
    for (const Held& part : held) {
        std::memcpy(out, part.data(), part.size());
        out += part.size();
    }
    return joined;
}

// See `mcodec.stored.repeats`.
bool find_repeats(nb::handle data, uint32_t mask) {
    const Held held(data, 0);
    nb::gil_scoped_release released;
    return repeats(held.data(), held.size(), mask, kSalt, 8);
}

// See `mcodec.stored.join`.
int join_symbols(nb::handle exponents, nb::handle first, nb::handle second, int last, int step,
                 nb::handle symbols) {
    const Held top(exponents, 0);
    const Held high(first, 0);
    const Held low(second, 0);
    const Held out(symbols, PyBUF_WRITABLE);
    const size_t size = top.size(), bytes = (size + 7) / 8;
    if (out.size() != size || high.size() != bytes || low.size() != bytes || step < 1) {
        throw nb::value_error("symbols, exponents and planes are not as many");
    }
    nb::gil_scoped_release released;
    return join_planes(top.data(), high.data(), low.data(), size, last, step, out.data());
}

// See `mcodec.stored.digest`.
uint64_t digest(nb::handle parts) {
    std::deque<Held> held;
    for (nb::handle part : nb::iter(parts)) held.emplace_back(part, 0);
    nb::gil_scoped_release released;
    if (held.size() == 1) return XXH3_64bits(held[0].data(), held[0].size());
    XXH3_state_t state;
    XXH3_64bits_reset(&state);
    for (const Held& part : held) XXH3_64bits_update(&state, part.data(), part.size());
    return XXH3_64bits_digest(&state);
}

}  // namespace

void bind_coders(nb::module_& m) {
    m.def("code", &code_streams);
    m.def("code_symbols", &code_symbols);
    m.def("repeats", &find_repeats);
    m.def("join", &join_symbols);
    m.def("digest", &digest);
    m.def("join_bytes", &join_bytes);
}

}  // namespace mcodec
