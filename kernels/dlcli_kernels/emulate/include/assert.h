// assert of a kernel: a report of the launch instead of the end of the process.
#undef assert
#ifdef NDEBUG
#define assert(condition) static_cast<void>(0)
#else
#define assert(condition) ((condition) ? static_cast<void>(0) : dlcli_fail("assertion failed: " #condition))
#endif
