/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the starter of audiod and audiod agree on (docs/audio.md §2). */
#ifndef GUI_AUDIOD_AUDIOD_H
#define GUI_AUDIOD_AUDIOD_H

#define AUDIOD_FD_PLAY 3    /* stream to port 4713 of the qube */
#define AUDIOD_FD_RECORD 4  /* stream to port 4714 */
#define AUDIOD_FD_CONTROL 5 /* SEQPACKET, messages of proto/audio.def */

#endif
