// How the programs here say that something does not hold: the line, the words, and exit status 1.
#pragma once

#include <cstdio>
#include <cstdlib>

// `where` tells the case, in programs that have several, and ends in a colon.
#define CHECK_IN(where, condition)                                                                \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            std::printf("line %d: %s%s does not hold\n", __LINE__, where, #condition);            \
            std::exit(1);                                                                         \
        }                                                                                         \
    } while (0)
#define CHECK(condition) CHECK_IN("", condition)
