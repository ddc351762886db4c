/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Texts of a qube, made harmless: titles and class names; and patterns of labels. Pure functions. */
#ifndef GUI_GUID_TEXT_H
#define GUI_GUID_TEXT_H

#include "base/defs.h"

#define TEXT_TITLE_CAP 132 /* 128 bytes of the wire, each kept or replaced by one, and a NUL */
#define TEXT_CLASS_CAP 68
#define TEXT_TILE 24u /* a pattern repeats after so many pixels; divides by 2, 3, 4, 6, 8, 12 */

/* text_title copies at most n bytes up to the first NUL into out (TEXT_TITLE_CAP). What is not 0x20 … 0x7e becomes '_'; with utf8 also
   well-formed UTF-8 stays, but for control, format, bidirectional, combining, private and unassigned-plane characters. */
void text_title(char *out, const uint8_t *p, size_t n, bool utf8);
/* text_class is the same without UTF-8, for WM_CLASS (TEXT_CLASS_CAP). */
void text_class(char *out, const uint8_t *p, size_t n);
/* text_utf8 reads one well-formed character at p: its length, 0 when it is none. *ret_cp is the code point. */
size_t text_utf8(const uint8_t *p, size_t n, uint32_t *ret_cp);

/* text_pattern: is this pixel of label's pattern (1 … 8; others are patterned like 1) in the second colour? */
bool text_pattern(unsigned label, unsigned x, unsigned y);
/* text_contrast gives black or white, whichever is seen better on rgb. */
uint32_t text_contrast(uint32_t rgb);

#endif
