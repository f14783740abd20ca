// The platforms that quiver supports. Pages and stored values have the byte order of the machine, sketches and codes are
// read as little-endian 64-bit words, and one allocation may be larger than a 32-bit address space.
#pragma once

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "quiver needs a little-endian CPU: x86-64 or ARM64"
#endif
#if !defined(__SIZEOF_POINTER__) || __SIZEOF_POINTER__ < 8
#error "quiver needs a 64-bit CPU: x86-64 or ARM64"
#endif
