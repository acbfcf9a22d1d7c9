// A thread of a block as a fibre: its stack, and the switch between it and the scheduler.
//
// x86-64 switches by a few instructions, other processors by ucontext, which asks the kernel each time.
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdlib>

#include "scheduler.h"

#if defined(__x86_64__) && !defined(DLCLI_UCONTEXT)
#define SWITCHES 1
#else
#define SWITCHES 0
#endif

namespace dlcli {

namespace {

// Each stack is two mappings, of which a process may have 65,530: what a smaller block gives back is used
// again. Never destroyed: fibres may be, when the process ends, after what this file defines.
std::vector<Stack>& spare() {
    static auto* stacks = new std::vector<Stack>;
    return *stacks;
}

#if SWITCHES
extern "C" void dlcli_switch(void** save, void* to);
extern "C" char dlcli_resume[];  // goes on with what the stack pointer was saved of
asm(R"(
.text
.globl dlcli_switch
.hidden dlcli_switch
.globl dlcli_resume
.hidden dlcli_resume
dlcli_switch:
 pushq %rbp
 pushq %rbx
 pushq %r12
 pushq %r13
 pushq %r14
 pushq %r15
 movq %rsp,(%rdi)
 movq %rsi,%rsp
dlcli_resume:
 popq %r15
 popq %r14
 popq %r13
 popq %r12
 popq %rbx
 popq %rbp
 ret
)");
void* scheduler_sp;
#else
ucontext_t scheduler_context;
#endif

void body() {
    S.entry->call(S.args);
    S.fibre->status = DONE;
    leave(*S.fibre);
    __builtin_trap();  // never resumed
}

}  // namespace

#if SWITCHES
void enter(Fibre& f) { dlcli_switch(&scheduler_sp, f.stack.context); }
void leave(Fibre& f) { dlcli_switch(&f.stack.context, scheduler_sp); }
void leave_from_signal(void* context) {
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    registers[REG_RSP] = reinterpret_cast<greg_t>(scheduler_sp);
    registers[REG_RIP] = reinterpret_cast<greg_t>(&dlcli_resume);
}
#else
void leave_from_signal(void*) { setcontext(&scheduler_context); }
void enter(Fibre& f) { swapcontext(&scheduler_context, static_cast<ucontext_t*>(f.stack.context)); }
void leave(Fibre& f) { swapcontext(static_cast<ucontext_t*>(f.stack.context), &scheduler_context); }
#endif

void stop_fibre() {
    leave(*S.fibre);
    __builtin_trap();  // never resumed
}

Stack::~Stack() {
    if (base) spare().push_back(std::move(*this));
}

bool Stack::map() {
    if (!base && !spare().empty()) {
        std::swap(base, spare().back().base);
        std::swap(context, spare().back().context);
        spare().pop_back();
    }
    if (base) return true;
    void* room = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED) return false;
    if (mprotect(room, GUARD, PROT_NONE)) {  // what overflows stops at once
        munmap(room, STACK);
        return false;
    }
    base = static_cast<char*>(room);
    return true;
}

bool prepare(Fibre& f) {
    if (!f.stack.map()) return false;
    char* stack = f.stack.base;
#if SWITCHES
    auto* top = reinterpret_cast<uint64_t*>(stack + STACK - 64 - 8);
    top[0] = 0;
    top[-1] = reinterpret_cast<uint64_t>(&body);
    for (int k = 2; k <= 7; k++) top[-k] = 0;
    f.stack.context = top - 7;
#else
    if (!f.stack.context) f.stack.context = new ucontext_t;
    auto* context = static_cast<ucontext_t*>(f.stack.context);
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK;
    context->uc_link = nullptr;
    makecontext(context, body, 0);
#endif
    return true;
}

}  // namespace dlcli
