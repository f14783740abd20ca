// The platforms that quiver supports. Kernels read codes and sketches as little-endian words, and a
// graph that is built may need more memory than 32 bits can address.
#pragma once

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "quiver needs a little-endian CPU, such as x86-64 or ARM64"
#endif
#if !defined(__SIZEOF_POINTER__) || __SIZEOF_POINTER__ < 8
#error "quiver needs a 64-bit CPU, such as x86-64 or ARM64"
#endif
