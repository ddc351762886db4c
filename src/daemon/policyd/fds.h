/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Descriptors that the spawner gives to policyd. Without a SEQPACKET socket as 3 policyd runs stand-alone (reference protocol only). */
#ifndef POLICYD_FDS_H
#define POLICYD_FDS_H

#define POLICYD_FD_CORE 3 /* SEQPACKET, PD_ messages with the qubesd core */
#define POLICYD_FD_LOG 4  /* decision log, append mode; optional: without it policyd opens PATH_POLICY_LOG */
#define POLICYD_FD_LOG_OLD 5 /* what the log held before, append mode; comes with POLICYD_FD_LOG */

#endif
