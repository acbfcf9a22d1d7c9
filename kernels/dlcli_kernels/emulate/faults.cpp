// What the processor reports while a kernel runs, and a clock for one that computes for ever, as reports of
// the launch: SIGSEGV where a stack overflows, SIGILL of a trap, SIGABRT, and a timer of the thread's own
// processor time. A signal that does not stem from a fibre goes to whoever handled it before.
#include <csignal>
#include <ctime>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "scheduler.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace dlcli {
namespace {

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr int COUNT = sizeof SIGNALS / sizeof *SIGNALS;
constexpr long TICK = 250'000'000;  // ns of processor time
constexpr int TICKS = 8;         // ticks without an access to memory
constexpr size_t REACH = 1 << 16;   // how far below its end a stack can be left

struct sigaction before[COUNT + 1];
stack_t stack_before;
timer_t timer;
bool ticking;
pid_t owner;
int idle;
unsigned long long seen;

#if defined(__x86_64__)
uintptr_t stack_pointer(const ucontext_t* c) { return c->uc_mcontext.gregs[REG_RSP]; }
uintptr_t counter(const ucontext_t* c) { return c->uc_mcontext.gregs[REG_RIP]; }
#elif defined(__aarch64__)
uintptr_t stack_pointer(const ucontext_t* c) { return c->uc_mcontext.sp; }
uintptr_t counter(const ucontext_t* c) { return c->uc_mcontext.pc; }
#else
uintptr_t stack_pointer(const ucontext_t*) { return 0; }  // unknown: nothing is caught
uintptr_t counter(const ucontext_t*) { return 0; }
#endif

bool in_fibre(const ucontext_t* c) {
    if (!S.inside || syscall(SYS_gettid) != owner) return false;
    auto begin = reinterpret_cast<uintptr_t>(S.fibre->stack.base);
    return stack_pointer(c) - (begin - REACH) < STACK + REACH;
}

bool in_kernel(uintptr_t pc) {
    return pc - reinterpret_cast<uintptr_t>(S.image_begin) < static_cast<uintptr_t>(S.image_end - S.image_begin);
}

void end_launch(ucontext_t* c, const char* what) {
    uintptr_t pc = counter(c);  // a report takes the address after the instruction
    report(in_kernel(pc) ? reinterpret_cast<const void*>(pc + 1) : S.pc, what);
    leave_from_signal(c);
}

void on_signal(int number, siginfo_t* info, void* context) {
    auto* c = static_cast<ucontext_t*>(context);
    if (!in_fibre(c)) {
        for (int i = 0; i < COUNT; i++)
            if (SIGNALS[i] == number) sigaction(number, &before[i], nullptr);  // it comes again
        return;
    }
    auto below = reinterpret_cast<uintptr_t>(S.fibre->stack.base) + GUARD - reinterpret_cast<uintptr_t>(info->si_addr);
    if (number == SIGSEGV && below <= REACH)
        end_launch(c, "a thread needs more stack than the emulator gives it, 124 KB");
    else
        end_launch(c, number == SIGILL    ? "the kernel trapped"
                      : number == SIGABRT ? "the kernel aborted"
                      : number == SIGFPE  ? "an arithmetic exception"
                                          : "uses memory that is not there");
}

void on_tick(int, siginfo_t*, void* context) {
    auto* c = static_cast<ucontext_t*>(context);
    unsigned long long now = S.budget + S.switches;
    if (!in_fibre(c) || now != seen) idle = 0;
    else if (++idle >= TICKS && in_kernel(counter(c)))  // not inside of a library's function
        end_launch(c, "does not end: computes for seconds without an access to memory");
    seen = now;
}

int tick_signal() { return SIGRTMIN + 5; }

}  // namespace

Guard::Guard() {
    static void* room = mmap(nullptr, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    owner = syscall(SYS_gettid);
    idle = 0;
    stack_t stack{};
    stack.ss_sp = room;
    stack.ss_size = 1 << 16;
    sigaltstack(&stack, &stack_before);
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    action.sa_sigaction = on_signal;
    for (int i = 0; i < COUNT; i++) sigaction(SIGNALS[i], &action, &before[i]);
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    action.sa_sigaction = on_tick;
    sigaction(tick_signal(), &action, &before[COUNT]);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = tick_signal();
    event.sigev_notify_thread_id = owner;
    itimerspec interval{{0, TICK}, {0, TICK}};
    ticking = !timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) && !timer_settime(timer, 0, &interval, nullptr);
}

Guard::~Guard() {
    if (ticking) timer_delete(timer);
    // A tick that is still pending is ignored: its handler before may be the default, which would end us.
    struct sigaction ignore {};
    ignore.sa_handler = SIG_IGN;
    sigaction(tick_signal(), before[COUNT].sa_handler == SIG_DFL ? &ignore : &before[COUNT], nullptr);
    for (int i = 0; i < COUNT; i++) sigaction(SIGNALS[i], &before[i], nullptr);
    sigaltstack(&stack_before, nullptr);
}

}  // namespace dlcli
