/*
 * srskeys - the secrets that srs signs with, from srs-secret-file.
 *
 * One secret a line, SRS_SECRET_LEAST characters or more, at most SRSKEYS_MOST of them; the
 * first signs, each is believed, so a new one is put in front and the old one taken out
 * three weeks later. Read at the start and with each reload, on the main loop's thread; any
 * thread may ask. What was once given stays in memory until the end.
 */
#ifndef WAYPOST_SRSKEYS_H
#define WAYPOST_SRSKEYS_H

#include "policy/settings.h"
#include "policy/srs.h"

enum { SRSKEYS_MOST = 16, SRSKEYS_FILE_MOST = 64 * 1024 };

struct srskeys;

struct srskeys *srskeys_new(void);
/* No thread asks any more; the secrets are zeroed. NULL is none. */
void srskeys_free(struct srskeys *k);
/* The file that the settings name, or none. On failure what was there stays, and out_why gets
 * a sentence that names the file. *out_exposed: others than its owner may read it; may be
 * NULL. Blocks for the disk. */
MUST int srskeys_read(struct srskeys *k, const struct settings *s,
                      bool *out_exposed, struct buffer *out_why);
/* For facts: NULL: there are none. Lives as long as k. */
const struct srs_secrets *srskeys_now(const struct srskeys *k);

#endif
