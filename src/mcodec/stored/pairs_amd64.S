// The inner loop of pairs.hpp: eight streams of Huffman codes, four of each of two blocks, in turn,
// so that the lookups of one wait for nothing of the others. A compiler keeps too little of it in
// registers: its own loop takes half as long again.
//
// void mcodec_huffman_6(Pair*), void mcodec_huffman_8(Pair*): decode 6 or 8 symbols of each stream,
// `rounds` times; fewer where a round takes more bits from a stream than it has at hand. What such a
// round has written is to be written again. The caller sees to it that everything stays in bounds.
//
// The offsets are those of `Pair`, which pairs.hpp checks.

#if defined(__x86_64__) && !defined(_WIN32)

#if defined(__APPLE__)
#define NAME(name) _##name
#else
#define NAME(name) name
#endif

#define TABLES 64
#define TABLE_SIZE 4160
#define POINTERS 8320
#define BITS 8384
#define OUT 8448
#define STEP 8464
#define ROUNDS 8472

// Streams 0 to 3, at rdi, and 4 to 7, at rsi; rcx is the step between streams, rbp three of them.
#define STREAM0 r8, 0, (%rdi)
#define STREAM1 r9, 0, (%rdi,%rcx)
#define STREAM2 r10, 0, (%rdi,%rcx,2)
#define STREAM3 r11, 0, (%rdi,%rbp)
#define STREAM4 r12, 1, (%rsi)
#define STREAM5 r13, 1, (%rsi,%rcx)
#define STREAM6 r14, 1, (%rsi,%rcx,2)
#define STREAM7 r15, 1, (%rsi,%rbp)

// The entry of the next code, in `wide`: its bits in the low byte, its symbol in the second.
#define LOOKUP(bits, block, wide, narrow)                            \
    movq %bits, %wide;                                               \
    shrq $53, %wide;                                                 \
    movzwl TABLES + TABLE_SIZE * block(%rbx,%wide,2), %narrow;       \
    shlxq %wide, %bits, %bits

// Two symbols of a stream, stored at once.
#define DECODE_OF(at, bits, block, out) \
    LOOKUP(bits, block, rax, eax);      \
    LOOKUP(bits, block, rdx, edx);      \
    movb %ah, %dl;                      \
    movw %dx, at out
#define DECODE(at, stream) DECODE_OF_(at, stream)
#define DECODE_OF_(...) DECODE_OF(__VA_ARGS__)

#define DECODE_ALL(at)    \
    DECODE(at, STREAM0);  \
    DECODE(at, STREAM4);  \
    DECODE(at, STREAM1);  \
    DECODE(at, STREAM5);  \
    DECODE(at, STREAM2);  \
    DECODE(at, STREAM6);  \
    DECODE(at, STREAM3);  \
    DECODE(at, STREAM7)

// Below its last bit a stream has a 1: without it, bits were used up that were not there.
#define CHECK(bits)     \
    testq %bits, %bits; \
    jz 2f

#define REFILL(bits, stream)                   \
    tzcntq %bits, %bits;                       \
    movq %bits, %rax;                          \
    shrq $3, %rax;                             \
    movq POINTERS + 8 * stream(%rbx), %rdx;    \
    subq %rax, %rdx;                           \
    movq %rdx, POINTERS + 8 * stream(%rbx);    \
    andq $7, %bits;                            \
    movq (%rdx), %rdx;                         \
    orq $1, %rdx;                              \
    shlxq %bits, %rdx, %bits;                  \
    movq %bits, BITS + 8 * stream(%rbx)

#define ENTER                        \
    pushq %rbx;                      \
    pushq %rbp;                      \
    pushq %r12;                      \
    pushq %r13;                      \
    pushq %r14;                      \
    pushq %r15;                      \
    movq %rdi, %rbx;                 \
    movq BITS + 0(%rbx), %r8;        \
    movq BITS + 8(%rbx), %r9;        \
    movq BITS + 16(%rbx), %r10;      \
    movq BITS + 24(%rbx), %r11;      \
    movq BITS + 32(%rbx), %r12;      \
    movq BITS + 40(%rbx), %r13;      \
    movq BITS + 48(%rbx), %r14;      \
    movq BITS + 56(%rbx), %r15;      \
    movq OUT + 0(%rbx), %rdi;        \
    movq OUT + 8(%rbx), %rsi;        \
    movq STEP(%rbx), %rcx;           \
    leaq (%rcx,%rcx,2), %rbp

#define END_ROUND(symbols)   \
    CHECK(r8);               \
    CHECK(r9);               \
    CHECK(r10);              \
    CHECK(r11);              \
    CHECK(r12);              \
    CHECK(r13);              \
    CHECK(r14);              \
    CHECK(r15);              \
    REFILL(r8, 0);           \
    REFILL(r12, 4);          \
    REFILL(r9, 1);           \
    REFILL(r13, 5);          \
    REFILL(r10, 2);          \
    REFILL(r14, 6);          \
    REFILL(r11, 3);          \
    REFILL(r15, 7);          \
    addq $symbols, %rdi;     \
    addq $symbols, %rsi;     \
    decq ROUNDS(%rbx);       \
    jnz 1b

#define LEAVE                  \
    movq %rdi, OUT + 0(%rbx);  \
    movq %rsi, OUT + 8(%rbx);  \
    popq %r15;                 \
    popq %r14;                 \
    popq %r13;                 \
    popq %r12;                 \
    popq %rbp;                 \
    popq %rbx;                 \
    ret

.text
.globl NAME(mcodec_huffman_6)
.globl NAME(mcodec_huffman_8)
#if !defined(__APPLE__)
.hidden mcodec_huffman_6
.hidden mcodec_huffman_8
#endif

.p2align 6
NAME(mcodec_huffman_6):
    ENTER
.p2align 6
1:
    DECODE_ALL(0)
    DECODE_ALL(2)
    DECODE_ALL(4)
    END_ROUND(6)
2:
    LEAVE

.p2align 6
NAME(mcodec_huffman_8):
    ENTER
.p2align 6
1:
    DECODE_ALL(0)
    DECODE_ALL(2)
    DECODE_ALL(4)
    DECODE_ALL(6)
    END_ROUND(8)
2:
    LEAVE

#if defined(__ELF__)
.section .note.GNU-stack,"",%progbits
#endif

#endif
