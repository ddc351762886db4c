/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text between the clipboards of the qube and the host: what is valid, and how it looks in each of the old encodings. Pure. */
#ifndef AGENT_GUI_CLIPTEXT_H
#define AGENT_GUI_CLIPTEXT_H

#include "base/wr.h"

/* text_is_utf8: well-formed UTF-8, no surrogates, nothing beyond U+10FFFF. Controls are fine: it is the user's text. */
bool text_is_utf8(const void *p, size_t n);
/* text_to_latin1 writes UTF-8 text as ISO 8859-1; a character that is not in it becomes '?'. text_from_latin1 is the other way. */
void text_to_latin1(struct wr *w, const void *p, size_t n);
void text_from_latin1(struct wr *w, const void *p, size_t n);
/* text_to_compound wraps UTF-8 text for the target COMPOUND_TEXT. */
void text_to_compound(struct wr *w, const void *p, size_t n);
/* text_cut gives how many of the n bytes of UTF-8 text fit into max bytes without cutting a character. */
size_t text_cut(const void *p, size_t n, size_t max);

#endif
