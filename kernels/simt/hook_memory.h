// Instrumented files include this first (-include): their calls of memcpy and the like go to functions of
// hooks.cpp that report the accesses, which -fsanitize=thread itself does not.
#pragma once
#include <cstring>

extern "C" {
void* memcpy(void*, const void*, size_t) noexcept __asm__("gan_hook_memcpy");
void* memmove(void*, const void*, size_t) noexcept __asm__("gan_hook_memmove");
void* memset(void*, int, size_t) noexcept __asm__("gan_hook_memset");
}
