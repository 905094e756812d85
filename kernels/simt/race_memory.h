// The race build includes this first into every file that it instruments (-include): their calls of memcpy
// and the like go to functions of race.cpp that look at the accesses, which -fsanitize=thread itself does
// not.
#pragma once
#include <cstring>

extern "C" {
void* memcpy(void*, const void*, size_t) noexcept __asm__("gan_race_memcpy");
void* memmove(void*, const void*, size_t) noexcept __asm__("gan_race_memmove");
void* memset(void*, int, size_t) noexcept __asm__("gan_race_memset");
}
