// Programs that write code: in place, through a second mapping, over the page they run in, and for another thread.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef uint32_t (*Function)(void);

// MOV EAX, value; RET
static void write_function(unsigned char* place, uint32_t value) {
  place[0] = 0xB8;
  memcpy(place + 1, &value, 4);
  place[5] = 0xC3;
}

static atomic_uint version;
static unsigned char* shared_code;

// Follows the hand-shake for cross-modifying code: wait, serialize, execute (SDM vol. 3, 8.1.3).
static void* run_what_the_other_wrote(void* sum) {
  for (unsigned i = 1; i <= 2000; ++i) {
    while (atomic_load(&version) != 2 * i - 1) __builtin_ia32_pause();
    uint32_t a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    *(uint64_t*)sum += ((Function)(void*)shared_code)();
    atomic_store(&version, 2 * i);
  }
  return NULL;
}

int main(void) {
  const int all = PROT_READ | PROT_WRITE | PROT_EXEC;
  unsigned char* code = mmap(NULL, 8192, all, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  uint64_t sum = 0;
  for (unsigned i = 0; i < 20000; ++i) {
    unsigned char* const place = code + i % 4080;  // also across the pages
    write_function(place, i);
    sum += ((Function)(void*)place)();
  }
  printf("rewritten in place %llu\n", (unsigned long long)sum);

  write_function(code + 4093, 0x11111111);
  sum = ((Function)(void*)(code + 4093))();
  code[4097] = 0x22;  // of the second page only
  sum += ((Function)(void*)(code + 4093))();
  printf("operand in the next page %llx\n", (unsigned long long)sum);

  const int file = memfd_create("code", 0);
  if (ftruncate(file, 4096) != 0) return 1;
  unsigned char* const writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  unsigned char* const executable = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, file, 0);
  sum = 0;
  for (unsigned i = 0; i < 20000; ++i) {
    write_function(writable + i % 64 * 8, i * 3);
    sum += ((Function)(void*)(executable + i % 64 * 8))();
  }
  printf("through a second mapping %llu\n", (unsigned long long)sum);

  // MOVB $imm, next instruction's operand; MOV EAX, operand; RET: the instruction right behind is the one changed.
  const unsigned char next[] = {0xC6, 0x05, 1, 0, 0, 0, 0x5A, 0xB8, 0, 0, 0, 0, 0xC3};
  memcpy(code, next, sizeof next);
  sum = 0;
  for (unsigned i = 0; i < 256; ++i) {
    code[6] = (unsigned char)i;
    code[8] = 0;
    sum += ((Function)(void*)code)();
  }
  printf("the instruction behind %llu\n", (unsigned long long)sum);

  sum = 0;
  for (unsigned i = 0; i < 200; ++i) {
    unsigned char* const page = mmap(code, 4096, all, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    write_function(page, i * 5);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    sum += ((Function)(void*)page)();
  }
  printf("another page at the address %llu\n", (unsigned long long)sum);

  code = mmap(code, 4096, all, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  write_function(code, 7);
  if (fork() == 0) {
    write_function(code, 8);
    _exit((int)((Function)(void*)code)());
  }
  int status;
  wait(&status);
  printf("copied on write: child %d, parent %u\n", WEXITSTATUS(status), ((Function)(void*)code)());

  shared_code = code;
  uint64_t other_sum = 0;
  pthread_t thread;
  pthread_create(&thread, NULL, run_what_the_other_wrote, &other_sum);
  for (unsigned i = 1; i <= 2000; ++i) {
    write_function(code, i);
    atomic_store(&version, 2 * i - 1);
    while (atomic_load(&version) != 2 * i) __builtin_ia32_pause();
  }
  pthread_join(thread, NULL);
  printf("for another thread %llu\n", (unsigned long long)other_sum);
  return 0;
}
