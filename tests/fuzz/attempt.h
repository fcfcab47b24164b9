// One attempt on the engine with bytes that nobody vouches for.
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include <stddef.h>
#include <stdint.h>

#include "lacewing.h"

// Verifies, plans, creates and runs `file` in blocks of exactly the promised sizes, with every tier of this machine.
// Returns the status that refused it, or LW_OK. Aborts when a promise breaks: two entry points that disagree, an
// output byte that was not written or is not u7, tiers that differ. The sanitizers see the rest.
// Models that need more than 64 MiB or 2^28 multiply-accumulates are verified and not run.
lw_status attempt(const uint8_t *file, size_t bytes);

// Makes the checksum right, so that a mutated file is judged by what it says. Needs 96 bytes or more.
void attempt_fix_checksum(uint8_t *file, size_t bytes);

#endif
