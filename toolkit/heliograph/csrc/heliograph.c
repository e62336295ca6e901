/* Heliograph's integer core; heliograph.h says what, FORMAT.md specifies the bytes.
 *
 * One translation unit in several files, each of which knows those above it: compilers see all at once, and no name leaves
 * it but those of heliograph.h. Bundles for firmware have it as one file. */
#include "heliograph.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#elif defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE
#include <arm_mve.h>
#define HG_MVE 1
#elif defined(__ARM_FEATURE_DSP) && !defined(__ARM_BIG_ENDIAN)
#include <arm_acle.h>
#define HG_DSP 1
#endif

#include "core/numbers.h"
#include "core/model.h"
#include "core/slice.h"
#include "core/passes.h"
#include "core/sums.h"
#include "core/features.h"
#include "core/position.h"
#include "core/quantisation.h"
#include "core/encoding.h"
#include "core/decoding.h"
#include "core/container.h"
