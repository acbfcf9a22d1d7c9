// What the emulator's scheduler (runtime.cpp) and its checks of memory (memory.cpp) share.
#pragma once
#include <cstdio>
#include <cstring>
#include <vector>

#include "runtime.h"

namespace dlcli {

enum Status { READY, AT_BARRIER, AT_GRID_BARRIER, AT_COLLECTIVE, DONE };
enum Order { FORWARD, REVERSE, SHUFFLED };

struct Copy { unsigned char* to; const unsigned char* from; unsigned bytes, valid, group; };

struct Fibre {
    void* context = nullptr;
    char* stack = nullptr;
    size_t stack_size = 0;
    Status status = READY;
    Index index{};
    int lane = 0;
    const char* file = nullptr;  // where it waits
    int line = 0;
    const void* pc = nullptr;
    unsigned mask = 0;  // of its collective
    bool orders_memory = false;
    unsigned turn = 0;  // which set of deposits its next collective uses
    std::vector<Copy> copies;  // asynchronous ones that have not arrived
    unsigned groups = 0;       // of them, committed so far
};

// The last accesses to one 32-bit word of shared memory. An epoch ends with each barrier.
struct Cell {
    uint32_t write_epoch, read_epoch;
    uint32_t write_pc, read_pc;
    uint16_t write_tid, read_tid;      // read_tid: MANY threads of one warp, or of several warps
    uint16_t write_order, read_order;  // the warp's own epoch then: __syncwarp orders a warp alone
    uint16_t read_warp;
    uint8_t write_bytes, read_bytes;   // which of the four bytes
    uint8_t arriving;                  // an asynchronous copy has been issued and not waited for
    uint8_t written;                   // which bytes hold a value, in the block of `owner`
    uint32_t owner;
};

struct Block {
    unsigned number = 0;
    Index index{};
    uint32_t epoch = 0, first_epoch = 0;
    int votes = 0, new_votes = 0;
    std::vector<Fibre> fibres;
    std::vector<uint32_t> warp_epochs;
    std::vector<unsigned char> deposits, dynamic, shared;
    std::vector<Cell> cells;
};

struct Buffer {
    unsigned char *begin, *end;
    int argument;
    int writable;
    int grain;  // bytes that one cell stands for: an element's, at most 4
};

struct Report {
    char what[256];
    const void* pc[2];       // where, and the earlier access where there are two
    Index thread[2], block[2];
    int count;               // of places
    long long offset;        // bytes from the start of `argument`, where the report is of a buffer
    int argument;            // -1: none
};

struct Launch {
    const Entry* entry;
    void** args;
    unsigned char *values_begin, *values_end;  // what args point to
    Index grid, block;
    size_t dynamic_bytes;
    unsigned char *static_begin, *static_end;
    unsigned char *image_begin, *image_end;  // of the kernel's library: its constants
    const Buffer* buffers;
    int buffer_count;
    int cooperative;
    int order;
    unsigned seed;
    unsigned long long budget;  // accesses to memory before a kernel counts as endless
};

struct State {
    const Entry* entry;
    void** args;
    unsigned char *values_begin, *values_end;
    Index grid, block_extent;
    unsigned threads;
    size_t dynamic_bytes, static_bytes;
    unsigned char *static_begin, *dynamic;
    unsigned char *image_begin, *image_end;
    int order;
    bool failed;
    uint32_t epochs, phases, phase;
    unsigned long long budget;
    Fibre* fibre;
    Block* block;
    uint16_t tid;
    unsigned warp;
    Report found;
};
extern State S;

// Notes what is wrong; the launch ends when the scheduler is reached.
void report(const void* pc, const char* what);
void report_two(const void* pc, const void* earlier, const char* what);

// fibre.cpp: makes a fibre ready to begin the kernel; goes on with it; goes back to the scheduler.
void prepare(Fibre& f);
void enter(Fibre& f);
void leave(Fibre& f);
[[noreturn]] void stop_fibre();

void set_buffers(const Buffer* buffers, int count);

}  // namespace dlcli
